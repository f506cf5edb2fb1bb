"""Any thread wakes a coroutine."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

import pytest

from labthings_fastapi.concurrency.threadsafe_event import ThreadsafeEvent, outcome


def test_a_ring_from_any_thread_wakes_the_one_who_waits() -> None:
    async def main() -> bool:
        bell = ThreadsafeEvent()
        thread = threading.Thread(target=bell.ring)
        thread.start()
        rung = await bell.wait(30)
        thread.join()
        return rung

    assert asyncio.run(main())


def test_a_ring_is_answered_once_and_the_time_may_pass() -> None:
    async def main() -> list[bool]:
        bell = ThreadsafeEvent()
        bell.ring()
        bell.ring()
        return [await bell.wait(30), await bell.wait(0)]

    assert asyncio.run(main()) == [True, False]


def test_it_may_be_waited_for_without_an_end() -> None:
    async def main() -> bool:
        bell = ThreadsafeEvent()
        asyncio.get_running_loop().call_soon(bell.ring)
        return await bell.wait()

    assert asyncio.run(main())


def test_ringing_where_nobody_listens_any_more_is_harmless() -> None:
    async def main() -> ThreadsafeEvent:
        return ThreadsafeEvent()

    asyncio.run(main()).ring()
    with pytest.raises(RuntimeError):
        ThreadsafeEvent()


def test_the_outcome_of_a_future() -> None:
    done: Future[int] = Future()
    done.set_result(5)
    failed: Future[int] = Future()
    failed.set_exception(OSError("full"))

    async def main() -> int:
        later: Future[int] = Future()
        threading.Thread(target=later.set_result, args=(6,)).start()
        return await outcome(done) + await outcome(later)

    assert asyncio.run(main()) == 11
    with pytest.raises(OSError, match="full"):
        asyncio.run(outcome(failed))


def test_who_stops_waiting_leaves_the_future_to_others() -> None:
    later: Future[int] = Future()

    async def main() -> int:
        loop = asyncio.get_running_loop()
        impatient, patient = (loop.create_task(outcome(later)) for _ in range(2))
        await asyncio.sleep(0)
        impatient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await impatient
        loop.call_soon(later.set_result, 7)
        return await patient

    assert asyncio.run(main()) == 7


def test_a_future_that_is_done_after_the_loop_has_closed_wakes_nobody() -> None:
    later: Future[int] = Future()

    async def main() -> None:
        waiting = asyncio.get_running_loop().create_task(outcome(later))
        await asyncio.sleep(0)
        waiting.cancel()

    asyncio.run(main())
    later.set_result(8)
    assert later.result() == 8
