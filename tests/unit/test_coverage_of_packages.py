"""The report of coverage by package, as `make test` prints it."""

from __future__ import annotations

from typing import Any

from coverage_of_packages import coverage_of_packages


def entry(ran: int, statements: int, ran_branches: int = 0, branches: int = 0) -> dict[str, Any]:
    return {
        "summary": {
            "covered_lines": ran,
            "num_statements": statements,
            "covered_branches": ran_branches,
            "num_branches": branches,
        }
    }


def test_lines_and_branches_are_summed_by_package_with_the_lowest_first() -> None:
    files = {
        "src/labthings_fastapi/thing.py": entry(10, 10),
        "src/labthings_fastapi/__init__.py": entry(0, 0),
        "src/labthings_fastapi/server/server.py": entry(1, 2, 1, 2),
        "src/labthings_fastapi/server/web/tls.py": entry(1, 3, 0, 1),
    }
    found = coverage_of_packages({"files": files})
    assert list(found.items()) == [("server", 37.5), ("thing", 100.0)]
