"""Exceptions that end threads of user code: without a line in a log nobody would know of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from labthings_fastapi.exceptions import InvocationCancelledError, describe_exception
from labthings_fastapi.own_log import OwnLogger

from .logs import invocations_logger


def log_thread_failure(name: str, error: BaseException) -> None:
    """Log that an exception ended a thread: in its run, if it has one, and in the server's log."""
    text = "Thread %r ended with %s"
    OwnLogger(invocations_logger()).error(text, name, describe_exception(error), exc_info=error)


class ThreadFailureHook:
    """Logs exceptions that end plain threads, while a server runs; any thread may use it.

    Python writes them to stderr, which a server may not have. It does not tell which run has
    started a thread, so the line is in the server's log and names the thread. A hook that was set
    by somebody else is called as well.
    """

    def __init__(self) -> None:
        """Change nothing yet."""
        self._lock = threading.Lock()
        self._servers = 0
        self._ours: Callable[[Any], Any] | None = None
        self._others: Callable[[Any], Any] = threading.__excepthook__

    def begin(self) -> None:
        """Log from now on; call `end` once for each call."""
        with self._lock:
            self._servers += 1
            if self._servers == 1:
                self._others, self._ours = threading.excepthook, self._make(threading.excepthook)
                threading.excepthook = self._ours

    def end(self) -> None:
        """Leave it to Python again, with the last call."""
        with self._lock:
            self._servers -= 1
            if self._servers == 0:
                if threading.excepthook is self._ours:
                    threading.excepthook = self._others
                self._ours = None  # if somebody has put a hook over it, it passes on only

    def _make(self, others: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def hook(failure: threading.ExceptHookArgs) -> None:
            is_ours = self._ours is hook
            if is_ours and not issubclass(failure.exc_type, SystemExit | InvocationCancelledError):
                name = "?" if failure.thread is None else failure.thread.name
                log_thread_failure(name, failure.exc_value or failure.exc_type())
            if not is_ours or others is not threading.__excepthook__:
                others(failure)

        return hook


thread_failure_hook = ThreadFailureHook()
