"""The port through which runs are recorded and found again, and the journal in memory."""

from __future__ import annotations

import heapq
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from concurrent.futures import Future
from typing import TYPE_CHECKING

from labthings_fastapi.exceptions import ServerNotRunningError

from .keys import utc_now
from .record import RecordPage, decode_cursor, encode_cursor, newest_first

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from uuid import UUID

    from .keys import IdempotencyKey
    from .record import InvocationRecord, JournalQuery


class Journal(ABC):
    """The record of every run; all methods may be called from any thread."""

    @abstractmethod
    def put(self, record: InvocationRecord) -> Future[None]:
        """Keep a record, in place of an earlier one of the same run; never waits for a disk.

        All records of a run have the same Thing, time of request and actor.

        The future is done when the record is committed, in the order in which records of one run
        were put. It holds the error if the record could not be written, and
        `ServerNotRunningError` if the journal was closed.
        """

    @abstractmethod
    def get(self, id: UUID) -> InvocationRecord | None:
        """Return the record of a run as last committed, or None; may wait for a disk."""

    @abstractmethod
    def search(self, query: JournalQuery) -> RecordPage:
        """Return the runs that match, newest first; may wait for a disk.

        Pages follow one another without a repeat or a hole while runs are added.

        Raises:
            RequestError: the query's cursor was not made by a journal.
        """

    @abstractmethod
    def remember_key(self, key: IdempotencyKey) -> Future[IdempotencyKey]:
        """Let a key stand for a run, unless it stands for one already; never waits for a disk.

        The result is the key as it is kept: this one or, for 24 hours, the one that was first. Put
        the run's record after it, and no crash can leave the record without its key. Errors are
        those of `put`.
        """

    @abstractmethod
    def forget_key(self, key: IdempotencyKey) -> Future[None]:
        """Let a key stand for nothing, because its run was refused; never waits for a disk.

        Does nothing if the key stands for another run than `key` says. Errors are those of `put`.
        """

    @abstractmethod
    def find_key(self, key: str, thing: str, action: str) -> IdempotencyKey | None:
        """Return what a key stands for, or None after 24 hours; may wait for a disk."""

    @abstractmethod
    def interrupt_open_invocations(self) -> list[InvocationRecord]:
        """End the runs that an earlier life of the server left open, and return them as ended.

        For the start of a server, before its first run; may wait for a disk. They are recognised
        by their incarnation, never by their age. Keys whose run was never recorded are forgotten,
        so that a client may ask again. Never raises because of what is on the disk.
        """

    @abstractmethod
    def close(self, timeout: float) -> None:
        """Stop taking records, and wait up to `timeout` seconds for those taken; harmless twice."""


def closed_error(loss: str) -> ServerNotRunningError:
    """Say that a journal takes nothing any more, and what is lost by that."""
    return ServerNotRunningError(f"The journal is closed: {loss}.")


class MemoryJournal(Journal):
    """A journal that lives as long as the process and keeps the newest `limit` runs."""

    def __init__(self, limit: int = 10_000, *, clock: Callable[[], datetime] = utc_now) -> None:
        if limit < 1:
            raise ValueError(f"limit is {limit}, but a journal keeps at least one run.")
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()  # guards the three below
        self._records: OrderedDict[UUID, InvocationRecord] = OrderedDict()  # by first put
        self._keys: OrderedDict[tuple[str, str, str], IdempotencyKey] = (
            OrderedDict()
        )  # by first use
        self._closed = False

    def put(self, record: InvocationRecord) -> Future[None]:
        """Keep a record; the future is done already."""
        future: Future[None] = Future()
        with self._lock:
            taken = not self._closed
            if taken:
                self._records[record.id] = record
                if len(self._records) > self._limit:
                    self._records.popitem(last=False)
        if taken:
            future.set_result(None)
        else:
            future.set_exception(closed_error(f"run {record.id} was not recorded"))
        return future

    def get(self, id: UUID) -> InvocationRecord | None:
        """Return the record of a run, or None if it is unknown or was pushed out by newer ones."""
        with self._lock:
            return self._records.get(id)

    def search(self, query: JournalQuery) -> RecordPage:
        """Return the runs that match, newest first."""
        before = None if query.cursor is None else decode_cursor(query.cursor)
        with self._lock:
            records = list(self._records.values())
        found = heapq.nlargest(
            query.limit + 1,
            (
                record
                for record in records
                if (before is None or newest_first(record) < before) and query.matches(record)
            ),
            key=newest_first,
        )
        page = tuple(found[: query.limit])
        return RecordPage(page, encode_cursor(page[-1]) if len(found) > query.limit else None)

    def remember_key(self, key: IdempotencyKey) -> Future[IdempotencyKey]:
        """Let a key stand for a run; the newest `limit` keys are kept."""
        future: Future[IdempotencyKey] = Future()
        now = self._clock()
        with self._lock:
            taken = not self._closed
            held = self._keys.get(key.name)
            if taken and (held is None or held.has_expired(now)):
                self._keys[key.name] = held = key
                self._keys.move_to_end(key.name)
                if len(self._keys) > self._limit:
                    self._keys.popitem(last=False)
        if taken:
            future.set_result(held or key)
        else:
            future.set_exception(closed_error(f"key {key.key!r} was not remembered"))
        return future

    def forget_key(self, key: IdempotencyKey) -> Future[None]:
        """Let a key stand for nothing."""
        future: Future[None] = Future()
        with self._lock:
            held = self._keys.get(key.name)
            if held is not None and held.invocation == key.invocation:
                del self._keys[key.name]
        future.set_result(None)
        return future

    def find_key(self, key: str, thing: str, action: str) -> IdempotencyKey | None:
        """Return what a key stands for, or None."""
        with self._lock:
            held = self._keys.get((key, thing, action))
        return None if held is None or held.has_expired(self._clock()) else held

    def interrupt_open_invocations(self) -> list[InvocationRecord]:
        """Return nothing: a journal in memory knows of no earlier life."""
        return []

    def close(self, timeout: float) -> None:  # noqa: ARG002
        """Stop taking records; what was kept can still be read."""
        with self._lock:
            self._closed = True
