"""Things to do at a later time: one heap and one thread, not a scan."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from functools import cache

from labthings_fastapi.own_log import own_logger

LOGGER = own_logger("actions")
LONGEST_WAIT = 3600.0  # seconds; a run may be kept for ever, but no lock can wait that long


class Deadlines:
    """Calls back at given times of a monotonic clock, in a daemon thread; any thread may add.

    The thread exists only while something is due: an unused manager holds nothing.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._heap: list[tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()
        self._thread: threading.Thread | None = None

    def add(self, when: float, callback: Callable[[], object]) -> None:
        """Call `callback` when `time.monotonic()` reaches `when`; it should be brief."""
        error = None
        with self._condition:
            heapq.heappush(self._heap, (when, next(self._order), callback))
            if self._thread is None:
                error = self._start()
            elif self._heap[0][0] == when:
                self._condition.notify()
        if error is not None:
            LOGGER.error("Deadlines wait until a thread can be started for them: %s", error)

    def _start(self) -> Exception | None:
        """Start the thread, under the lock; return why that failed: the next `add` tries again."""
        thread = threading.Thread(target=self._work, name="labthings-deadlines", daemon=True)
        try:
            thread.start()
        except (RuntimeError, MemoryError) as error:
            return error
        self._thread = thread
        return None

    def _work(self) -> None:
        while (callback := self._next()) is not None:
            try:
                callback()
            except Exception:
                LOGGER.exception("A scheduled task failed; the next ones are not affected.")
            del callback

    def _next(self) -> Callable[[], object] | None:
        with self._condition:
            while self._heap:
                wait = self._heap[0][0] - time.monotonic()
                if wait <= 0:
                    return heapq.heappop(self._heap)[2]
                self._condition.wait(min(wait, LONGEST_WAIT))
            self._thread = None
            return None


@cache
def deadlines() -> Deadlines:
    return Deadlines()
