"""A coroutine on its own event loop."""

from __future__ import annotations

import asyncio
import threading
from collections import deque

from labthings_fastapi.concurrency.background_loop import BackgroundLoop
from labthings_fastapi.concurrency.threadsafe_event import ThreadsafeEvent


def test_it_runs_in_its_own_thread_and_sees_every_wake() -> None:
    jobs: deque[int] = deque()
    done: list[int] = []
    threads: set[threading.Thread] = set()

    async def main(event: ThreadsafeEvent) -> None:
        while 99 not in done:
            while jobs:
                done.append(jobs.popleft())
                threads.add(threading.current_thread())
            if 99 not in done:
                await event.wait()

    background = BackgroundLoop("beside", main)
    for number in range(100):
        jobs.append(number)
        background.wake()
    assert background.join(30)
    assert done == list(range(100))
    [thread] = threads
    assert (thread.name, thread.daemon) == ("beside", True)
    background.wake()  # the coroutine has ended


def test_joining_waits_at_most_the_given_time() -> None:
    free = threading.Event()

    async def main(event: ThreadsafeEvent) -> None:
        await asyncio.to_thread(free.wait)

    background = BackgroundLoop("beside", main)
    assert not background.join(0.01)
    free.set()
    assert background.join(30)
