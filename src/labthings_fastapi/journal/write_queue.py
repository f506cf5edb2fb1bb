"""The records that wait to be written: many threads add them, the writer takes all at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from labthings_fastapi.exceptions import ServerNotRunningError, TooBusyError

from .journal import closed_error
from .keys import IdempotencyKey
from .mutation import MutationRecord
from .part import InvocationPart
from .record import InvocationRecord
from .schema import LOGGER

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

T = TypeVar("T")
RecordT = TypeVar("RecordT", InvocationRecord, InvocationPart, MutationRecord, IdempotencyKey)

CAPACITY: Final = 10_000
"""Limit for waiting keys, mutations and invocations each. Final records have twice the limit for
invocations: while the queue is full no new invocation begins, so there are not more of them."""


def new_future() -> Future[Any]:
    """Return a future that cannot be cancelled, because its record will be written."""
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()
    return future


def failed_future(error: Exception) -> Future[Any]:
    """Return a future that has failed."""
    future = new_future()
    future.set_exception(error)
    return future


def _set_result(future: Future[Any], result: object) -> None:
    try:
        future.set_result(result)
    except BaseException:  # noqa: BLE001 - a SystemExit in a callback must not end the writer
        LOGGER.exception("A callback that waited for the journal failed.")


def _set_error(future: Future[Any], error: BaseException) -> None:
    """Set an error, unless the future is done; only one thread completes futures."""
    if future.done():
        return
    if not isinstance(error, Exception):
        # A SystemExit in a future would end the thread or event loop that waits for it.
        error = RuntimeError(f"The journal was interrupted by {error!r}.")
    try:
        future.set_exception(error)
    except BaseException:  # noqa: BLE001 - see above
        LOGGER.exception("A callback that waited for the journal failed.")


class Job(Generic[RecordT]):
    """A record to be written, and the future of its commit."""

    __slots__ = ("future", "record")

    def __init__(self, record: RecordT, future: Future[Any]) -> None:
        self.record: RecordT = record
        self.future = future

    def resolve(self, result: object = None) -> None:
        _set_result(self.future, result)

    def fail(self, error: BaseException) -> None:
        _set_error(self.future, error)


@dataclass(slots=True)
class WriterTask(Generic[T]):
    """A call on the writer's thread, after the records that were added before it."""

    function: Callable[[], T]
    future: Future[T] = field(default_factory=new_future)

    def run(self) -> None:
        """Call the function and complete the future."""
        try:
            result = self.function()
        except BaseException as error:  # noqa: BLE001 - the future has it
            self.fail(error)
        else:
            _set_result(self.future, result)

    def fail(self, error: BaseException) -> None:
        """Fail the future, unless it is done."""
        _set_error(self.future, error)


@dataclass(slots=True)
class Batch:
    """Everything that waited at one moment."""

    keys: list[Job[IdempotencyKey]] = field(default_factory=list)
    invocations: dict[UUID, Job[InvocationRecord]] = field(default_factory=dict)
    parts: list[Job[InvocationPart]] = field(default_factory=list)
    mutations: list[Job[MutationRecord]] = field(default_factory=list)
    tasks: list[WriterTask[Any]] = field(default_factory=list)

    @property
    def number_of_records(self) -> int:
        """How many records are to be written."""
        return len(self.keys) + len(self.invocations) + len(self.parts) + len(self.mutations)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not (self.number_of_records or self.tasks)

    def ends(self, id: UUID) -> bool:
        """Whether the final record of this invocation is to be written."""
        job = self.invocations.get(id)
        return job is not None and not job.record.is_open

    def split(self) -> list[Batch]:
        """Return a batch for each record, without the tasks."""
        return [
            *(Batch(keys=[key]) for key in self.keys),
            *(Batch(invocations={id: job}) for id, job in self.invocations.items()),
            *(Batch(parts=[part]) for part in self.parts),
            *(Batch(mutations=[mutation]) for mutation in self.mutations),
        ]

    def fail_records(self, error: BaseException) -> None:
        """Fail the futures of all records that are not done."""
        groups: tuple[Iterable[Job[Any]], ...]
        groups = self.keys, self.invocations.values(), self.parts, self.mutations
        for jobs in groups:
            for job in jobs:
                job.fail(error)

    def fail(self, error: BaseException) -> None:
        """Fail all futures that are not done."""
        self.fail_records(error)
        for task in self.tasks:
            task.fail(error)


class WriteQueue:
    """A queue with the newest record of each invocation; any thread may call every method."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._changed = threading.Condition()  # guards the two below
        self._waiting = Batch()
        self._closed = False

    def put_invocation(self, record: InvocationRecord) -> Future[None]:
        """Add a record, or replace the waiting one of the same invocation."""
        with self._changed:
            waiting = self._waiting.invocations
            job = waiting.get(record.id)
            limit = self._capacity if record.is_open else 2 * self._capacity
            if self._closed:
                error: Exception = closed_error(f"run {record.id} was not recorded")
            elif job is not None:
                job.record = record
                return job.future
            elif len(waiting) < limit:
                job = waiting[record.id] = Job(record, new_future())
                self._changed.notify()
                return job.future
            else:
                error = TooBusyError(
                    f"Run {record.id} was not recorded, because {len(waiting)} other runs wait for "
                    "the disk of the journal: it is too slow, or does not answer."
                )
        return failed_future(error)

    def put_part(self, part: InvocationPart) -> Future[None]:
        """Add a part of an open invocation."""
        loss = f"the log and progress so far of run {part.id} were not recorded"
        return self._put(lambda: self._waiting.parts, part, loss)

    def put_mutation(self, record: MutationRecord) -> Future[None]:
        """Add a mutation."""
        return self._put(
            lambda: self._waiting.mutations, record, f"mutation {record.id} was not recorded"
        )

    def put_key(self, key: IdempotencyKey) -> Future[IdempotencyKey]:
        """Add a key; the result is the key that is stored."""
        return self._put(lambda: self._waiting.keys, key, f"key {key.key!r} was not remembered")

    def submit(self, function: Callable[[], T]) -> Future[T]:
        """Have the writer call a function after it has written what waits now."""
        task = WriterTask(function)
        with self._changed:
            if not self._closed:
                self._waiting.tasks.append(task)
                self._changed.notify()
                return task.future
        return failed_future(ServerNotRunningError("The journal is closed."))

    def _put(
        self, waiting: Callable[[], list[Job[RecordT]]], record: RecordT, loss: str
    ) -> Future[Any]:
        future = new_future()
        with self._changed:
            jobs = waiting()
            if self._closed:
                error: Exception = closed_error(loss)
            elif len(jobs) >= self._capacity:
                error = TooBusyError(f"The journal has too much to write: {loss}.")
            else:
                jobs.append(Job(record, future))
                self._changed.notify()
                return future
        future.set_exception(error)
        return future

    def take(self, timeout: float | None) -> Batch | None:
        """Wait and take everything; empty after `timeout` seconds, None if closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._waiting.is_empty, timeout)
            if self._closed and self._waiting.is_empty:
                return None
            batch, self._waiting = self._waiting, Batch()
            return batch

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits now."""
        with self._changed:
            return self._waiting.is_empty

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is accepted."""
        return self._closed

    def close(self) -> None:
        """Accept nothing more; what waits can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def abort(self, error: Exception) -> None:
        """Accept nothing more, and fail everything that waits."""
        self.close()
        batch = self.take(0)
        if batch is not None:
            batch.fail(error)
