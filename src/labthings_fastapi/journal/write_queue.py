"""What waits to be written: many threads put it in, the writer takes all of it at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from labthings_fastapi.exceptions import ServerNotRunningError, TooBusyError

from .journal import closed_error
from .schema import LOGGER

if TYPE_CHECKING:
    from uuid import UUID

    from .keys import IdempotencyKey
    from .record import InvocationRecord

T = TypeVar("T")

CAPACITY: Final = 10_000
"""Runs that may wait; the ends of as many more are taken, because no new run begins meanwhile."""


def new_future() -> Future[Any]:
    """Return a future that nobody can cancel: what was put in will be written."""
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()
    return future


def failed(error: Exception) -> Future[Any]:
    """Return the future of what was not taken."""
    future = new_future()
    future.set_exception(error)
    return future


def _tell(future: Future[Any], answer: object = None, error: BaseException | None = None) -> None:
    """Settle a future; what those who wait for it do in this thread must not stop the writer."""
    try:
        if error is None:
            future.set_result(answer)
        else:
            # A SystemExit must not reach those who wait, an event loop among them, as itself.
            if not isinstance(error, Exception):
                error = RuntimeError(f"The journal was interrupted by {error!r}.")
            future.set_exception(error)
    except BaseException:  # noqa: BLE001 - a SystemExit would end the journal, not the server
        LOGGER.exception("Somebody who waited for the journal failed when told of it.")


def _fail(future: Future[Any], error: BaseException) -> None:
    """Settle a future by an error, unless it is settled; for the thread that settles them."""
    if not future.done():
        _tell(future, error=error)


class RecordJob:
    """The newest record of a run, and all who wait for it or for an earlier one."""

    __slots__ = ("futures", "record")

    def __init__(self, record: InvocationRecord, future: Future[None]) -> None:
        self.record = record
        self.futures = [future]

    def resolve(self, answer: object) -> None:  # noqa: ARG002 - a run's answer is None
        """Tell everybody, in the order in which they came."""
        for future in self.futures:
            _tell(future)

    def fail(self, error: BaseException) -> None:
        """Tell everybody who waits still why the record could not be written."""
        for future in self.futures:
            _fail(future, error)


class KeyJob:
    """A key that is to stand for a run."""

    __slots__ = ("future", "key")

    def __init__(self, key: IdempotencyKey, future: Future[IdempotencyKey]) -> None:
        self.key = key
        self.future = future

    def resolve(self, answer: Any) -> None:
        """Tell the key as it is kept."""
        _tell(self.future, answer)

    def fail(self, error: BaseException) -> None:
        """Tell why the key could not be kept, unless its outcome is told."""
        _fail(self.future, error)


@dataclass(slots=True)
class WriterTask(Generic[T]):
    """Something else for the writer's thread to do, after what was put in before it."""

    do: Callable[[], T]
    future: Future[T] = field(default_factory=new_future)

    def run(self) -> None:
        """Do it and tell the outcome."""
        try:
            outcome = self.do()
        except BaseException as error:  # noqa: BLE001 - it is told to whoever asked
            _tell(self.future, error=error)
        else:
            _tell(self.future, outcome)

    def fail(self, error: BaseException) -> None:
        """Tell why it was not done, unless its outcome is told."""
        _fail(self.future, error)


@dataclass(slots=True)
class Batch:
    """All that waited; keys are written before runs, as `Journal.remember_key` promises."""

    keys: list[KeyJob] = field(default_factory=list)
    invocations: dict[UUID, RecordJob] = field(default_factory=dict)
    tasks: list[WriterTask[Any]] = field(default_factory=list)

    @property
    def jobs(self) -> list[KeyJob | RecordJob]:
        """What is to be written."""
        return [*self.keys, *self.invocations.values()]

    def fail(self, error: BaseException) -> None:
        """Tell everybody who waits still, so that nobody waits for ever."""
        for job in self.jobs:
            job.fail(error)
        for task in self.tasks:
            task.fail(error)


class WriteQueue:
    """A queue with one place per run; every method may be called from any thread."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._changed = threading.Condition()  # guards the two below
        self._waiting = Batch()
        self._closed = threading.Event()  # set under the lock

    def put_record(self, record: InvocationRecord) -> Future[None]:
        """Let a record wait, in the place of an earlier one of the same run."""
        future: Future[None] = new_future()
        with self._changed:
            error = self._refusal(record)
            if error is None:
                waiting = self._waiting.invocations.get(record.id)
                if waiting is None:
                    self._waiting.invocations[record.id] = RecordJob(record, future)
                    self._changed.notify()
                else:
                    waiting.record = record
                    waiting.futures.append(future)
        if error is not None:
            future.set_exception(error)
        return future

    def _refusal(self, record: InvocationRecord) -> Exception | None:
        if self._closed.is_set():
            return closed_error(f"run {record.id} was not recorded")
        waiting = len(self._waiting.invocations)
        if waiting < self._capacity * (1 if record.is_open else 2):
            return None
        if record.id in self._waiting.invocations:
            return None
        return TooBusyError(
            f"{waiting} runs wait to be recorded, so run {record.id} is not: "
            "the disk of the journal is too slow, or does not answer."
        )

    def put_key(self, key: IdempotencyKey) -> Future[IdempotencyKey]:
        """Let a key wait."""
        future: Future[IdempotencyKey] = new_future()
        error: Exception | None = None
        with self._changed:
            if self._closed.is_set():
                error = closed_error(f"key {key.key!r} was not remembered")
            elif len(self._waiting.keys) >= self._capacity:
                error = TooBusyError(f"Too many keys wait to be remembered: not {key.key!r}.")
            else:
                self._waiting.keys.append(KeyJob(key, future))
                self._changed.notify()
        if error is not None:
            future.set_exception(error)
        return future

    def ask(self, do: Callable[[], T]) -> Future[T]:
        """Let the writer do something once it has written what waits now."""
        task = WriterTask(do)
        with self._changed:
            taken = not self._closed.is_set()
            if taken:
                self._waiting.tasks.append(task)
                self._changed.notify()
        if not taken:
            task.future.set_exception(ServerNotRunningError("The journal is closed."))
        return task.future

    def take(self, timeout: float | None) -> Batch | None:
        """Wait for something and take all; empty after `timeout` seconds, None when closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed.is_set() or not self._empty, timeout)
            if self._closed.is_set() and self._empty:
                return None
            taken, self._waiting = self._waiting, Batch()
            return taken

    def wait_for_more(self, seconds: float) -> None:
        """Let things come in for a moment, or until it is closed; they wake nobody."""
        self._closed.wait(seconds)

    @property
    def _empty(self) -> bool:
        waiting = self._waiting
        return not (waiting.invocations or waiting.keys or waiting.tasks)

    @property
    def empty(self) -> bool:
        """Whether nothing waits now."""
        with self._changed:
            return self._empty

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is taken."""
        with self._changed:
            return self._closed.is_set()

    def close(self) -> None:
        """Take nothing more; what waits can still be taken out."""
        with self._changed:
            self._closed.set()
            self._changed.notify_all()

    def give_up(self, error: Exception) -> None:
        """Take nothing more, and tell all that waits why nobody will take it out."""
        self.close()
        waiting = self.take(0)
        if waiting is not None:
            waiting.fail(error)
