"""How many invocations may run at once, and how many may wait."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from labthings_fastapi.exceptions import TooBusyError

MAX_CONCURRENT_RUNS = 100
MAX_QUEUED_RUNS = 1000


class InvocationLimits:
    """At most `at_once` invocations run, and at most `waiting` more wait; any thread may use it.

    An invocation is reserved, then started (at once, or by a call of its `start` without the
    lock), then released; a reservation is cancelled, with its `start` if that waits.
    """

    def __init__(self, at_once: int = MAX_CONCURRENT_RUNS, waiting: int = MAX_QUEUED_RUNS) -> None:
        self._at_once = at_once
        self._max_waiting = waiting
        self._lock = threading.Lock()
        self._running = 0
        self._reserved = 0  # not started: waiting here, or for a group lock
        self._queue: deque[Callable[[], None]] = deque()

    def reserve(self) -> None:
        with self._lock:
            if self._running + self._reserved >= self._at_once + self._max_waiting:
                raise TooBusyError(
                    f"{self._running} runs are in progress and {self._reserved} wait, the most "
                    "that this server takes. Try again later."
                )
            self._reserved += 1

    def start_or_wait(self, start: Callable[[], None]) -> bool:
        with self._lock:
            if self._running >= self._at_once:
                self._queue.append(start)
                return False
            self._reserved -= 1
            self._running += 1
            return True

    def start_now(self, start: Callable[[], None]) -> None:
        """Start one that waits, past the limit; do nothing if it does not wait."""
        with self._lock:
            if start not in self._queue:
                return
            self._queue.remove(start)
            self._reserved -= 1
            self._running += 1
        start()

    def cancel_reservation(self) -> None:
        with self._lock:
            self._reserved -= 1

    def cancel_waiting(self, start: Callable[[], None]) -> None:
        with self._lock:
            if start in self._queue:
                self._queue.remove(start)
                self._reserved -= 1

    def release(self) -> None:
        with self._lock:
            self._running -= 1
            free = self._running < self._at_once  # not if some were started past the limit
            start = self._queue.popleft() if self._queue and free else None
            if start is not None:
                self._reserved -= 1
                self._running += 1
        if start is not None:
            start()


class NoLimits:
    """No limits: for emergency stops, and for invocations without a manager."""

    def reserve(self) -> None: ...
    def start_or_wait(self, start: Callable[[], None]) -> bool:  # noqa: ARG002
        return True

    def start_now(self, start: Callable[[], None]) -> None: ...
    def cancel_reservation(self) -> None: ...
    def cancel_waiting(self, start: Callable[[], None]) -> None: ...
    def release(self) -> None: ...


StartLimit: TypeAlias = InvocationLimits | NoLimits
