"""Code of a laboratory may do anything: one final state, one record, and the listing works."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import Any

import pytest

import labthings_fastapi as lt


class HostileError(Exception):
    """Cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    def __repr__(self) -> str:
        raise RuntimeError("no")


class Hostile:
    """Cannot be shown either."""

    def __str__(self) -> str:
        raise SystemExit("no")

    __repr__ = __str__


def circle() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


def deep(levels: int) -> list[Any]:
    made: list[Any] = []
    for _ in range(levels):
        made = [made]
    return made


RAISED = {
    "exit": SystemExit(3),
    "interrupt": KeyboardInterrupt(),
    "generator": GeneratorExit(),
    "cancelled": asyncio.CancelledError(),
    "hostile": HostileError(),
}
RETURNED = {
    "nan": lambda: math.nan,
    "surrogate": lambda: "\ud800",
    "circle": circle,
    "deep": lambda: deep(5000),
    "huge": lambda: "x" * 100_000_000,
    "object": Hostile,
}


class Laboratory(lt.Thing):
    """Everything that goes wrong."""

    @lt.action
    def fail(self, how: str) -> None:
        """Raise the named exception."""
        raise RAISED[how]

    @lt.action
    async def fail_later(self, how: str) -> None:
        """Raise the named exception, in a coroutine."""
        await asyncio.sleep(0)
        raise RAISED[how]

    @lt.action
    def recurse(self) -> None:
        """Recurse for ever."""
        self.recurse()

    @lt.action
    def give(self, what: str) -> Any:
        """Return the named value."""
        return RETURNED[what]()

    @lt.action
    def log(self, what: str) -> int:
        """Log the named value, and go on."""
        if what == "arguments":
            self.logger.info("%d of %s", "one")  # noqa: PLE1206 - that is the point
        elif what == "hostile":
            self.logger.info("%s", Hostile())
        elif what == "long":
            self.logger.info("x" * 50_000_000)
        else:
            for line in range(1_000_000):
                self.logger.info("line %d", line)
        return 7


@pytest.fixture
def lab(thing_server):
    """Keep the records away from pytest's own handlers, which raise at what cannot be shown."""

    def nothing(_record: logging.LogRecord) -> bool:
        return False

    handlers = list(logging.getLogger().handlers)
    for handler in handlers:
        handler.addFilter(nothing)
    yield thing_server({"lab": Laboratory}).client
    for handler in handlers:
        handler.removeFilter(nothing)


def outcome(lab, action, **arguments):
    """Run an action and return its end, after looking that the server is well."""
    started = lab.post(f"/lab/{action}", json=arguments)
    assert started.status_code == 201, started.text[:500]
    href = f"/action_invocations/{started.json()['id']}"
    for _ in range(12):
        run = lab.get(href, headers={"Prefer": "wait=10"})
        assert run.status_code == 200
        if run.json()["status"] not in ("pending", "running"):
            break
    listing = lab.get("/action_invocations")
    assert listing.status_code == 200
    assert listing.json()[-1]["status"] == run.json()["status"]
    assert lab.get("/lab/actions").status_code == 200
    assert lab.get("/health").json()["status"] == "running"
    return run.json()


@pytest.mark.parametrize("action", ["fail", "fail_later"])
@pytest.mark.parametrize("how", RAISED)
def test_whatever_an_action_raises_its_run_ends_in_error(lab, action, how):
    run = outcome(lab, action, how=how)
    assert run["status"] == "error"
    assert type(RAISED[how]).__name__ in run["error"]["detail"]
    assert run["output"] is None


def test_endless_recursion_ends_in_error(lab):
    run = outcome(lab, "recurse")
    assert run["status"] == "error"
    assert "RecursionError" in run["error"]["detail"]


@pytest.mark.parametrize("what", ["surrogate", "circle", "deep", "object"])
def test_an_output_that_cannot_be_written_is_an_error_with_the_reason(lab, what):
    run = outcome(lab, "give", what=what)
    assert run["status"] == "error"
    assert run["error"]["type"].endswith("unserialisable")
    assert "lab.give" in run["error"]["detail"] or "Laboratory.give" in run["error"]["detail"]


def test_nan_is_given_as_its_name(lab):
    run = outcome(lab, "give", what="nan")
    assert (run["status"], run["output"]) == ("completed", "NaN")


def test_an_output_of_100_megabytes_arrives_whole(lab):
    run = outcome(lab, "give", what="huge")
    assert run["status"] == "completed"
    assert len(run["output"]) == 100_000_000


@pytest.mark.parametrize("what", ["arguments", "hostile"])
def test_a_bad_log_call_is_kept_as_it_was_and_breaks_nothing(lab, what):
    run = outcome(lab, "log", what=what)
    assert (run["status"], run["output"]) == ("completed", 7)
    assert run["log"][0]["message"].startswith("Error")


def test_a_line_of_50_megabytes_is_cut_with_a_note(lab):
    run = outcome(lab, "log", what="long")
    assert run["output"] == 7
    assert len(run["log"][0]["message"]) < 20_000
    assert "more characters were dropped" in run["log"][0]["message"]


@pytest.mark.timeout(600)  # a million of anything takes its time on a busy computer
def test_of_a_million_lines_the_newest_are_kept_and_the_others_counted(lab):
    run = outcome(lab, "log", what="many")
    assert run["output"] == 7
    assert len(run["log"]) == 1000
    assert run["log"][-1]["message"] == "line 999999"
    assert run["logDropped"] == 999_000
