"""The Things' loop outlives everything that user code does on it."""

from __future__ import annotations

import asyncio
import contextvars
import importlib.util
import sys
import threading
from typing import Any

import pytest

from labthings_fastapi.concurrency import things_loop as portal
from labthings_fastapi.concurrency.things_loop import ThingsLoop, things_loop


@pytest.fixture(scope="module")
def loop() -> ThingsLoop:
    """Give a loop of its own to this module."""
    return ThingsLoop()


async def five() -> int:
    await asyncio.sleep(0)
    return 5


def test_there_is_one_for_the_process_and_it_starts_on_first_use() -> None:
    assert things_loop() is things_loop()
    before = threading.active_count()
    ThingsLoop()
    assert threading.active_count() == before


def test_it_runs_coroutines_in_a_daemon_thread_of_its_own(loop: ThingsLoop) -> None:
    async def where() -> tuple[str, bool]:
        return threading.current_thread().name, threading.current_thread().daemon

    assert loop.call(where) == ("labthings-things-loop", True)


def test_where_no_thread_can_be_started_the_next_call_tries_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    fresh = ThingsLoop()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            fresh.call(five)
    assert fresh.call(five) == 5


def test_call_passes_arguments_and_exceptions(loop: ThingsLoop) -> None:
    async def divide(a: int, b: int) -> float:
        return a / b

    assert loop.call(divide, 6, 3) == 2
    with pytest.raises(ZeroDivisionError):
        loop.call(divide, 1, 0)


def test_the_context_of_the_caller_goes_along(loop: ThingsLoop) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)

    async def read_and_change() -> int:
        found = variable.get()
        variable.set(99)
        return found

    variable.set(5)
    assert loop.call(read_and_change) == 5
    assert variable.get() == 5


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_whatever_a_coroutine_raises_reaches_the_caller_only(
    loop: ThingsLoop, error: type[BaseException]
) -> None:
    async def failing() -> None:
        raise error

    with pytest.raises(error):
        loop.call(failing)
    assert loop.call(five) == 5


def test_a_callback_or_a_task_that_exits_does_not_end_the_loop(
    loop: ThingsLoop, caplog: pytest.LogCaptureFixture
) -> None:
    async def inner() -> None:
        sys.exit(3)

    async def outer() -> None:
        asyncio.get_running_loop().call_soon(sys.exit, 4)
        await asyncio.create_task(inner())

    with pytest.raises(SystemExit):
        loop.call(outer)
    assert loop.call(five) == 5
    assert "SystemExit" in caplog.text


def test_waiting_for_the_loop_on_the_loop_is_refused(loop: ThingsLoop) -> None:
    async def careless() -> None:
        loop.call(five)

    with pytest.raises(RuntimeError, match="use `await`"):
        loop.call(careless)

    async def elsewhere() -> None:
        loop.refuse_own_thread()

    asyncio.run(elsewhere())


def test_a_task_is_cancelled_from_any_thread(loop: ThingsLoop) -> None:
    begun = threading.Event()

    async def waiting() -> None:
        begun.set()
        await asyncio.Event().wait()

    handle = loop.submit(waiting())
    assert begun.wait(30)
    handle.cancel(when=lambda: False)
    handle.cancel()
    with pytest.raises(asyncio.CancelledError):
        handle.result(30)
    handle.cancel()


def test_a_task_that_is_cancelled_before_its_first_step_is_settled(loop: ThingsLoop) -> None:
    """Its coroutine is closed: one that is never awaited would be warned of."""
    held, gate = threading.Event(), threading.Event()
    steps: list[Any] = []

    async def busy() -> None:
        held.set()
        gate.wait(30)

    async def late() -> None:
        steps.append(1)

    blocker = loop.submit(busy())
    assert held.wait(30)
    handle = loop.submit(late())
    handle.cancel()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        handle.result(30)
    assert steps == []
    blocker.result(30)


def test_not_waiting_for_ever(loop: ThingsLoop) -> None:
    handle = loop.submit(asyncio.Event().wait())
    with pytest.raises(TimeoutError):
        handle.result(0)
    handle.cancel()


def test_two_threads_that_come_first_share_one_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.find_spec(portal.__name__)
    assert spec is not None
    assert spec.loader is not None
    fresh = importlib.util.module_from_spec(spec)  # where nobody has come yet
    spec.loader.exec_module(fresh)
    make = fresh.ThingsLoop.__init__
    others: list[Any] = []

    def make_as_another_comes(loop: ThingsLoop) -> None:
        make(loop)
        if not others:
            other = threading.Thread(target=lambda: others.append(fresh.things_loop()))
            others.append(other)
            other.start()
            other.join(30)

    monkeypatch.setattr(fresh.ThingsLoop, "__init__", make_as_another_comes)
    mine = fresh.things_loop()
    assert all(loop is mine for loop in others[1:])
    assert fresh.things_loop() is mine
