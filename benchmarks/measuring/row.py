"""A row of the table: the measurement, its subjects, and its targets."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Measure = Callable[[], float]
    Opened = AbstractContextManager[Measure]


@dataclass(frozen=True)
class Effort:
    """How much is asked of the machine and of patience."""

    seconds: float = 2.0
    """How long each load lasts."""
    retained: int = 10_000
    """How many runs a server keeps where that matters."""
    repeats: int = 100
    """How often a latency is taken in each round."""
    busy: bool = False
    """Others use this machine: count the processor time that a server uses, not the clock's."""
    peer_quiet: bool = False
    """The peer writes no line of log for each request: not as users run it, but in its best light.
    """


QUICK = Effort(seconds=1.0, retained=1_000, repeats=30)


@dataclass(frozen=True)
class Target:
    """A bound for our figure: as a multiple of somebody else's, or (None) by itself."""

    against: str | None
    at_least: float | None = None
    at_most: float | None = None

    def ratio(self, figures: Mapping[str, float]) -> float | None:
        """Return what is to be judged, or None if it was not measured."""
        ours = figures.get("ours")
        base = 1.0 if self.against is None else figures.get(self.against)
        return None if ours is None or not base else ours / base

    def is_met(self, ratio: float) -> bool:
        """Whether the bound is kept."""
        return (self.at_least is None or ratio >= self.at_least) and (
            self.at_most is None or ratio <= self.at_most
        )

    def __str__(self) -> str:
        bound = f"≥ {self.at_least:g}" if self.at_least is not None else f"≤ {self.at_most:g}"
        return bound if self.against is None else f"{bound} × {self.against}"


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    key: str
    what: str
    unit: str
    subjects: tuple[str, ...]
    targets: tuple[Target, ...]
    open: Callable[[str, Effort], Opened]
    """Prepares a subject, which costs time, and gives the function that measures it once."""


ROWS: dict[str, Row] = {}


def row(
    key: str, what: str, unit: str, subjects: tuple[str, ...], *targets: Target
) -> Callable[[Callable[[str, Effort], Opened]], Callable[[str, Effort], Opened]]:
    """Make a row of a function that prepares a subject; a decorator."""

    def make(open: Callable[[str, Effort], Opened]) -> Callable[[str, Effort], Opened]:
        ROWS[key] = Row(key, what, unit, subjects, targets, open)
        return open

    return make


def at_least(ratio: float, against: str | None = None) -> Target:
    """Ours must be at least this number of times the other's."""
    return Target(against, at_least=ratio)


def at_most(ratio: float, against: str | None = None) -> Target:
    """Ours must be at most this number of times the other's."""
    return Target(against, at_most=ratio)
