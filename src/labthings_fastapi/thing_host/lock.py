"""The server-wide lock: one task at a time moves anything."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from labthings_fastapi.actions.context import current_invocation
from labthings_fastapi.actions.threads import outermost_id
from labthings_fastapi.exceptions import GlobalLockBusyError

if TYPE_CHECKING:
    from collections.abc import Iterator

_passes: ContextVar[bool] = ContextVar("labthings_passes_global_lock", default=False)


class GlobalLock:
    """A re-entrant lock that belongs to a run, or outside of one to a thread or an async task.

    All threads and tasks of the run that holds it pass; everybody else waits a moment and is
    refused. Safe from any thread.
    """

    def __init__(self, default_timeout: float = 0.05, log_level: int = logging.WARNING) -> None:
        """Wait `default_timeout` seconds before refusing; runs log a refusal at `log_level`."""
        self.log_level = log_level
        self.default_timeout = default_timeout
        self._condition = threading.Condition()
        self._owner: Any = None
        self._depth = 0

    @property
    def locked(self) -> bool:
        """Whether anybody holds it."""
        return self._depth > 0

    def acquire(self, timeout: float | None = None) -> bool:
        """Take the lock, or return False after `timeout` seconds (by default `default_timeout`)."""
        me = _caller()
        deadline = time.monotonic() + (self.default_timeout if timeout is None else timeout)
        with self._condition:
            while self._depth and self._owner != me:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._condition.wait(left)
            self._owner = me
            self._depth += 1
            return True

    def release(self) -> None:
        """Give the lock back, once for each `acquire`."""
        with self._condition:
            if not self._depth or self._owner != _caller():
                raise RuntimeError("The global lock is not held here, so it cannot be released.")
            self._depth -= 1
            if not self._depth:
                self._owner = None
                self._condition.notify_all()  # all threads of the next run pass

    @contextmanager
    def held(self, what: str, timeout: float | None = None) -> Iterator[None]:
        """Hold the lock for a while; `what` says for what, in the error.

        Raises:
            GlobalLockBusyError: somebody else holds it.
        """
        if _passes.get():
            yield
            return
        if not self.acquire(timeout):
            raise GlobalLockBusyError(
                f"{what} has to wait: another task holds the server's global lock. "
                "Try again when it has finished.",
                self.log_level,
            )
        try:
            yield
        finally:
            self.release()

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Let this code, and all that it calls, pass without the lock: an emergency stop."""
        token = _passes.set(True)
        try:
            yield
        finally:
            _passes.reset(token)


def _caller() -> Any:
    """Say who would hold the lock: the whole run, the async task or the thread."""
    run = current_invocation()
    if run is not None:
        return outermost_id(run)
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    # Tasks take turns on one thread, so there a thread's id would let all of them in.
    return threading.get_ident() if task is None else task
