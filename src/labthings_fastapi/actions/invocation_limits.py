"""How many runs there may be at once, and how many may wait."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Protocol

from labthings_fastapi.exceptions import TooBusyError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_CONCURRENT_RUNS = 100
MAX_QUEUED_RUNS = 1000


class StartLimit(Protocol):
    """Lets runs begin: all of a server's share one."""

    def enlist(self) -> None:
        """Count a run that wants to begin; raise `TooBusyError` if too many wait."""

    def ask(self, begin: Callable[[], None]) -> bool:
        """Let an enlisted run begin now (True), or call `begin` when it may."""

    def strike(self) -> None:
        """Forget an enlisted run that has not asked to begin."""

    def withdraw(self, begin: Callable[[], None]) -> None:
        """Forget a run that has asked; one for which `begin` is being called still begins."""

    def leave(self) -> None:
        """Count out a run that had begun."""


class InvocationLimits:
    """At most so many runs at once, and so many in line; any thread may use it.

    Callbacks are called after the lock is released.
    """

    def __init__(self, at_once: int = MAX_CONCURRENT_RUNS, waiting: int = MAX_QUEUED_RUNS) -> None:
        """Let `at_once` runs be in progress and `waiting` more be queued."""
        self._at_once = at_once
        self._most_waiting = waiting
        self._lock = threading.Lock()
        self._running = 0
        self._enlisted = 0  # want to begin: in this line, or in the line for a place
        self._line: deque[Callable[[], None]] = deque()

    def enlist(self) -> None:
        """Count a run that wants to begin.

        Raises:
            TooBusyError: as many wait as are allowed.
        """
        with self._lock:
            if self._running + self._enlisted >= self._at_once + self._most_waiting:
                raise TooBusyError(
                    f"{self._running} runs are in progress and {self._enlisted} wait, the most "
                    "that this server takes. Try again later."
                )
            self._enlisted += 1

    def ask(self, begin: Callable[[], None]) -> bool:
        """Let an enlisted run begin now (True), or call `begin` when another one has ended."""
        with self._lock:
            if self._running >= self._at_once:
                self._line.append(begin)
                return False
            self._enlisted -= 1
            self._running += 1
            return True

    def strike(self) -> None:
        """Forget an enlisted run that has not asked to begin."""
        with self._lock:
            self._enlisted -= 1

    def withdraw(self, begin: Callable[[], None]) -> None:
        """Forget a run that waits in line; one that has just left the line still begins."""
        with self._lock:
            if begin in self._line:
                self._line.remove(begin)
                self._enlisted -= 1

    def leave(self) -> None:
        """Count out a run that had begun, and let the next one begin."""
        with self._lock:
            self._running -= 1
            begin = self._line.popleft() if self._line else None
            if begin is not None:
                self._enlisted -= 1
                self._running += 1
        if begin is not None:
            begin()


class NoLimits:
    """For a run without a manager: it may always begin."""

    def enlist(self) -> None:
        """Count nothing."""

    def ask(self, begin: Callable[[], None]) -> bool:  # noqa: ARG002
        """Let it begin."""
        return True

    def strike(self) -> None:
        """Count nothing."""

    def withdraw(self, begin: Callable[[], None]) -> None:
        """Count nothing."""

    def leave(self) -> None:
        """Count nothing."""
