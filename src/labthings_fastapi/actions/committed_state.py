"""What clients are told of a run: nothing final before it is recorded."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from labthings_fastapi.own_log import own_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from .lifecycle import InvocationState

LOGGER = own_logger("actions")


_TOLD = threading.RLock()
"""The lock of every run whose end is told: nothing changes in it any more.

It is re-entrant because the garbage collector may throw away somebody who waited for another such
run while we hold it.
"""


class CommittedState:
    """The state of one run that clients may know, and those who wait for the final one.

    `state` may be read from any thread without a lock. A state counts as told from `tell` on.
    """

    __slots__ = ("_lock", "_waiters", "journaled", "state")

    def __init__(self, state: InvocationState) -> None:
        """Begin with the state that every run has."""
        self._lock: threading.Lock | threading.RLock = threading.Lock()
        self._waiters: tuple[Callable[[], None], ...] = ()  # an empty one takes no memory
        self.state = state
        self.journaled = True

    def tell(self, state: InvocationState, *, journaled: bool = True) -> None:
        """Let clients know a state; `journaled` says whether its record is safe."""
        with self._lock:
            if self.state.finished:
                return
            self.journaled = journaled
            self.state = state
            waiters: tuple[Callable[[], None], ...] = ()
            if state.finished:
                waiters, self._waiters = self._waiters, ()
                self._lock = _TOLD  # whoever waits for the other lock will find that it is told
        for waiter in waiters:
            try:
                waiter()
            except Exception:
                LOGGER.exception("Somebody who waited for the end of a run could not be told.")

    def on_end(self, waiter: Callable[[], None]) -> Callable[[], None]:
        """Call `waiter` once the end is told, at once if it is; returns the way to forget it."""
        with self._lock:
            waits = not self.state.finished
            if waits:
                self._waiters = (*self._waiters, waiter)
        if not waits:
            waiter()

        def forget() -> None:
            with self._lock:
                self._waiters = tuple(one for one in self._waiters if one is not waiter)

        return forget
