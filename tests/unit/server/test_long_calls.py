"""A getter or setter that does not return is named in the log, and in `/health`."""

from __future__ import annotations

import asyncio
import re
import threading

import pytest

import labthings_fastapi as lt
from labthings_fastapi.actions import ActionManager
from labthings_fastapi.bindings.interaction import properties
from labthings_fastapi.bindings.interaction.things import Interactions
from labthings_fastapi.concurrency.bounded_executor import Workers
from labthings_fastapi.server.long_calls import LongCalls


class Cryostat(lt.Thing):
    """It answers when it is let go."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.began, self.go = threading.Event(), threading.Event()

    @lt.property
    def temperature(self) -> float:
        return self._ask()

    @lt.property(shared=False)
    def pressure(self) -> float:
        return self._ask()

    @lt.property
    def target(self) -> float:
        return 4.0

    @target.setter
    def target(self, value: float) -> None:
        self._ask()

    def _ask(self) -> float:
        self.began.set()
        assert self.go.wait(30)
        return 4.2


@pytest.fixture
def cryostat():
    thing = Cryostat()
    yield thing
    thing.go.set()


def looks(cryostat, caplog, ask, limit=0.0):
    """Return what is logged at each of two looks during a call, and at one after it."""
    interactions = Interactions(ActionManager(), Workers("test-long-calls"))
    seen = []

    async def main():
        looked = asyncio.Queue()
        go_on = asyncio.Queue()

        async def sleep(_seconds):
            await looked.put(None)
            await go_on.get()

        calls = LongCalls(interactions.of, sleep, limit)
        calls.start([])
        calls.add(cryostat)
        await looked.get()
        call = asyncio.create_task(ask(interactions.of(cryostat).each_property))
        await asyncio.to_thread(cryostat.began.wait, 30)
        for over in (False, False, True):
            if over:
                cryostat.go.set()
                await call
            caplog.clear()
            await go_on.put(None)
            await looked.get()
            seen.append([record.getMessage() for record in caplog.records])
        await calls.stop()

    with caplog.at_level("INFO", "labthings_fastapi"):
        asyncio.run(main())
    return seen


@pytest.mark.parametrize(
    ("name", "what", "ask"),
    [
        ("temperature", "getter", lambda each: each["temperature"].read()),
        ("pressure", "getter", lambda each: each["pressure"].read()),
        ("target", "setter", lambda each: each["target"].write(b"3")),
    ],
)
def test_a_call_that_does_not_return_is_logged_once_with_its_line_of_code(
    cryostat, caplog, name, what, ask
):
    first, second, after = looks(cryostat, caplog, ask)
    (line,) = first
    label = f"Property {name!r} of Thing {cryostat.name!r}"
    assert re.match(rf"{re.escape(label)}: its {what} has not returned for \d+ s: it is at ", line)
    assert "in wait(), in thread 'test-long-calls-1'" in line
    assert second == []
    (line,) = after
    assert line.startswith(f"{label}: its {what} has returned")


def test_a_quick_call_is_not_logged(cryostat, caplog):
    assert looks(cryostat, caplog, lambda each: each["temperature"].read(), 60.0) == [[], [], []]


@pytest.mark.parametrize("name", ["temperature", "pressure"])
def test_a_property_that_does_not_answer_is_failing_until_it_does(cryostat, monkeypatch, name):
    interactions = Interactions(ActionManager(), Workers("test-long-calls"))

    async def main():
        found = interactions.of(cryostat).each_property[name]
        reading = asyncio.create_task(found.read())
        await asyncio.to_thread(cryostat.began.wait, 30)
        assert interactions.failed_readings() == {}  # not yet: it may be slow
        monkeypatch.setattr(properties, "LONG_CALL", 0.0)
        failure = interactions.failed_readings()[cryostat.name][name]
        assert re.search(r"its getter has not returned for \d+ s", failure.problem["detail"])
        assert failure.since.utcoffset() is not None
        cryostat.go.set()
        assert await reading == b"4.2"
        assert interactions.failed_readings() == {}

    asyncio.run(main())


def test_a_setter_that_takes_long_is_no_failed_reading(cryostat, monkeypatch):
    interactions = Interactions(ActionManager(), Workers("test-long-calls"))
    monkeypatch.setattr(properties, "LONG_CALL", 0.0)

    async def main():
        found = interactions.of(cryostat).each_property["target"]
        writing = asyncio.create_task(found.write(b"3"))
        await asyncio.to_thread(cryostat.began.wait, 30)
        assert interactions.failed_readings() == {}
        cryostat.go.set()
        assert await writing is None

    asyncio.run(main())
