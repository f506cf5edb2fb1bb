"""Measure this project beside its peer, hololinked and the floor; see README.md.

For instance: `python benchmarks/compare.py --quick --rows read,write --only ours,floor`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from measuring import (  # noqa: F401 - these fill ROWS
    array_rows,
    file_rows,
    following_rows,
    reading_rows,
    run_rows,
    start_rows,
    traffic_rows,
)
from measuring.chart import svg
from measuring.growth import GROWTHS
from measuring.processes import pin_load
from measuring.report import as_json
from measuring.rounds import measure
from measuring.row import QUICK, ROWS, Effort
from measuring.subjects import SUBJECTS, quieten_peer
from measuring.table import HEAD, cells, figure, markdown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

QUICK_ROUNDS = 2


def _names(known: Iterable[str], kind: str) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        found = [name for name in text.split(",") if name]
        unknown = sorted(set(found) - set(known))
        if unknown:
            raise argparse.ArgumentTypeError(
                f"there is no {kind} {unknown[0]!r}; there is: {', '.join(known)}"
            )
        return found

    return names


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--rows", type=_names(ROWS, "row"), default=list(ROWS), help=f"some of {', '.join(ROWS)}")
    add(
        "--growth",
        type=_names(GROWTHS, "table of growth"),
        default=None,
        help=f"some of {', '.join(GROWTHS)}; by default all, unless --rows or --only is given",
    )
    add("--only", type=_names(SUBJECTS, "subject"), default=[], help=", ".join(SUBJECTS))
    add("--rounds", type=int, default=5, help="how often each is measured (%(default)s)")
    add("--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds, and less of everything")
    add(
        "--busy",
        action="store_true",
        help="others use this machine: compare rates by the processor time that servers use",
    )
    add(
        "--peer-quiet",
        action="store_true",
        help="serve with the peer without its access log, its best light, not with its own command",
    )
    add("--json", type=Path, metavar="FILE", help="write all figures")
    add("--svg", type=Path, metavar="FILE", help="draw a chart of the ratios")
    asked = parser.parse_args()
    if asked.growth is None:
        partial = asked.only or asked.rows != list(ROWS)
        asked.growth = [] if partial else list(GROWTHS)
    return asked


def _measure_growth(key: str, effort: Effort, rounds: int) -> dict[int, float]:
    growth = GROWTHS[key]
    found: dict[int, list[float]] = {size: [] for size in growth.sizes}
    with ExitStack() as stack:
        measures = {size: stack.enter_context(growth.case(size, effort)) for size in growth.sizes}
        for _ in range(rounds):
            for size, once in measures.items():
                found[size].append(once())
    return {size: statistics.median(values) for size, values in found.items()}


def _growth_line(key: str, found: dict[int, float]) -> list[str]:
    growth = GROWTHS[key]
    figures = (f"{size}: {figure(value, growth.unit)}" for size, value in found.items())
    first, last = list(found.values())[:: max(len(found) - 1, 1)]
    unit = " (1/s)" if growth.unit == "1/s" else ""
    return [f"{growth.what}{unit}", " · ".join(figures), f"{last / first:.2f}"]


def main() -> None:
    """Measure, and print the tables."""
    asked = _arguments()
    effort = replace(
        QUICK if asked.quick else Effort(), busy=asked.busy, peer_quiet=asked.peer_quiet
    )
    rounds = min(asked.rounds, QUICK_ROUNDS) if asked.quick else asked.rounds
    pin_load()
    if effort.peer_quiet:
        quieten_peer()
    results = []
    for key in asked.rows:
        print(f"{key} …", file=sys.stderr, flush=True)
        results.append(measure(ROWS[key], effort, rounds, asked.only))
    print(markdown(HEAD, [cells(result) for result in results]), flush=True)
    growth = {}
    for key in asked.growth:
        print(f"growth: {key} …", file=sys.stderr, flush=True)
        growth[key] = _measure_growth(key, effort, rounds)
    if growth:
        lines = [_growth_line(key, found) for key, found in growth.items()]
        print("\n" + markdown(("how cost grows", "size: figure", "last / first"), lines))
    if asked.json:
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_text(as_json(results, growth, effort, rounds))
    if asked.svg:
        asked.svg.parent.mkdir(parents=True, exist_ok=True)
        asked.svg.write_text(svg(results))


if __name__ == "__main__":
    main()
