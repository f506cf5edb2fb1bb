"""How many invocations may run at once, and how many may wait."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TypeAlias
from weakref import WeakValueDictionary

from labthings_fastapi.exceptions import TooBusyError

MAX_CONCURRENT_RUNS = 100
MAX_QUEUED_RUNS = 1000
SHARE = 4
"""A client who may use single Things only may have a quarter of the places."""


class InvocationLimits:
    """At most `at_once` invocations run, and at most `waiting` more wait; any thread may use it.

    An invocation is reserved, then started (at once, or by a call of its `start` without the
    lock), then released; a reservation is cancelled, with its `start` if that waits. `share` is
    that of a client who may have a part of the places only.
    """

    def __init__(self, at_once: int = MAX_CONCURRENT_RUNS, waiting: int = MAX_QUEUED_RUNS) -> None:
        self._at_once = at_once
        self._max_waiting = waiting
        self._lock = threading.Lock()
        self._running = 0
        self._reserved = 0  # not started: waiting here, or for a group lock
        self._queue: deque[tuple[Callable[[], None], Share | None]] = deque()
        self._shares: WeakValueDictionary[str, Share] = WeakValueDictionary()

    def share_of(self, client: str) -> Share:
        """Return the limits for a client who may have a quarter of the places."""
        with self._lock:
            share = self._shares.get(client)
            if share is None:
                running, waiting = (max(1, n // SHARE) for n in (self._at_once, self._max_waiting))
                share = self._shares[client] = Share(self, client, running, waiting)
            return share

    def reserve(self, share: Share | None = None) -> None:
        with self._lock:
            if share is not None:
                share.check()
            if self._running + self._reserved >= self._at_once + self._max_waiting:
                raise TooBusyError(
                    f"{self._running} runs are in progress and {self._reserved} wait, the most "
                    "that this server takes. Try again later."
                )
            self._reserved += 1
            if share is not None:
                share.reserved += 1

    def start_or_wait(self, start: Callable[[], None], share: Share | None = None) -> bool:
        with self._lock:
            if self._running >= self._at_once or (share is not None and share.is_full):
                self._queue.append((start, share))
                return False
            self._count_start(share)
            return True

    def _count_start(self, share: Share | None) -> None:
        self._reserved -= 1
        self._running += 1
        if share is not None:
            share.reserved -= 1
            share.running += 1

    def start_now(self, start: Callable[[], None], share: Share | None = None) -> None:
        """Start one that waits, past the limit; do nothing if it does not wait."""
        with self._lock:
            if (start, share) not in self._queue:
                return
            self._queue.remove((start, share))
            self._count_start(share)
        start()

    def cancel_reservation(self, share: Share | None = None) -> None:
        with self._lock:
            self._reserved -= 1
            if share is not None:
                share.reserved -= 1

    def cancel_waiting(self, start: Callable[[], None], share: Share | None = None) -> None:
        with self._lock:
            if (start, share) in self._queue:
                self._queue.remove((start, share))
                self._reserved -= 1
                if share is not None:
                    share.reserved -= 1

    def release(self, share: Share | None = None) -> None:
        with self._lock:
            self._running -= 1
            if share is not None:
                share.running -= 1
            # None if some were started past the limit.
            start = self._next() if self._queue and self._running < self._at_once else None
        if start is not None:
            start()

    def _next(self) -> Callable[[], None] | None:
        """Take the first in the queue whose client may have one more."""
        for index, (start, share) in enumerate(self._queue):
            if share is None or not share.is_full:
                del self._queue[index]
                self._count_start(share)
                return start
        return None


class Share:
    """The limits for one client who may have a part of the places; counted under their lock."""

    def __init__(self, limits: InvocationLimits, client: str, at_once: int, waiting: int) -> None:
        self._limits = limits
        self._client = client
        self._at_once = at_once
        self._max_waiting = waiting
        self.running = 0
        self.reserved = 0

    @property
    def is_full(self) -> bool:
        """Whether as many of its invocations run as may run at once."""
        return self.running >= self._at_once

    def check(self) -> None:
        """Refuse one more if as many run and wait as may."""
        if self.running + self.reserved >= self._at_once + self._max_waiting:
            raise TooBusyError(
                f"{self.running} runs of {self._client!r} are in progress and {self.reserved} "
                "wait, the most for somebody who may use single Things only. Try again later."
            )

    def reserve(self) -> None:
        self._limits.reserve(self)

    def start_or_wait(self, start: Callable[[], None]) -> bool:
        return self._limits.start_or_wait(start, self)

    def start_now(self, start: Callable[[], None]) -> None:
        self._limits.start_now(start, self)

    def cancel_reservation(self) -> None:
        self._limits.cancel_reservation(self)

    def cancel_waiting(self, start: Callable[[], None]) -> None:
        self._limits.cancel_waiting(start, self)

    def release(self) -> None:
        self._limits.release(self)


class NoLimits:
    """No limits: for emergency stops, and for invocations without a manager."""

    def reserve(self) -> None: ...
    def start_or_wait(self, start: Callable[[], None]) -> bool:  # noqa: ARG002
        return True

    def start_now(self, start: Callable[[], None]) -> None: ...
    def cancel_reservation(self) -> None: ...
    def cancel_waiting(self, start: Callable[[], None]) -> None: ...
    def release(self) -> None: ...


StartLimit: TypeAlias = InvocationLimits | Share | NoLimits
