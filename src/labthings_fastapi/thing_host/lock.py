"""The server-wide lock: only one task at a time runs actions and sets properties."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Self

from labthings_fastapi.actions.context import current_invocation
from labthings_fastapi.actions.threads import outermost_id
from labthings_fastapi.exceptions import GlobalLockBusyError

if TYPE_CHECKING:
    from collections.abc import Iterator

_bypassed: ContextVar[bool] = ContextVar("labthings_bypassed_global_lock", default=False)


class GlobalLock:
    """A re-entrant lock, held by an invocation, or outside of one by a thread or an async task.

    An invocation holds the lock for all of its threads and tasks. Everyone else waits for
    `default_timeout` seconds and is then refused. Safe from any thread.
    """

    def __init__(self, default_timeout: float = 0.05, log_level: int = logging.WARNING) -> None:
        """Make a lock that nobody holds; invocations log a refusal at `log_level`."""
        self.log_level = log_level
        self.default_timeout = default_timeout
        self._condition = threading.Condition()
        self._owner: Any = None
        self._depth = 0

    @property
    def locked(self) -> bool:
        """Whether the lock is held."""
        return self._depth > 0

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Take the lock, or return False after `timeout` seconds (by default `default_timeout`).

        Without `blocking`, it is taken at once or not at all.
        """
        caller = _caller()
        wait = self.default_timeout if timeout is None else timeout
        deadline = time.monotonic() + (wait if blocking else 0)
        with self._condition:
            while self._depth and self._owner != caller:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._condition.wait(left)
            self._owner = caller
            self._depth += 1
            return True

    def release(self) -> None:
        """Release the lock, once for each `acquire`.

        Raises:
            RuntimeError: the caller does not hold the lock.
        """
        with self._condition:
            if not self._depth or self._owner != _caller():
                raise RuntimeError("The global lock is not held here, so it cannot be released.")
            self._depth -= 1
            if not self._depth:
                self._owner = None
                self._condition.notify_all()  # several threads of the next owner may wait

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            GlobalLockBusyError: another task holds it.
        """
        if not self.acquire():
            raise GlobalLockBusyError("The global lock could not be acquired.", self.log_level)
        return self

    def __exit__(self, *_: object) -> None:
        """Release the lock."""
        self.release()

    @contextmanager
    def held(self, purpose: str, timeout: float | None = None) -> Iterator[None]:
        """Hold the lock inside a `with` block; the error begins with `purpose`.

        Raises:
            GlobalLockBusyError: another task holds the lock.
        """
        if _bypassed.get():
            yield
            return
        if not self.acquire(timeout=timeout):
            raise GlobalLockBusyError(
                f"{purpose} is refused: another task holds the server's global lock. "
                "Try again when that task has finished.",
                self.log_level,
            )
        try:
            yield
        finally:
            self.release()

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Run the `with` block without the lock, for an emergency stop."""
        token = _bypassed.set(True)
        try:
            yield
        finally:
            _bypassed.reset(token)


def _caller() -> Any:
    """Return the owner that a lock would get: the outermost invocation, the task or the thread."""
    invocation = current_invocation()
    if invocation is not None:
        return outermost_id(invocation)
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    # All tasks of a loop share one thread, so the id of the thread does not distinguish them.
    return threading.get_ident() if task is None else task
