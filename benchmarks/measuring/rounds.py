"""Measure in alternation, so that noise is the same for all, and take medians."""

from __future__ import annotations

import statistics
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from .row import Effort, Row, Target


@dataclass(frozen=True)
class Result:
    """What came out for a row."""

    row: Row
    rounds: list[dict[str, float]]
    """For each round, the figure of each subject."""
    failures: dict[str, str]
    """Why a subject was not measured."""

    @property
    def medians(self) -> dict[str, float]:
        """The median figure of each subject."""
        found: dict[str, list[float]] = {}
        for figures in self.rounds:
            for name, value in figures.items():
                found.setdefault(name, []).append(value)
        return {name: statistics.median(values) for name, values in found.items()}

    def ratio(self, target: Target) -> float | None:
        """The median of the ratios in each round: figures of one round are taken side by side."""
        ratios = [target.ratio(figures) for figures in self.rounds]
        known = [ratio for ratio in ratios if ratio is not None]
        return statistics.median(known) if known else None

    def compared(self, other: str) -> float | None:
        """Our figure as a multiple of another's."""
        ratios = [each["ours"] / each[other] for each in self.rounds if _both(each, other)]
        return statistics.median(ratios) if ratios else None


def _both(figures: dict[str, float], other: str) -> bool:
    return "ours" in figures and bool(figures.get(other))


def measure(row: Row, effort: Effort, rounds: int, only: Collection[str]) -> Result:
    """Prepare all subjects, then measure them in alternation, several times."""
    failures: dict[str, str] = {}
    figures: list[dict[str, float]] = []

    def note(subject: str, error: Exception) -> None:
        failures[subject] = f"{type(error).__name__}: {error}"
        print(f"{row.key}: {subject}: {failures[subject]}", file=sys.stderr, flush=True)

    with ExitStack() as stack:
        measures = {}
        for subject in row.subjects:
            if only and subject not in only:
                continue
            try:
                measures[subject] = stack.enter_context(row.open(subject, effort))
            except Exception as error:  # noqa: BLE001 - the others can be compared all the same
                note(subject, error)
        for number in range(rounds):
            # Each round begins with another, in case the first of a round has an advantage.
            names = list(measures)
            turned = names[number % len(names) :] + names[: number % len(names)] if names else []
            found: dict[str, float] = {}
            for name in turned:
                try:
                    found[name] = measures[name]()
                except Exception as error:  # noqa: BLE001 - as above
                    note(name, error)
                    del measures[name]
            figures.append(found)
    return Result(row, figures, failures)
