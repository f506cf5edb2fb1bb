"""Threads that run user code for the event loop, kept between calls.

These threads run user code only, so that code that hangs never delays the server's own work. A
call through a waiting worker costs half of what a call through anyio's thread pool costs.
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
"""A worker without work ends after this time."""


class Job(Protocol):
    """Work for a worker thread."""

    def run(self) -> None:
        """Do the work; must not raise."""


class UserCodeExit(Exception):  # noqa: N818 - it wraps something that is not an error
    """Wraps a BaseException of user code, such as SystemExit, which would end an event loop."""

    def __init__(self, raised: BaseException) -> None:
        """Keep what user code raised."""
        super().__init__(type(raised).__name__)
        self.raised = raised


class _Call:
    """One call: created and resolved on the loop, run on a worker."""

    __slots__ = ("arguments", "context", "function", "future", "loop", "on_end")

    def __init__(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], on_end: Callable[[], None]
    ) -> None:
        self.function = function
        self.arguments = arguments
        self.on_end = on_end
        self.context = contextvars.copy_context()
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()

    def run(self) -> None:
        result: Any = None
        error: BaseException | None = None
        try:
            result = self.context.run(self.function, *self.arguments)
        except BaseException as raised:  # noqa: BLE001 - user code may raise anything
            error = raised
        try:
            self.loop.call_soon_threadsafe(self._end, result, error)
        except RuntimeError:
            return  # the loop closed during the call, so no coroutine waits

    def _end(self, result: Any, error: BaseException | None) -> None:
        # Resolve first: `on_end` starts other calls, whose failures are not those of this one.
        self.resolve(result, error)
        self.on_end()

    def resolve(self, result: Any, error: BaseException | None) -> None:
        if self.future.done():  # cancelled
            return
        if error is None:
            self.future.set_result(result)
        elif isinstance(error, Exception) and not isinstance(error, StopIteration):
            self.future.set_exception(error)
        else:
            self.future.set_exception(UserCodeExit(error))


class Workers:
    """Daemon threads that run jobs; a new thread is started when no worker waits.

    The executors that submit to the workers bound their number. Any thread may submit.
    """

    def __init__(self, name: str) -> None:
        """Use `name` and a number as the name of each thread."""
        self._name = name
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._lock = threading.Lock()  # guards the two counts
        self._waiting = 0
        self._started = 0

    def submit(self, job: Job) -> None:
        """Run a job on a waiting worker, or on a new one.

        Raises:
            RuntimeError: the system starts no new thread; the job will not run.
            MemoryError: as RuntimeError.
        """
        with self._lock:
            is_new = self._waiting == 0
            if is_new:
                self._started += 1
            else:
                self._waiting -= 1
            number = self._started
        if is_new:
            # The new worker gets its job directly, so that no other worker can take it.
            threading.Thread(
                target=self._work, args=(job,), name=f"{self._name}-{number}", daemon=True
            ).start()
        else:
            self._jobs.put(job)

    def _work(self, job: Job | None) -> None:
        while job is not None:
            job.run()
            del job  # a waiting worker must not keep the values of its last call alive
            with self._lock:
                self._waiting += 1
            job = self._next_job()

    def _next_job(self) -> Job | None:
        while True:
            try:
                return self._jobs.get(timeout=IDLE_SECONDS)
            except Empty:
                with self._lock:
                    # `submit` decrements the count before it puts a job. So if the count exceeds
                    # the number of jobs in the queue, a job will not be left without a worker.
                    if self._waiting > self._jobs.qsize():
                        self._waiting -= 1
                        return None


class BoundedExecutor:
    """Runs a bounded number of calls at once on shared workers; more calls wait, up to a bound.

    Each Thing has its own executor, so a driver that hangs blocks only calls to its own Thing.
    Use it from one event loop at a time; another loop may use it after the first has closed.
    """

    def __init__(self, workers: Workers, name: str, *, limit: int = 8, waiting: int = 32) -> None:
        """Run at most `limit` calls at once and let `waiting` more wait.

        `name` begins the message of `TooBusyError`, for example `Thing 'stage'`.
        """
        self._workers = workers
        self._name = name
        self._limit = limit
        self._max_waiting = waiting
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running = 0
        self._queue: deque[_Call] = deque()

    def beside(self) -> BoundedExecutor:
        """Return another one of the same name and limits, for calls that must not wait behind."""
        return BoundedExecutor(
            self._workers, self._name, limit=self._limit, waiting=self._max_waiting
        )

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function on a worker, in a copy of the caller's context; return its result.

        Raises:
            TooBusyError: too many calls wait, or the system starts no new thread.
            UserCodeExit: the function raised a BaseException that would end an event loop.
        """
        call = self._submit(function, arguments)
        try:
            result: T = await call.future
        finally:
            if call.future.cancelled() and call in self._queue:
                self._queue.remove(call)
        return result

    def start(self, function: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
        """Do as `run`, and return the future of the result; do not cancel it.

        Raises:
            TooBusyError: too many calls wait, or the system starts no new thread.
        """
        return self._submit(function, arguments).future

    def _submit(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> _Call:
        call = _Call(function, arguments, self._on_call_end)
        if call.loop is not self._loop:
            self._change_loop(call.loop)
        if self._running < self._limit:
            self._start(call)
        elif len(self._queue) < self._max_waiting:
            self._queue.append(call)
        else:
            raise TooBusyError(
                f"{self._name} is busy: {self._running} calls are in progress and "
                f"{len(self._queue)} wait. Try again later."
            )
        return call

    def _change_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not None and self._loop.is_closed():
            # Calls of a closed loop cannot report their end any more.
            self._running = 0
            self._queue.clear()
        self._loop = loop

    def _start(self, call: _Call) -> None:
        # A cancelled call is counted until its function returns: until then it occupies its
        # thread and the instrument.
        try:
            self._workers.submit(call)
        except (RuntimeError, MemoryError) as error:
            raise TooBusyError(
                f"{self._name} is busy: the system starts no thread for the call "
                f"({describe_exception(error)}). Try again later, or end other programs on the "
                "server's computer."
            ) from error
        self._running += 1

    def _on_call_end(self) -> None:
        self._running -= 1
        while self._queue and self._running < self._limit:
            call = self._queue.popleft()
            try:
                self._start(call)
            except TooBusyError as error:
                # Fail this call now: perhaps no other call ends later that could start it.
                call.resolve(None, error)
