"""User code runs on its own threads, a bounded number at once, and never ends an event loop."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import TYPE_CHECKING, Any

import pytest

from labthings_fastapi.concurrency.bounded_executor import BoundedExecutor, UserCodeExit, Workers
from labthings_fastapi.exceptions import TooBusyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from labthings_fastapi.concurrency.bounded_executor import Job


class Stuck:
    """A driver that returns only when the gate opens."""

    def __init__(self) -> None:
        """Count the calls in progress."""
        self.gate = threading.Event()
        self.entered = threading.Semaphore(0)
        self.inside = 0
        self.most = 0
        self._lock = threading.Lock()

    def read(self, value: int = 0) -> int:
        """Wait for the gate."""
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.entered.release()
        self.gate.wait(60)
        with self._lock:
            self.inside -= 1
        return value


@pytest.fixture
def workers() -> Workers:
    """Return new workers."""
    return Workers("test-worker")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - a thread makes it true
            await asyncio.sleep(0)


def test_a_call_runs_on_a_worker_in_the_callers_context(workers: Workers) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")

    def call(value: int) -> tuple[int, str]:
        return value + variable.get(), threading.current_thread().name

    async def main() -> tuple[int, str]:
        variable.set(5)
        return await BoundedExecutor(workers, "stage").run(call, 1)

    value, name = asyncio.run(main())
    assert value == 6
    assert name.startswith("test-worker")


def test_a_waiting_worker_is_used_again(workers: Workers) -> None:
    async def main() -> set[int]:
        executor = BoundedExecutor(workers, "stage")
        return {await executor.run(threading.get_ident) for _ in range(20)}

    # A call may start before the last worker waits again, hence not always one thread.
    assert len(asyncio.run(main())) < 20


def test_an_exception_comes_back(workers: Workers) -> None:
    def call() -> None:
        raise ValueError("jammed")

    with pytest.raises(ValueError, match="jammed"):
        asyncio.run(_run(workers, call))


async def _run(workers: Workers, call: Callable[[], Any]) -> Any:
    return await BoundedExecutor(workers, "stage").run(call)


@pytest.mark.parametrize(
    "error",
    [
        SystemExit(3),
        KeyboardInterrupt(),
        GeneratorExit(),
        StopIteration(),
        asyncio.CancelledError(),
    ],
)
def test_an_exception_that_would_end_an_event_loop_is_wrapped(
    workers: Workers, error: BaseException
) -> None:
    def call() -> None:
        raise error

    with pytest.raises(UserCodeExit) as caught:
        asyncio.run(_run(workers, call))
    assert caught.value.raised is error


def test_calls_beyond_the_limit_wait_and_run_in_order(workers: Workers) -> None:
    stuck = Stuck()

    async def main() -> list[int]:
        executor = BoundedExecutor(workers, "stage", limit=3, waiting=5)
        tasks = [asyncio.create_task(executor.run(stuck.read, number)) for number in range(8)]
        await until(lambda: stuck.inside == 3)
        stuck.gate.set()
        return await asyncio.gather(*tasks)

    assert asyncio.run(main()) == list(range(8))
    assert stuck.most == 3


def test_a_call_beyond_the_waiting_calls_is_refused(workers: Workers) -> None:
    stuck = Stuck()

    async def main() -> None:
        executor = BoundedExecutor(workers, "Thing 'stage'", limit=1, waiting=1)
        tasks = [asyncio.create_task(executor.run(stuck.read)) for _ in range(2)]
        await until(lambda: stuck.inside == 1)
        try:
            with pytest.raises(TooBusyError, match=r"'stage' is busy: 1 calls .* 1 wait"):
                await executor.run(stuck.read)
        finally:
            stuck.gate.set()
        await asyncio.gather(*tasks)
        assert await executor.run(stuck.read, 7) == 7

    asyncio.run(main())


def test_a_stuck_thing_delays_no_other(workers: Workers) -> None:
    stuck = Stuck()

    async def main() -> int:
        executor = BoundedExecutor(workers, "stuck", limit=2)
        tasks = [asyncio.create_task(executor.run(stuck.read)) for _ in range(10)]
        await until(lambda: stuck.inside == 2)
        answer = await BoundedExecutor(workers, "free").run(lambda: 5)
        stuck.gate.set()
        await asyncio.gather(*tasks)
        return answer

    assert asyncio.run(main()) == 5


def test_a_cancelled_call_counts_until_its_function_returns(workers: Workers) -> None:
    """Clients that disconnect cannot accumulate threads in a driver that hangs."""
    stuck = Stuck()

    async def main() -> None:
        executor = BoundedExecutor(workers, "stage", limit=1, waiting=2)
        first = asyncio.create_task(executor.run(stuck.read))
        await until(lambda: stuck.inside == 1)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        second = asyncio.create_task(executor.run(stuck.read, 2))
        for _ in range(10):
            await asyncio.sleep(0)
        assert stuck.inside == 1
        stuck.gate.set()
        assert await second == 2

    asyncio.run(main())
    assert stuck.most == 1


def test_a_waiting_call_that_is_cancelled_leaves_the_queue(workers: Workers) -> None:
    stuck = Stuck()

    async def main() -> None:
        executor = BoundedExecutor(workers, "stage", limit=1, waiting=1)
        first = asyncio.create_task(executor.run(stuck.read, 1))
        waiting = asyncio.create_task(executor.run(stuck.read, 2))
        await until(lambda: stuck.inside == 1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        other = asyncio.create_task(executor.run(stuck.read, 3))
        await asyncio.sleep(0)
        stuck.gate.set()
        assert await asyncio.gather(first, other) == [1, 3]

    asyncio.run(main())


def test_a_call_may_return_after_its_loop_has_closed(workers: Workers) -> None:
    stuck = Stuck()

    async def main() -> None:
        task = asyncio.create_task(BoundedExecutor(workers, "stage").run(stuck.read))
        await until(lambda: stuck.inside == 1)
        task.cancel()

    asyncio.run(main())
    stuck.gate.set()
    assert asyncio.run(_run(workers, lambda: 5)) == 5


def test_where_no_thread_can_be_started_a_call_is_refused(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError(f"can't start new thread {thread.name}")

    async def main() -> int:
        executor = BoundedExecutor(workers, "stage", limit=1)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            with pytest.raises(
                TooBusyError, match=r"stage is busy: .* can't start new thread test-work"
            ):
                await executor.run(lambda: 1)
        return await executor.run(lambda: 2)

    assert asyncio.run(main()) == 2


class LimitedWorkers(Workers):
    """Workers whose system starts no more than `threads` threads."""

    threads = 1

    def submit(self, job: Job) -> None:
        """Run the job if a thread is left."""
        if self.threads == 0:
            raise RuntimeError("can't start new thread")
        self.threads -= 1
        super().submit(job)


def test_a_waiting_call_that_cannot_start_is_refused_and_blocks_no_other() -> None:
    stuck = Stuck()
    workers = LimitedWorkers("test-worker")

    async def main() -> list[Any]:
        executor = BoundedExecutor(workers, "stage", limit=1)
        tasks = [asyncio.create_task(executor.run(stuck.read, number)) for number in range(3)]
        await until(lambda: stuck.inside == 1)
        stuck.gate.set()
        async with asyncio.timeout(30):
            results = await asyncio.gather(*tasks, return_exceptions=True)
        workers.threads = 1
        return [*results, await executor.run(stuck.read, 7)]

    first, *refused, last = asyncio.run(main())
    assert (first, last) == (0, 7)
    assert [type(error) for error in refused] == [TooBusyError] * 2


def test_a_call_that_outlives_its_loop_does_not_count_on_the_next_loop() -> None:
    executor, stuck = BoundedExecutor(Workers("test"), "stage", limit=1), Stuck()

    async def cancel_calls() -> None:
        calls = [asyncio.create_task(executor.run(stuck.read)) for _ in range(2)]
        await asyncio.to_thread(stuck.entered.acquire)
        for call in calls:
            call.cancel()

    async def call_again() -> int:
        return await asyncio.wait_for(executor.run(int, "7"), 10)

    asyncio.run(cancel_calls())
    try:
        assert asyncio.run(call_again()) == 7
    finally:
        stuck.gate.set()
