"""The Things' loop outlives everything that user code does on it."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import sys
import threading
from typing import Any

import pytest

from labthings_fastapi.concurrency.things_loop import ThingsLoop, loop_of, pass_loop_on


@pytest.fixture(scope="module")
def loop() -> ThingsLoop:
    """Return a loop that only this module uses."""
    return ThingsLoop()


async def five() -> int:
    await asyncio.sleep(0)
    return 5


class Owner:
    """What a Thing has from its server."""


def test_there_is_one_for_each_thing_and_it_starts_on_first_use() -> None:
    one, other = Owner(), Owner()
    before = threading.active_count()
    assert loop_of(one, "one") is loop_of(one, "one")
    assert loop_of(one, "one") is not loop_of(other, "other")
    assert threading.active_count() == before


def test_a_coroutine_that_blocks_delays_no_coroutine_of_another_thing() -> None:
    blocked, go_on = threading.Event(), threading.Event()

    async def block() -> None:
        blocked.set()
        go_on.wait(30)

    camera, stage = loop_of(Owner(), "camera"), loop_of(Owner(), "stage")
    blocking = camera.submit(block())
    assert blocked.wait(30)
    assert stage.call(five) == 5
    go_on.set()
    blocking.result(30)


def test_another_owner_takes_the_loop_over() -> None:
    alone, served, fresh = Owner(), Owner(), Owner()
    loop = loop_of(alone, "stage")
    pass_loop_on(alone, served)
    pass_loop_on(served, served)
    assert loop_of(served, "stage") is loop
    pass_loop_on(None, fresh)
    pass_loop_on(Owner(), fresh)
    assert loop_of(fresh, "stage") is not loop


def test_its_thread_ends_after_the_last_task_when_nobody_can_use_it_any_more() -> None:
    go_on = threading.Event()

    async def last() -> threading.Thread:
        await asyncio.to_thread(go_on.wait, 30)
        return threading.current_thread()

    owner = Owner()
    future = loop_of(owner, "short").submit(last()).future
    del owner
    gc.collect()
    go_on.set()
    thread = future.result(30)
    del future
    gc.collect()
    thread.join(30)
    assert not thread.is_alive()


def test_code_that_stops_its_loop_does_not_end_it(loop: ThingsLoop) -> None:
    async def stop() -> None:
        asyncio.get_running_loop().stop()

    loop.call(stop)
    assert loop.call(five) == 5


def test_it_runs_coroutines_in_its_own_daemon_thread(loop: ThingsLoop) -> None:
    async def where() -> tuple[str, bool]:
        return threading.current_thread().name, threading.current_thread().daemon

    assert loop.call(where) == ("labthings-loop-thing", True)


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


def test_a_coroutine_runs_in_a_copy_of_the_callers_context(loop: ThingsLoop) -> None:
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
    async def blocking() -> None:
        loop.call(five)

    with pytest.raises(RuntimeError, match="use `await`"):
        loop.call(blocking)

    async def on_another_loop() -> int:
        result: int = loop.call(five)
        return result

    assert asyncio.run(on_another_loop()) == 5


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
    """Its coroutine is closed: otherwise Python warns that it was never awaited."""
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


def test_waiting_for_a_result_times_out(loop: ThingsLoop) -> None:
    handle = loop.submit(asyncio.Event().wait())
    with pytest.raises(TimeoutError):
        handle.result(0)
    handle.cancel()


async def fail() -> None:
    raise OSError("no answer")


def test_an_exception_that_nobody_looks_at_is_logged(
    loop: ThingsLoop, caplog: pytest.LogCaptureFixture
) -> None:
    ended = threading.Event()
    loop.submit(fail()).future.add_done_callback(lambda _: ended.set())
    assert ended.wait(30)
    loop.submit(five()).result(30)  # the callbacks of the task before have run
    gc.collect()
    assert "ended with OSError: no answer" in caplog.text
    assert "in fail" in caplog.text


def test_an_exception_that_somebody_looked_at_is_not_logged(
    loop: ThingsLoop, caplog: pytest.LogCaptureFixture
) -> None:
    for look in (lambda future: future.exception(30), lambda future: future.result(30)):
        future = loop.submit(fail()).future
        with contextlib.suppress(OSError):
            look(future)
        del future
    gc.collect()
    assert caplog.text == ""
