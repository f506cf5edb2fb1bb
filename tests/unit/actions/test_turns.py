"""Waits for a group or a Thing that could never end are told, and end."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

import labthings_fastapi as lt
from labthings_fastapi.actions import ActionManager, Invocation, InvocationStatus, waiting
from labthings_fastapi.exceptions import ActionBusyError, AffordanceDefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "CHECK_SECONDS", 0.02)
    monkeypatch.setattr("labthings_fastapi.actions.thread_calls.CHECK_SECONDS", 0.02)


class Stage(lt.Thing):
    """Moves its axes in a pool of threads, and waits for the pool."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.go_on = threading.Event(), threading.Event()

    @lt.action(concurrency="queue", group="motion")
    def move(self, axis: str = "x") -> str:
        return axis

    @lt.action(concurrency="queue", group="motion")
    def home(self) -> list[str]:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            return list(pool.map(self.move, "xy"))

    @lt.action
    def scan(self) -> str:
        self.inside.set()
        assert self.go_on.wait(30)
        return self.move("scan")


def until(condition: Callable[[], object]) -> None:
    """Wait for something that is no event."""
    clock = threading.Event()
    for _ in range(3000):
        if condition():
            return
        clock.wait(0.01)
    raise AssertionError("it never came")


def test_a_pool_that_waits_for_its_own_run_is_told_in_the_log_of_the_run(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage, manager = Stage(), ActionManager()
    run = manager.invoke_action(Stage.home, stage)
    run.default_stop_timeout = 0.05
    until(lambda: run.log)
    told = run.log[0]
    assert told.levelno == logging.WARNING
    assert told.name == "labthings_fastapi.things.Stage"
    message = told.getMessage()
    assert "ThreadPoolExecutor" in message
    assert str(run.id) in message
    assert "copy_context" in message
    # A cancel ends it: those that wait for a run that is overdue are refused.
    run.cancel()
    run.join(30)
    assert run.status is InvocationStatus.ERROR
    assert isinstance(run.exception, ActionBusyError)
    assert manager.invoke_action(Stage.move, stage).wait(30)
    once_for_each_thread = [r for r in caplog.records if " waits: " in r.getMessage()]
    assert len(once_for_each_thread) == 2


def test_a_run_waits_for_no_run_that_waits_for_its_end() -> None:
    """With one run at a time, the run in progress calls what a queued one has the place for."""
    stage, manager = Stage(), ActionManager(max_concurrent_runs=1)
    scan = manager.invoke_action(Stage.scan, stage)
    assert stage.inside.wait(30)
    move = manager.invoke_action(Stage.move, stage)
    later = manager.invoke_action(Stage.move, stage)
    assert move.phase == "queued"
    stage.go_on.set()
    for run in (scan, move, later):
        run.join(30)
        assert run.status is InvocationStatus.COMPLETED
    assert scan.output == "scan"


class Meter(lt.Thing, exclusive=True):
    @lt.property
    def volts(self) -> float:
        return 1.0

    @volts.setter
    def _set_volts(self, value: float) -> None: ...


class BetterMeter(Meter):
    """Inherits that it is exclusive."""


class FreeMeter(Meter, exclusive=False):
    """Is exclusive no more."""


def test_both_keywords_are_inherited_and_can_be_changed() -> None:
    class Own(Meter, thread="own"):
        pass

    class AlsoOwn(Own):
        pass

    assert [cls()._exclusive for cls in (Meter, BetterMeter, FreeMeter, Own)] == [
        *(True, True, False, True)
    ]
    assert [cls()._own_thread for cls in (Meter, Own, AlsoOwn)] == [False, True, True]


@pytest.mark.parametrize(("cls", "waits"), [(BetterMeter, True), (FreeMeter, False)])
def test_a_reading_waits_for_who_keeps_an_exclusive_thing(cls: type[Meter], waits: bool) -> None:
    meter = cls()
    readings: list[float] = []
    reading = threading.Thread(target=lambda: readings.append(meter.volts))
    with lt.hold(meter):
        reading.start()
        reading.join(0.05 if waits else 30)
        assert readings == ([] if waits else [1.0])
    reading.join(30)
    assert readings == [1.0]


@pytest.mark.parametrize("keywords", [{"exclusive": "yes"}, {"thread": "mine"}])
def test_other_values_of_the_keywords_are_refused(keywords: dict[str, Any]) -> None:
    with pytest.raises(AffordanceDefinitionError, match=r"Odd: (exclusive|thread)="):
        type("Odd", (lt.Thing,), {}, **keywords)


class Line(lt.Thing, exclusive=True):
    """Answers the question that was asked last, as a driver with one line does."""

    asked = ""

    def ask(self, what: str) -> str:
        self.asked = what
        time.sleep(0.0005)
        return self.asked

    @lt.property
    def volts(self) -> str:
        return self.ask("volts")

    @lt.action
    def measure(self) -> list[str]:
        return [self.ask("amps"), self.volts, self.ask("amps")]

    @lt.action
    async def measure_slowly(self) -> list[str]:
        found = []
        for _ in range(3):
            self.asked = "ohms"
            await asyncio.sleep(0.0005)
            found.append(self.asked)
        return found


class Script(lt.Thing):
    def __init__(self, line: Line) -> None:
        super().__init__()
        self.line = line

    @lt.action
    def in_threads(self) -> list[Any]:
        work = [lambda: self.line.volts, self.line.measure] * 3
        threads = [
            lt.ThreadWithInvocationID(lambda one=one: [one() for _ in range(10)]) for one in work
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join_and_propagate_cancel(0.01)
        return [thread.result for thread in threads]

    @lt.action
    async def in_tasks(self) -> list[Any]:
        tasks = [self.line.measure_slowly() for _ in range(5)]
        return list(await asyncio.gather(*tasks))


MEASURED = ["amps", "volts", "amps"]


def test_threads_of_one_run_use_an_exclusive_thing_one_at_a_time() -> None:
    line = Line()
    run = ActionManager().invoke_action(Script.in_threads, Script(line))
    run.join(50)
    assert run.output == [["volts"] * 10, [MEASURED] * 10] * 3


def test_tasks_of_one_run_use_an_exclusive_thing_one_at_a_time() -> None:
    run = ActionManager().invoke_action(Script.in_tasks, Script(Line()))
    run.join(50)
    assert run.output == [["ohms"] * 3] * 5


def test_threads_that_an_action_of_an_exclusive_thing_starts_may_use_it_meanwhile() -> None:
    class Pair(Line):
        @lt.action
        def both(self) -> list[str]:
            threads = [lt.ThreadWithInvocationID(lambda: self.volts) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join_and_propagate_cancel(0.01)
            return [thread.result for thread in threads]

    class Caller(lt.Thing):
        @lt.action
        def call(self) -> list[str]:
            return pair.both()

    pair, manager = Pair(), ActionManager()
    runs = [manager.invoke_action(*one) for one in ((Pair.both, pair), (Caller.call, Caller()))]
    for run in runs:
        run.join(50)
        assert run.output == ["volts", "volts"]


def test_a_wait_that_would_block_the_loop_of_the_run_that_has_the_thing_is_refused() -> None:
    class Slow(Meter):
        def __init__(self) -> None:
            super().__init__()
            self.inside, self.go_on = threading.Event(), threading.Event()

        @lt.action
        async def measure(self) -> float:
            self.inside.set()
            await asyncio.to_thread(self.go_on.wait, 30)
            return self.volts

    async def watch() -> float:
        return slow.volts

    slow = Slow()
    run = ActionManager().invoke_action(Slow.measure, slow)
    assert slow.inside.wait(30)
    with pytest.raises(ActionBusyError, match="needs the event loop that this wait blocks"):
        slow._thing_server_interface.call_async_task(watch)
    slow.go_on.set()
    run.join(30)
    assert run.output == 1.0
    assert slow._thing_server_interface.call_async_task(watch) == 1.0


# --- a thread of its own ------------------------------------------------------------------


class Camera(lt.Thing, thread="own"):
    def __init__(self) -> None:
        super().__init__()
        self.threads: list[str] = []
        self.waiting = threading.Event()

    def __enter__(self) -> Camera:
        self.threads.append(threading.current_thread().name)
        return self

    def __exit__(self, *_: object) -> None:
        self.threads.append(threading.current_thread().name)

    @lt.property
    def frame(self) -> int:
        self.threads.append(threading.current_thread().name)
        return 1

    @lt.action
    def expose(self) -> str:
        """Ask for a frame in another thread, and wait for it: that can never come."""
        helper = lt.ThreadWithInvocationID(lambda: self.frame)
        helper.start()
        self.waiting.set()
        helper.join_and_propagate_cancel(0.01)
        return "exposed"

    @lt.action
    def count(self) -> Any:
        """Yield twice."""
        try:
            yield threading.current_thread().name
            yield 2
        finally:
            self.threads.append(threading.current_thread().name)


def test_without_a_server_it_has_its_thread_too() -> None:
    with Camera() as camera:
        assert camera.frame == 1
    assert camera.threads == ["labthings-own-Camera"] * 3


def test_a_generator_that_is_left_early_is_closed_in_the_thread() -> None:
    camera = Camera()
    frames = camera.count()
    assert next(frames) == "labthings-own-Camera"
    frames.close()
    assert camera.threads == ["labthings-own-Camera"]
    assert camera.frame == 1  # others may use it again


def test_code_that_waits_for_a_call_into_its_own_thread_is_told_and_can_be_cancelled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    camera, manager = Camera(), ActionManager()
    run: Invocation = manager.invoke_action(Camera.expose, camera)
    assert camera.waiting.wait(30)
    until(lambda: "own thread is busy" in caplog.text)
    run.cancel()
    run.join(30)
    assert run.status is InvocationStatus.CANCELLED
    assert camera.frame == 1


def test_what_is_raised_there_comes_to_the_caller() -> None:
    class Broken(lt.Thing, thread="own"):
        @lt.property
        def value(self) -> int:
            raise SystemExit(3)

        @lt.action
        def act(self) -> int:
            raise StopIteration("odd")

    broken = Broken()
    with pytest.raises(SystemExit):
        _ = broken.value
    with pytest.raises(StopIteration, match="odd"):
        broken.act()


def test_the_thread_ends_with_its_thing() -> None:
    class Brief(Camera):
        pass

    camera = Brief()
    assert camera.frame == 1
    [thread] = [one for one in threading.enumerate() if one.name == "labthings-own-Brief"]
    del camera
    gc.collect()
    thread.join(30)
    assert not thread.is_alive()
