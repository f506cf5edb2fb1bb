"""A coroutine on a loop of its own."""

from __future__ import annotations

import asyncio
import threading
from collections import deque

from labthings_fastapi.concurrency.background_loop import BackgroundLoop
from labthings_fastapi.concurrency.threadsafe_event import ThreadsafeEvent


def test_it_runs_elsewhere_and_hears_every_ring() -> None:
    jobs: deque[int] = deque()
    done: list[int] = []
    threads: set[threading.Thread] = set()

    async def main(bell: ThreadsafeEvent) -> None:
        while 99 not in done:
            while jobs:
                done.append(jobs.popleft())
                threads.add(threading.current_thread())
            if 99 not in done:
                await bell.wait()

    side = BackgroundLoop("beside", main)
    for number in range(100):
        jobs.append(number)
        side.ring()
    assert side.join(30)
    assert done == list(range(100))
    [thread] = threads
    assert (thread.name, thread.daemon) == ("beside", True)
    side.ring()  # nobody hears it


def test_whoever_waits_for_the_end_waits_no_longer_than_asked() -> None:
    free = threading.Event()

    async def main(bell: ThreadsafeEvent) -> None:
        await asyncio.to_thread(free.wait)

    side = BackgroundLoop("beside", main)
    assert not side.join(0.01)
    free.set()
    assert side.join(30)
