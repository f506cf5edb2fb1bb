"""The server held against its own OpenAPI document, by Schemathesis.

It sends requests that the document allows and requests that it does not, and finds server errors,
statuses and content types that are not documented, and answers that break their schema.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import pytest
from fastapi import Depends
from pydantic import BaseModel, Field

import labthings_fastapi as lt
from labthings_fastapi.bindings.http import observing
from labthings_fastapi.outputs.blob import Blob

pytestmark = [
    pytest.mark.timeout(600),  # half a minute of work, on a computer that may be busy
    pytest.mark.no_cover,  # several times slower if it is traced; other tests run the same code
]
ACTIONS = ("nothing", "measure", "sum", "find", "turn", "stop", "picture", "injected")
HERE = Path(__file__).parent
# Streams without an end: integration/test_event_streams.py and its neighbours try them.
ENDLESS = r"(^|[._])events(_|$)|[.]subscribe$"


class Point(BaseModel):
    x: float = Field(ge=-10, le=10)
    y: float = 0.0


class Region(BaseModel):
    name: str = Field(min_length=1, max_length=20)
    corners: list[Point] = Field(default_factory=list, max_length=4)
    kind: Literal["box", "circle"] = "box"


class Png(Blob):
    media_type = "image/png"


def measured() -> float:
    return 1.5


class Everything(lt.Thing):
    """A Thing with every kind of affordance."""

    number: int = lt.property(default=1, ge=0, le=100)
    maybe: float | None = lt.property(default=None)
    region: Region = lt.property(default=Region(name="all"))
    names: dict[str, int] = lt.property(default={})
    corner: tuple[float, float] = lt.property(default=(0, 1))
    fixed: str = lt.property(default="fixed", readonly=True)
    kept: float = lt.setting(default=0.5, gt=0, lt=1)
    kept_region: Region = lt.setting(default=Region(name="kept"))
    happened: lt.Event[Point] = lt.event()
    quiet: lt.Event[None] = lt.event()

    _level = 2

    @lt.property
    def level(self) -> int:
        return self._level

    @level.setter
    def level(self, value: Annotated[int, Field(ge=0)]) -> None:
        self._level = value

    @lt.property(observable=False)
    def hidden(self) -> list[str]:
        return ["a", "b"]

    @lt.action
    def nothing(self) -> None:
        """Take nothing and give nothing."""

    @lt.action
    def measure(
        self, region: Region, times: Annotated[int, Field(ge=1, le=3)] = 1, label: str | None = None
    ) -> list[Point]:
        self.happened.emit(Point(x=1))
        return region.corners * times

    @lt.action(synchronous=True)
    def sum(self, values: list[Annotated[int, Field(ge=-1000, le=1000)]]) -> int:
        return sum(values)

    @lt.action(synchronous=True)
    def find(self, name: str = "") -> Region | None:
        return Region(name=name[:20]) if name else None

    @lt.action(concurrency="reject", group="motion")
    def turn(self, angle: float = 0.0) -> float:
        return angle

    @lt.action(stop=True)
    def stop(self) -> None:
        """Stop all."""

    @lt.action
    def picture(self) -> Png:
        return Png.from_bytes(b"\x89PNG")

    @lt.action
    def injected(self, value: Annotated[float, Depends(measured)], factor: int = 1) -> float:
        return value * factor

    @lt.endpoint("get", "square/{n}")
    def square(self, n: Annotated[int, Field(ge=-1000, le=1000)]) -> int:
        return n * n

    @lt.endpoint("post", "echo")
    def echo(self, region: Region) -> Region:
        return region


def demo_bench():
    file = resources.files("labthings_fastapi.demo") / "bench.json"
    return json.loads(file.read_text("utf-8"))["things"]


@pytest.fixture
def short_polls(monkeypatch):
    monkeypatch.setattr(observing, "POLL_SECONDS", 0.02)


def findings(port, phases, examples):
    """Let Schemathesis test the server, and return its report of failures."""
    program = [
        *(sys.executable, "-m", "schemathesis.cli", "run"),
        f"http://127.0.0.1:{port}/openapi.json",
        # pydantic takes "1" and true for numbers, where a schema has no words for that.
        *("--checks", "all", "--exclude-checks", "negative_data_rejection"),
        *("--exclude-operation-id-regex", ENDLESS),
        *("--suppress-health-check", "too_slow"),  # a busy computer is
        *("--phases", phases, "--max-examples", str(examples), "--seed", "1", "--no-shrink"),
        *("--request-timeout", "60", "--warnings", "off", "--no-color"),
    ]
    ended = subprocess.run(
        program,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "SCHEMATHESIS_HOOKS": "openapi_hooks", "PYTHONPATH": str(HERE)},
        timeout=560,
        check=False,
    )
    return "" if ended.returncode == 0 else ended.stdout + ended.stderr


def runs_of(port):
    """How many runs each action has had, by its path."""
    url = f"http://127.0.0.1:{port}/action_invocations"
    with urllib.request.urlopen(url, timeout=30) as answer:
        return Counter(run["action"] for run in json.load(answer))


@pytest.fixture
def server(request, tmp_path):
    return lt.ThingServer.from_things(request.param, settings_folder=str(tmp_path))


@pytest.mark.parametrize("server", [{"all": Everything}], indirect=True)
def test_a_thing_with_every_kind_of_affordance_answers_as_documented(port, short_polls):
    assert findings(port, "coverage,fuzzing", 5) == ""
    ran = runs_of(port)
    assert set(ran) == {f"/all/{name}" for name in ACTIONS}


@pytest.mark.parametrize("server", [demo_bench()], indirect=True)
def test_the_demo_bench_answers_as_documented(port, short_polls):
    assert findings(port, "fuzzing", 3) == ""
    assert len(runs_of(port)) > 5


@pytest.mark.parametrize("server", [{"all": Everything}], indirect=True)
def test_an_answer_that_is_not_as_documented_is_found(server, port, short_polls):
    """Otherwise the other tests would prove nothing."""
    document = server.app.openapi()
    del document["paths"]["/all/number"]["put"]["responses"]["204"]
    document["paths"]["/all/fixed"]["get"]["responses"]["200"]["content"] = {
        "application/json": {"schema": {"type": "integer"}}
    }
    document["paths"] = {path: document["paths"][path] for path in ("/all/number", "/all/fixed")}
    found = findings(port, "fuzzing", 3)
    # Each heading names an operation; the text below them may change with the tool's version.
    assert "_ PUT /all/number _" in found
    assert "_ GET /all/fixed _" in found
    assert "_ GET /all/number _" not in found
