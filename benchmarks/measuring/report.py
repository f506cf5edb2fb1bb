"""The results for machines: JSON, with what they were measured on."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from .environments import REQUIREMENTS
from .load import WRK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .rounds import Result
    from .row import Effort

LIBRARIES = ("fastapi", "starlette", "uvicorn", "uvloop", "httptools", "pydantic")


def _row(result: Result) -> dict[str, Any]:
    row = result.row
    targets = []
    for target in row.targets:
        ratio = result.ratio(target)
        met = None if ratio is None else target.is_met(ratio)
        targets.append({"target": str(target), "found": ratio, "met": met})
    return {
        "what": row.what,
        "unit": row.unit,
        "medians": result.medians,
        "rounds": result.rounds,
        "targets": targets,
        "failures": result.failures,
    }


def as_json(
    results: Sequence[Result],
    growth: Mapping[str, Mapping[int, float]],
    effort: Effort,
    rounds: int,
) -> str:
    """Write everything that was measured."""
    whole = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "system": platform.system(),
            "machine": platform.machine(),
            "processors": os.cpu_count(),
            "python": platform.python_version(),
            "libraries": {name: version(name) for name in LIBRARIES},
            "compared": REQUIREMENTS,
            "load": "wrk" if WRK else "asyncio",
        },
        "effort": {**vars(effort), "rounds": rounds},
        "rows": {result.row.key: _row(result) for result in results},
        "growth": growth,
    }
    return json.dumps(whole, indent=2) + "\n"
