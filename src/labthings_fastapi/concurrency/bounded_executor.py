"""Threads that run user code for the event loop, kept waiting between calls.

A hand-over to a waiting worker costs half of what a hop through a general thread pool costs, and
these threads belong to user code alone: nothing that the server answers by itself needs one.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import deque
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from labthings_fastapi.exceptions import TooBusyError, describe_exception

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
IDLE_SECONDS = 30.0


class Job(Protocol):
    """Something to do on a worker."""

    def run(self) -> None:
        """Do it; must not raise."""


class _Job:
    """One call: made on the loop, run on a worker, answered on the loop."""

    __slots__ = ("arguments", "context", "ended", "function", "future", "loop")

    def __init__(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], ended: Callable[[], None]
    ) -> None:
        self.ended = ended
        self.function = function
        self.arguments = arguments
        self.context = contextvars.copy_context()
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()

    def run(self) -> None:
        """Call the function; whatever it raises goes to the one who waits."""
        result: Any = None
        error: BaseException | None = None
        try:
            result = self.context.run(self.function, *self.arguments)
        except BaseException as raised:  # noqa: BLE001 - user code may raise anything
            error = raised
        try:
            self.loop.call_soon_threadsafe(self._answer, result, error)
        except RuntimeError:
            # The loop has closed while user code was busy: nobody waits any more.
            return

    def _answer(self, result: Any, error: BaseException | None) -> None:
        # First, because `ended` begins other calls, and whatever becomes of them is not this one's.
        self.settle(result, error)
        self.ended()

    def settle(self, result: Any, error: BaseException | None) -> None:
        """Tell the one who waits, if anybody does; on the loop."""
        if self.future.done():
            return
        if error is None:
            self.future.set_result(result)
        elif isinstance(error, Exception) and not isinstance(error, StopIteration):
            self.future.set_exception(error)
        else:
            # SystemExit and its like must not reach an event loop as themselves.
            self.future.set_exception(UserCodeExit(error))


class UserCodeExit(Exception):  # noqa: N818 - it wraps something that is not an error
    """Carries a BaseException of user code past an event loop, which it would end."""

    def __init__(self, raised: BaseException) -> None:
        """Keep what user code raised."""
        super().__init__(type(raised).__name__)
        self.raised = raised


class Workers:
    """Daemon threads that wait for calls; one is added when none waits.

    The number of threads is bounded by the lanes that feed them. Any thread may submit.
    """

    def __init__(self, name: str) -> None:
        """Name the threads, so that they can be told apart in a debugger."""
        self._name = name
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = 0
        self._made = 0

    def submit(self, job: Job) -> None:
        """Give a call to a waiting worker, or to a new one.

        Raises:
            RuntimeError, MemoryError: the system makes no new thread; the job is not taken.
        """
        with self._lock:
            fresh = self._waiting == 0
            if fresh:
                self._made += 1
            else:
                self._waiting -= 1
            number = self._made
        if fresh:
            # The first job of a new worker is its own, so that no other worker can snatch it.
            threading.Thread(
                target=self._work, args=(job,), name=f"{self._name}-{number}", daemon=True
            ).start()
        else:
            self._jobs.put(job)

    def _work(self, job: Job | None) -> None:
        while job is not None:
            job.run()
            del job  # a waiting worker must not keep the last call's values alive
            with self._lock:
                self._waiting += 1
            job = self._next()

    def _next(self) -> Job | None:
        while True:
            try:
                return self._jobs.get(timeout=IDLE_SECONDS)
            except Empty:
                with self._lock:
                    # Whoever submits counts a waiting worker out before it puts the job, so a
                    # worker may only leave while it is still counted.
                    if self._waiting > self._jobs.qsize():
                        self._waiting -= 1
                        return None


class BoundedExecutor:
    """A Thing's share of the workers: so many calls at once, so many waiting, no more.

    Used from one event loop only, and when that has closed, from another one. A stuck driver fills
    its own lane and no other.
    """

    def __init__(self, workers: Workers, name: str, *, limit: int = 8, waiting: int = 32) -> None:
        """Allow `limit` calls at once and `waiting` more in line."""
        self._workers = workers
        self._name = name
        self._limit = limit
        self._most_waiting = waiting
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running = 0
        self._line: deque[_Job] = deque()

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function on a worker and await its result.

        Raises `TooBusyError` when the line is full or the system makes no new thread.
        BaseExceptions that would end an event loop come wrapped in `UserCodeExit`.
        """
        job = _Job(function, arguments, self._ended)
        if job.loop is not self._loop:
            self._move_to(job.loop)
        if self._running < self._limit:
            self._begin(job)
        elif len(self._line) < self._most_waiting:
            self._line.append(job)
        else:
            raise TooBusyError(
                f"Thing {self._name!r} is busy: {self._running} calls are in progress and "
                f"{len(self._line)} wait. Ask again later."
            )
        try:
            result: T = await job.future
        finally:
            if job.future.cancelled() and job in self._line:
                self._line.remove(job)
        return result

    def _move_to(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin anew where the loop has closed: its calls cannot say any more that they ended."""
        if self._loop is not None and self._loop.is_closed():
            self._running = 0
            self._line.clear()
        self._loop = loop

    def _begin(self, job: _Job) -> None:
        # Counted until the code has ended, also if nobody waits for it any more: a call that was
        # given up still holds its thread and the instrument.
        try:
            self._workers.submit(job)
        except (RuntimeError, MemoryError) as error:
            raise TooBusyError(
                f"Thing {self._name!r} cannot answer now, because no thread can be started for "
                f"the call ({describe_exception(error)}): ask again later, or end programs that "
                "its computer can spare."
            ) from error
        self._running += 1

    def _ended(self) -> None:
        self._running -= 1
        while self._line and self._running < self._limit:
            job = self._line.popleft()
            try:
                self._begin(job)
            except TooBusyError as error:
                # Nothing else might ever end and begin it. The next in line may have more luck.
                job.settle(None, error)
