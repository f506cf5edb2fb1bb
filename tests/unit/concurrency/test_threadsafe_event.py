"""Any thread wakes a coroutine."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

import pytest

from labthings_fastapi.concurrency.threadsafe_event import ThreadsafeEvent, wait_for_future


def test_setting_the_event_from_any_thread_wakes_the_waiting_coroutine() -> None:
    async def main() -> bool:
        event = ThreadsafeEvent()
        thread = threading.Thread(target=event.set)
        thread.start()
        was_set = await event.wait(30)
        thread.join()
        return was_set

    assert asyncio.run(main())


def test_waiting_resets_the_event_and_times_out() -> None:
    async def main() -> list[bool]:
        event = ThreadsafeEvent()
        event.set()
        event.set()
        return [await event.wait(30), await event.wait(0)]

    assert asyncio.run(main()) == [True, False]


def test_waiting_without_a_timeout() -> None:
    async def main() -> bool:
        event = ThreadsafeEvent()
        asyncio.get_running_loop().call_soon(event.set)
        return await event.wait()

    assert asyncio.run(main())


def test_setting_the_event_after_its_loop_has_closed_does_nothing() -> None:
    async def main() -> ThreadsafeEvent:
        return ThreadsafeEvent()

    asyncio.run(main()).set()
    with pytest.raises(RuntimeError):
        ThreadsafeEvent()


def test_a_future_gives_its_result_or_raises_its_error() -> None:
    done: Future[int] = Future()
    done.set_result(5)
    failed: Future[int] = Future()
    failed.set_exception(OSError("full"))

    async def main() -> int:
        later: Future[int] = Future()
        threading.Thread(target=later.set_result, args=(6,)).start()
        return await wait_for_future(done) + await wait_for_future(later)

    assert asyncio.run(main()) == 11
    with pytest.raises(OSError, match="full"):
        asyncio.run(wait_for_future(failed))


def test_cancelling_one_wait_leaves_the_future_to_the_others() -> None:
    later: Future[int] = Future()

    async def main() -> int:
        loop = asyncio.get_running_loop()
        cancelled, patient = (loop.create_task(wait_for_future(later)) for _ in range(2))
        await asyncio.sleep(0)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        loop.call_soon(later.set_result, 7)
        return await patient

    assert asyncio.run(main()) == 7


def test_a_future_may_resolve_after_the_loop_has_closed() -> None:
    later: Future[int] = Future()

    async def main() -> None:
        waiting = asyncio.get_running_loop().create_task(wait_for_future(later))
        await asyncio.sleep(0)
        waiting.cancel()

    asyncio.run(main())
    later.set_result(8)
    assert later.result() == 8
