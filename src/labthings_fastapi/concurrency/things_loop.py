"""The event loops for `async` code of Things: one for each Thing, none of them the server's.

Code that blocks such a loop, or calls `sys.exit()` on it, delays async code of its own Thing only,
and ends no loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import weakref
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from labthings_fastapi.exceptions import describe_exception
from labthings_fastapi.own_log import own_logger

from .threadsafe_event import wait_for_future

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


T = TypeVar("T")
LOGGER = own_logger("concurrency")


_all: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()


class ThingsLoop:
    """An event loop in a daemon thread, started on first use; any thread may call.

    The thread ends some time after the last reference to this object.
    """

    def __init__(self, name: str = "thing") -> None:
        """Start no thread yet; `name` is for the name of the thread."""
        self._name = name
        self._lock = threading.Lock()  # guards the next
        self._loop: asyncio.AbstractEventLoop | None = None

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                ended = threading.Event()
                thread = threading.Thread(
                    target=_run_until,
                    args=(loop, ended),
                    name=f"labthings-loop-{self._name}",
                    daemon=True,
                )
                try:
                    thread.start()
                except BaseException:  # the system starts no thread; the next call tries again
                    loop.close()
                    raise
                self._loop = loop
                _all.add(loop)
                weakref.finalize(self, _stop, loop, ended).atexit = False
            return self._loop

    def is_current(self) -> bool:
        """Return whether the calling code runs on this loop."""
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    async def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Await a coroutine on this loop; a cancel of the caller cancels it, and waits for its end.

        A caller on a loop that is no Thing's, as in a notebook, awaits it on its own loop.
        """
        if self.is_current() or not on_things_loop():
            return await coroutine
        handle = self.submit(coroutine)
        while True:
            try:
                result: T = await wait_for_future(handle.future)
            except asyncio.CancelledError:
                if handle.future.done():
                    raise
                handle.cancel()
            else:
                return result

    def submit(self, coroutine: Coroutine[Any, Any, Any]) -> TaskHandle:
        """Run a coroutine in a copy of the caller's context, and return a handle to it."""
        try:
            loop = self._running_loop()
        except BaseException:
            coroutine.close()  # otherwise Python warns that it was never awaited
            raise
        return TaskHandle(loop, coroutine, self)

    def call(self, function: Callable[..., Coroutine[Any, Any, Any]], *arguments: Any) -> Any:
        """Run a coroutine function and wait for its result.

        Raises:
            RuntimeError: the caller runs on this loop, so the wait would never end.
        """
        self._require_other_loop()
        return self.submit(function(*arguments)).result()

    def _require_other_loop(self) -> None:
        if self.is_current():
            raise RuntimeError(
                "Code on the event loop of a Thing cannot block until other code on that loop "
                "ends: use `await` instead."
            )


def on_things_loop() -> bool:
    """Return whether the calling code runs on the loop of a Thing."""
    try:
        return asyncio.get_running_loop() in _all
    except RuntimeError:
        return False


def _stop(loop: asyncio.AbstractEventLoop, ended: threading.Event) -> None:
    """End the thread of a loop that nobody can use any more."""
    ended.set()
    with suppress(RuntimeError):  # it is closed
        loop.call_soon_threadsafe(loop.stop)


def _run_until(loop: asyncio.AbstractEventLoop, ended: threading.Event) -> None:
    """Run the loop, and run it again after `sys.exit()` in a task or callback of user code."""
    while not ended.is_set():
        try:
            loop.run_forever()
        except BaseException as error:  # noqa: BLE001 - see above
            LOGGER.error("A task on the event loop of a Thing raised %s.", type(error).__name__)
    loop.close()


class _TaskFuture(Future[Any]):
    """Logs the exception of a task if it goes before anybody has looked at the outcome."""

    looked_at = False

    def result(self, timeout: float | None = None) -> Any:
        self.looked_at = True
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        self.looked_at = True
        return super().exception(timeout)

    def __del__(self) -> None:
        if self.looked_at or not self.done() or self.cancelled():
            return
        error = super().exception()
        if error is not None and not isinstance(error, asyncio.CancelledError):
            text = "An async task, whose result nobody has asked for, ended with %s"
            LOGGER.error(text, describe_exception(error), exc_info=error)


class TaskHandle:
    """A coroutine on a Thing's loop, for use from other threads."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        coroutine: Coroutine[Any, Any, Any],
        keeper: ThingsLoop,
    ) -> None:
        """Schedule the coroutine."""
        self._loop = loop
        self._keeper = keeper  # the loop goes on until its last task has ended
        self._coroutine = coroutine
        self._task: asyncio.Task[None] | None = None  # touched on the loop only
        self.future: Future[Any] = _TaskFuture()
        loop.call_soon_threadsafe(self._start, contextvars.copy_context())

    def _start(self, context: contextvars.Context) -> None:
        self._task = self._loop.create_task(self._run(), context=context)
        self._task.add_done_callback(self._on_task_done)

    async def _run(self) -> None:
        # No exception may leave the task: SystemExit would stop the loop.
        try:
            result = await self._coroutine
        except BaseException as raised:  # noqa: BLE001 - user code may raise anything
            # Without this frame: it refers to the future, which would outlive its last user.
            traceback = raised.__traceback__
            BaseException.with_traceback(raised, traceback and traceback.tb_next)
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


_making = threading.Lock()
_ATTRIBUTE = "_labthings_loop"


def pass_loop_on(before: Any, owner: Any) -> None:
    """Give another owner the loop, if there is one: locks and queues of a Thing belong to it."""
    if before is not None and _ATTRIBUTE in before.__dict__:
        owner.__dict__[_ATTRIBUTE] = before.__dict__[_ATTRIBUTE]


def loop_of(owner: Any, name: str) -> ThingsLoop:
    """Return the loop of an object, the interface of a Thing; made on first use, by any thread."""
    found: ThingsLoop | None = owner.__dict__.get(_ATTRIBUTE)
    if found is None:
        with _making:
            found = owner.__dict__.setdefault(_ATTRIBUTE, ThingsLoop(name))
    return found
