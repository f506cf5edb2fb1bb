"""The results for people: a table in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .row import Target

if TYPE_CHECKING:
    from .rounds import Result

SUBJECTS = ("ours", "before", "peer", "hololinked", "floor")
HEAD = ("what", *SUBJECTS, "ours / before", "ours / peer", "ours / floor", "target", "met")


def figure(value: float | None, unit: str) -> str:
    """Write a figure with as many digits as it deserves."""
    if value is None:
        return "–"
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return text if unit == "1/s" or not unit else f"{text} {unit}"


def cells(result: Result) -> list[str]:
    """Return a row's cells."""
    medians, unit = result.medians, result.row.unit
    compared = [result.compared(other) for other in ("before", "peer", "floor")]
    return [
        result.row.what + (" (1/s)" if unit == "1/s" else ""),
        *(figure(medians.get(name), unit) for name in SUBJECTS),
        *("–" if ratio is None else f"{ratio:.3g}" for ratio in compared),
        "; ".join(map(str, result.row.targets)),
        "; ".join(_verdict(result, target) for target in result.row.targets),
    ]


def _verdict(result: Result, target: Target) -> str:
    ratio = result.ratio(target)
    if ratio is None:
        return "?"
    return "yes" if target.is_met(ratio) else f"NO ({ratio:.3g})"


def markdown(head: tuple[str, ...], rows: list[list[str]]) -> str:
    """Write a table whose columns are aligned in plain text as well."""
    lines = [list(head), *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]

    def write(line: list[str]) -> str:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        return "| " + " | ".join(padded) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([write(lines[0]), rule, *map(write, rows)])
