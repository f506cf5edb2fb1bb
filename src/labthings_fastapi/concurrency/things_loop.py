"""The Things' loop: a second event loop, for `async` code of Things.

User code that blocks there, or calls `sys.exit()`, delays and ends no answer of the server.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any

from labthings_fastapi.own_log import own_logger

from .bounded_executor import UserCodeExit

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


LOGGER = own_logger("concurrency")


class ThingsLoop:
    """An event loop in a daemon thread of its own, started on first use; any thread may call."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                thread = threading.Thread(
                    target=_run_for_ever, args=(loop,), name="labthings-things-loop", daemon=True
                )
                try:
                    thread.start()
                except BaseException:  # where no thread can be made now, the next call tries again
                    loop.close()
                    raise
                self._loop = loop
            return self._loop

    def submit(self, coroutine: Coroutine[Any, Any, Any]) -> TaskHandle:
        """Run a coroutine in a copy of the caller's context; returns a handle to it."""
        try:
            loop = self._running_loop()
        except BaseException:
            coroutine.close()  # nobody else will: it was never awaited
            raise
        return TaskHandle(loop, coroutine)

    def call(self, function: Callable[..., Coroutine[Any, Any, Any]], *arguments: Any) -> Any:
        """Run a coroutine function and wait for its result; not to be called on this loop."""
        self.refuse_own_thread()
        return self.submit(function(*arguments)).result()

    def refuse_own_thread(self) -> None:
        """Raise RuntimeError on the loop's own thread, where waiting would wait for ever."""
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            return
        if here is self._loop:
            raise RuntimeError("Code on the Things' loop cannot wait for it: use `await`.")


def _run_for_ever(loop: asyncio.AbstractEventLoop) -> None:
    """Run the loop, again if something ends it: a task that user code made may call `sys.exit()`.

    Whoever awaits that task gets the exception all the same.
    """
    while not loop.is_closed():
        try:
            loop.run_forever()
        except BaseException as error:  # noqa: BLE001 - see above
            LOGGER.error("A task on the Things' loop raised %s.", type(error).__name__)


class TaskHandle:
    """A coroutine on the Things' loop, as other threads see it."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any]
    ) -> None:
        """Schedule the coroutine."""
        self._loop = loop
        self._coroutine = coroutine
        self._task: asyncio.Task[None] | None = None
        self.future: Future[Any] = Future()
        context = contextvars.copy_context()
        loop.call_soon_threadsafe(self._start, context)

    def _start(self, context: contextvars.Context) -> None:
        self._task = self._loop.create_task(self._guard(), context=context)
        self._task.add_done_callback(self._settle)

    async def _guard(self) -> None:
        """Keep every outcome away from the loop: SystemExit would end it."""
        try:
            result = await self._coroutine
        except BaseException as raised:  # noqa: BLE001 - user code may raise anything
            self._resolve(error=raised)
        else:
            self._resolve(result)

    def _resolve(self, result: Any = None, error: BaseException | None = None) -> None:
        if self.future.done():
            return
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)

    def _settle(self, _task: asyncio.Task[None]) -> None:
        # A task that is cancelled before its first step never enters `_guard`.
        self._coroutine.close()
        self._resolve(error=asyncio.CancelledError())

    def cancel(self, when: Callable[[], bool] = lambda: True) -> None:
        """Cancel the coroutine, if `when()` still says so once the loop gets to it; any thread."""

        def on_loop() -> None:
            if self._task is not None and not self._task.done() and when():
                self._task.cancel()

        self._loop.call_soon_threadsafe(on_loop)

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the outcome; raises what the coroutine raised."""
        try:
            return self.future.result(timeout)
        except CancelledError as error:
            raise asyncio.CancelledError from error


# Made at once: were it made on first use, two threads that come first could get two of them.
_THINGS_LOOP = ThingsLoop()


def things_loop() -> ThingsLoop:
    """Return the process's Things' loop; it is as wide as the process, like the main thread."""
    return _THINGS_LOOP


__all__ = ["TaskHandle", "ThingsLoop", "UserCodeExit", "things_loop"]
