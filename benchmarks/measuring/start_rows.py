"""Rows about starting: the import, and a server until it first answers."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .environments import ROOT, environment, python_for
from .row import Effort, at_most, row
from .subjects import empty_app, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .row import Measure

ALL = ("ours", "peer", "floor")
IMPORT = "import labthings_fastapi as lt"
NAME = f"{IMPORT}; lt.Thing, lt.action, lt.property, lt.ThingServer"
BUILD = f"{NAME}; lt.ThingServer({{'things': {{}}, 'settings_folder': '.'}})"


def _seconds_for(subject: str, code: str, effort: Effort, floor: str = "import fastapi") -> float:
    """Run code in a fresh interpreter; return the seconds beyond those of an empty one."""
    paths = {"PYTHONPATH": str(ROOT / "src")} if subject == "ours" else {}
    code = floor if subject == "floor" else code

    def seconds(code: str) -> float:
        before, began = os.times(), time.perf_counter()
        subprocess.run([python_for(subject), "-c", code], check=True, env=environment(paths))
        if not effort.busy:
            return time.perf_counter() - began
        after = os.times()
        used = after.children_user + after.children_system
        return used - before.children_user - before.children_system

    return max(seconds(code) - seconds("pass"), 0.001) * 1e3


@row("import", "import labthings_fastapi", "ms", ALL, at_most(0.1, "floor"))
@contextmanager
def import_package(subject: str, effort: Effort) -> Iterator[Measure]:
    _seconds_for(subject, IMPORT, effort)  # compiles
    yield lambda: _seconds_for(subject, IMPORT, effort)


@row("import-names", "the same, with Thing and ThingServer named", "ms", ALL, at_most(1.4, "floor"))
@contextmanager
def import_and_name(subject: str, effort: Effort) -> Iterator[Measure]:
    _seconds_for(subject, NAME, effort)  # compiles
    yield lambda: _seconds_for(subject, NAME, effort)


@row("import-built", "the same, until an empty server is built", "ms", ALL, at_most(1.4, "floor"))
@contextmanager
def import_and_build(subject: str, effort: Effort) -> Iterator[Measure]:
    empty = "import fastapi; fastapi.FastAPI()"
    _seconds_for(subject, BUILD, effort, empty)  # compiles
    yield lambda: _seconds_for(subject, BUILD, effort, empty)


@row(
    *("start", "start with 20 Things of 20 affordances, until it answers", "ms", ALL),
    at_most(1.5, "floor"),
)
@contextmanager
def start(subject: str, effort: Effort) -> Iterator[Measure]:
    things = {f"thing_{number}": "wide:20" for number in range(1, 21)}

    def once() -> float:
        with empty_app() if subject == "floor" else serve(subject, things) as server:
            return (server.cpu_seconds if effort.busy else server.ready_after) * 1e3

    once()  # compiles
    yield once
