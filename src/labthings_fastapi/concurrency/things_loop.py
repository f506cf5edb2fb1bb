"""The event loop for `async` code of Things, separate from the server's.

Code that blocks this loop or calls `sys.exit()` on it neither delays nor ends the server.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any

from labthings_fastapi.own_log import own_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


LOGGER = own_logger("concurrency")


class ThingsLoop:
    """An event loop in a daemon thread, started on first use; any thread may call."""

    def __init__(self) -> None:
        """Start no thread yet."""
        self._lock = threading.Lock()  # guards the next
        self._loop: asyncio.AbstractEventLoop | None = None

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                thread = threading.Thread(
                    target=_run_forever, args=(loop,), name="labthings-things-loop", daemon=True
                )
                try:
                    thread.start()
                except BaseException:  # the system starts no thread; the next call tries again
                    loop.close()
                    raise
                self._loop = loop
            return self._loop

    def submit(self, coroutine: Coroutine[Any, Any, Any]) -> TaskHandle:
        """Run a coroutine in a copy of the caller's context, and return a handle to it."""
        try:
            loop = self._running_loop()
        except BaseException:
            coroutine.close()  # otherwise Python warns that it was never awaited
            raise
        return TaskHandle(loop, coroutine)

    def call(self, function: Callable[..., Coroutine[Any, Any, Any]], *arguments: Any) -> Any:
        """Run a coroutine function and wait for its result.

        Raises:
            RuntimeError: the caller runs on this loop, so the wait would never end.
        """
        self._require_other_loop()
        return self.submit(function(*arguments)).result()

    def _require_other_loop(self) -> None:
        try:
            current = asyncio.get_running_loop()
        except RuntimeError:
            return
        if current is self._loop:
            raise RuntimeError(
                "Code on the event loop of the Things cannot block until other code on that loop "
                "ends: use `await` instead."
            )


def _run_forever(loop: asyncio.AbstractEventLoop) -> None:
    """Run the loop, and run it again after `sys.exit()` in a task or callback of user code."""
    while not loop.is_closed():
        try:
            loop.run_forever()
        except BaseException as error:  # noqa: BLE001 - see above
            LOGGER.error("A task on the event loop of the Things raised %s.", type(error).__name__)


class TaskHandle:
    """A coroutine on the Things' loop, for use from other threads."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any]
    ) -> None:
        """Schedule the coroutine."""
        self._loop = loop
        self._coroutine = coroutine
        self._task: asyncio.Task[None] | None = None  # touched on the loop only
        self.future: Future[Any] = Future()
        loop.call_soon_threadsafe(self._start, contextvars.copy_context())

    def _start(self, context: contextvars.Context) -> None:
        self._task = self._loop.create_task(self._run(), context=context)
        self._task.add_done_callback(self._on_task_done)

    async def _run(self) -> None:
        # No exception may leave the task: SystemExit would stop the loop.
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

    def _on_task_done(self, _task: asyncio.Task[None]) -> None:
        # A task that is cancelled before its first step never enters `_run`.
        self._coroutine.close()
        self._resolve(error=asyncio.CancelledError())

    def cancel(self, when: Callable[[], bool] = lambda: True) -> None:
        """Cancel the coroutine if `when()` is true at that moment, on the loop; any thread."""

        def cancel_on_loop() -> None:
            if self._task is not None and not self._task.done() and when():
                self._task.cancel()

        self._loop.call_soon_threadsafe(cancel_on_loop)

    def result(self, timeout: float | None = None) -> Any:
        """Wait at most `timeout` seconds for the result, and raise what the coroutine raised."""
        try:
            return self.future.result(timeout)
        except CancelledError as error:
            raise asyncio.CancelledError from error


_THINGS_LOOP = ThingsLoop()


def things_loop() -> ThingsLoop:
    """Return the one loop of this process for `async` code of Things."""
    return _THINGS_LOOP
