"""One thread for all code of one Thing: some drivers belong to the thread that opened them."""

from __future__ import annotations

import threading
import weakref
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_Job = tuple[Future[Any], "Callable[..., Any]", tuple[Any, ...]]


class OwnThread:
    """Runs calls one after the other in a daemon thread, started on first use; any thread submits.

    The thread lives as long as this object: a driver may be bound to it.
    """

    def __init__(self) -> None:
        """Start no thread yet."""
        self._lock = threading.Lock()  # guards the next
        self._thread: threading.Thread | None = None
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()

    def is_current(self) -> bool:
        """Return whether the calling code runs in this thread."""
        return threading.current_thread() is self._thread

    def submit(self, name: str, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Call a function in the thread; cancelling the future withdraws a call not yet begun.

        `name` is for the name of the thread.

        Raises:
            RuntimeError: the system starts no thread.
        """
        future: Future[Any] = Future()
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(
                    target=_work, args=(self._jobs,), name=f"labthings-own-{name}", daemon=True
                )
                thread.start()
                self._thread = thread
                weakref.finalize(self, self._jobs.put, None).atexit = False
        self._jobs.put((future, function, arguments))
        return future


def _work(jobs: SimpleQueue[_Job | None]) -> None:
    while (job := jobs.get()) is not None:
        future, function, arguments = job
        if future.set_running_or_notify_cancel():
            try:
                result = function(*arguments)
            except BaseException as error:  # noqa: BLE001 - user code may raise anything
                future.set_exception(error)
            else:
                future.set_result(result)
                del result
        del job, future, function, arguments  # an idle thread keeps no value alive
