"""Print the coverage of each package: `python coverage_of_packages.py .coverage.json`."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path, PurePath
from typing import Any


def package_of(file: str) -> str:
    """Return the first folder below the package, or the name of a module beside these."""
    parts = PurePath(file).with_suffix("").parts
    return parts[parts.index("labthings_fastapi") + 1]


def coverage_of_packages(report: dict[str, Any]) -> dict[str, float]:
    """Return the percentage of lines and branches that ran, by package, the lowest first."""
    ran: dict[str, int] = defaultdict(int)
    present: dict[str, int] = defaultdict(int)
    for file, entry in report["files"].items():
        summary, package = entry["summary"], package_of(file)
        ran[package] += summary["covered_lines"] + summary["covered_branches"]
        present[package] += summary["num_statements"] + summary["num_branches"]
    return dict(
        sorted(
            ((name, 100 * ran[name] / count) for name, count in present.items() if count),
            key=lambda entry: entry[1],
        )
    )


if __name__ == "__main__":
    for name, percent in coverage_of_packages(json.loads(Path(sys.argv[1]).read_text())).items():
        print(f"{percent:6.1f} %  {name}")  # noqa: T201
