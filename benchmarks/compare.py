"""Measure this project beside its peer, hololinked and the floor; see README.md.

For instance: `python benchmarks/compare.py --quick --rows read,write --only ours,floor`.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from measuring import following_rows, run_rows, start_rows, traffic_rows  # noqa: F401 - fill ROWS
from measuring.processes import pin_load
from measuring.rounds import measure
from measuring.row import QUICK, ROWS, Effort
from measuring.subjects import SUBJECTS
from measuring.table import HEAD, cells, markdown

if TYPE_CHECKING:
    from collections.abc import Callable


def _names(known: tuple[str, ...], what: str) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        found = [name for name in text.split(",") if name]
        unknown = sorted(set(found) - set(known))
        if unknown:
            raise argparse.ArgumentTypeError(
                f"there is no {what} {unknown[0]!r}; there is: {', '.join(known)}"
            )
        return found

    return names


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=_names(tuple(ROWS), "row"), default=list(ROWS))
    parser.add_argument("--only", type=_names(SUBJECTS, "subject"), default=[])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="2 rounds, and less of everything")
    parser.add_argument("--busy", action="store_true", help="compare processor time")
    return parser.parse_args()


def main() -> None:
    """Measure, and print the table."""
    asked = _arguments()
    effort = replace(QUICK if asked.quick else Effort(), busy=asked.busy)
    rounds = min(asked.rounds, 2) if asked.quick else asked.rounds
    pin_load()
    results = []
    for key in asked.rows:
        print(f"{key} …", file=sys.stderr, flush=True)
        results.append(measure(ROWS[key], effort, rounds, asked.only))
        print(markdown(HEAD, [cells(results[-1])]), file=sys.stderr, flush=True)
    print(markdown(HEAD, [cells(result) for result in results]))


if __name__ == "__main__":
    main()
