"""The port through which invocations and mutations are recorded and found, and a memory journal."""

from __future__ import annotations

import heapq
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from concurrent.futures import Future
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from labthings_fastapi.exceptions import ServerNotRunningError

from .keys import utc_now
from .part import PartsSoFar
from .query import RecordPage, decode_cursor, encode_cursor
from .record import journal_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime
    from uuid import UUID

    from labthings_fastapi.outputs.kept import KeptOutputs

    from .keys import IdempotencyKey
    from .mutation import MutationRecord
    from .part import InvocationPart
    from .query import JournalQuery, RecordT
    from .record import InvocationRecord

K = TypeVar("K")
V = TypeVar("V")


class JournalFailure(NamedTuple):
    """Why a journal cannot be written, and since when (aware UTC)."""

    reason: str
    since: datetime


class Journal(ABC):
    """The records of invocations and mutations; any thread may call every method."""

    outputs: KeptOutputs | None = None
    """Where files, blobs and large outputs of invocations stay, as long as their records; None:
    they go with the invocation in memory."""

    @property
    def failure(self) -> JournalFailure | None:
        """Why nothing can be recorded now; None if the last attempt succeeded."""
        return None

    @abstractmethod
    def put(self, record: InvocationRecord) -> Future[None]:
        """Store a record, replacing an earlier one of the same invocation; never waits for a disk.

        All records of an invocation have the same Thing, time of request and actor.

        The future is done when the record is committed, in the order in which records of one
        invocation were put. It has the error if the record could not be written, and
        `ServerNotRunningError` if the journal is closed.
        """

    @abstractmethod
    def put_part(self, part: InvocationPart) -> Future[None]:
        """Add to the record of an open invocation; never waits for a disk.

        Until its final record is put, which has all of it, readers see the open record with all
        parts; `search` leaves out the results. Put parts after the first record and before the
        final one; others do nothing. The errors are as in `put`.
        """

    @abstractmethod
    def put_mutation(self, record: MutationRecord) -> Future[None]:
        """Store a mutation; never waits for a disk. The errors are as in `put`."""

    @abstractmethod
    def get(self, id: UUID) -> InvocationRecord | None:
        """Return the last committed record of an invocation, or None; may wait for a disk."""

    @abstractmethod
    def get_mutation(self, id: UUID) -> MutationRecord | None:
        """Return a committed mutation, or None; may wait for a disk."""

    @abstractmethod
    def search(self, query: JournalQuery) -> RecordPage[InvocationRecord]:
        """Return the invocations that match, newest first; may wait for a disk.

        Pages have no repeats and no gaps, also while records are added.

        Raises:
            RequestError: no journal made the query's cursor.
        """

    @abstractmethod
    def search_mutations(self, query: JournalQuery) -> RecordPage[MutationRecord]:
        """Return the mutations that match, newest first, as `search` does for invocations."""

    def search_all(self, query: JournalQuery) -> RecordPage[InvocationRecord | MutationRecord]:
        """Return invocations and mutations that match in one list, newest first, as `search`."""
        invocations, mutations = self.search(query), self.search_mutations(query)
        found: list[InvocationRecord | MutationRecord]
        found = [*invocations.records, *mutations.records]
        found.sort(key=lambda record: record.sort_key, reverse=True)
        has_more = (
            len(found) > query.limit
            or invocations.next_cursor is not None
            or mutations.next_cursor is not None
        )
        page = tuple(found[: query.limit])
        return RecordPage(page, encode_cursor(page[-1].sort_key) if has_more else None)

    @abstractmethod
    def remember_key(self, key: IdempotencyKey) -> Future[IdempotencyKey]:
        """Store a key, unless it is in use already; never waits for a disk.

        The result is the stored key: this one or, for 24 hours, the first one. Put the record of
        the invocation after its key; then no crash can leave the record without the key. The
        errors are as in `put`.
        """

    @abstractmethod
    def forget_key(self, key: IdempotencyKey) -> Future[None]:
        """Delete a key, because its invocation was refused; never waits for a disk.

        Does nothing if the stored key belongs to another invocation. The errors are as in `put`.
        """

    @abstractmethod
    def find_key(self, key: str, thing: str, action: str) -> IdempotencyKey | None:
        """Return a stored key, or None if it is unknown or expired; may wait for a disk."""

    @abstractmethod
    def interrupt_open_invocations(self) -> list[InvocationRecord]:
        """End the invocations that an earlier start of the server left open, and return them.

        For the start of a server, before its first invocation; may wait for a disk. The `boot_id`
        of a record decides, never its age. Keys without a record of their invocation are deleted,
        so that a client may send the request again. Bad contents of the disk raise no error.
        """

    @abstractmethod
    def things_to_make_safe(self) -> list[str]:
        """Return the names of the Things that took part in interrupted invocations.

        The latest first, each once, until `made_safe` was called for it, also by a later start of
        the server: a heater that was left on must be switched off once it answers again. May wait
        for a disk.
        """

    @abstractmethod
    def made_safe(self, thing: str, message: str, level: str = "INFO") -> Future[None]:
        """Note that the hardware of a Thing was made safe, in the log of the invocations it was in.

        With the `level` "ERROR" it could not be made safe: the Thing stays in the list. Never waits
        for a disk. The errors are as in `put`.
        """

    @abstractmethod
    def pin(self, id: UUID, *, pinned: bool) -> Future[bool]:
        """Keep an invocation with its outputs beyond every age and limit, or no longer.

        The result is False if there is no record of it. Never waits for a disk. The errors are as
        in `put`.
        """

    @abstractmethod
    def evict_outputs(self) -> None:
        """Delete the oldest outputs while `outputs` has too many bytes; may wait for a disk.

        Those of pinned and of open invocations stay. The record of each says what was deleted.
        """

    @abstractmethod
    def evictable_bytes(self) -> int:
        """Return how many bytes of outputs `evict_outputs` could delete; may wait for a disk."""

    def limit_outputs(self, limit: int) -> None:
        """Keep at most `limit` bytes of outputs on the disk, until the journal is closed."""
        if self.outputs is not None:
            self.outputs.keep_within(limit, self.evict_outputs, self.evictable_bytes)

    @abstractmethod
    def close(self, timeout: float) -> None:
        """Accept no more records, and wait up to `timeout` seconds for pending ones; idempotent."""


def eviction_text(size: int, limit: int | None) -> str:
    """Return what the record of an invocation says when its outputs are deleted."""
    return (
        f"The blobs and files of this run ({size} bytes) were deleted, because those of all runs "
        f"took more than `max_output_bytes`, {limit} bytes."
    )


def closed_error(loss: str) -> ServerNotRunningError:
    """Return the error of a closed journal; `loss` names what was not recorded."""
    return ServerNotRunningError(f"The journal is closed: {loss}.")


class MemoryJournal(Journal):
    """A journal in memory with the newest `limit` invocations, mutations and keys each.

    Raises:
        ValueError: `limit` is not positive.
    """

    def __init__(
        self,
        limit: int = 10_000,
        *,
        outputs: KeptOutputs | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """Start empty; `clock` returns aware UTC."""
        if limit < 1:
            raise ValueError(f"limit is {limit}, but the smallest journal has 1 invocation.")
        self.outputs = outputs
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()  # guards what follows
        self._records: OrderedDict[UUID, InvocationRecord] = OrderedDict()
        self._parts: dict[UUID, PartsSoFar] = {}  # of open invocations
        self._mutations: OrderedDict[UUID, MutationRecord] = OrderedDict()
        self._keys: OrderedDict[tuple[str, str, str], IdempotencyKey] = OrderedDict()
        self._pins: set[UUID] = set()
        self._closed = False

    def put(self, record: InvocationRecord) -> Future[None]:
        """Store a record; the future is already done."""
        with self._lock:
            if not self._closed:
                self._records[record.id] = record._replace(pinned=record.id in self._pins)
                if not record.is_open:
                    self._parts.pop(record.id, None)
                dropped = self._limit_records()
                if dropped is None:
                    return _result(None)
                self._parts.pop(dropped, None)
            else:
                dropped = None
        if dropped is not None:
            if self.outputs is not None:
                self.outputs.delete([dropped])
            return _result(None)
        return _failure(closed_error(f"run {record.id} was not recorded"))

    def put_part(self, part: InvocationPart) -> Future[None]:
        """Add to an open record; the future is already done."""
        with self._lock:
            if not self._closed:
                record = self._records.get(part.id)
                if record is not None and record.is_open:
                    self._parts.setdefault(part.id, PartsSoFar()).add(part)
                return _result(None)
        return _failure(closed_error(f"the log so far of run {part.id} was not recorded"))

    def put_mutation(self, record: MutationRecord) -> Future[None]:
        """Store a mutation; the future is already done."""
        with self._lock:
            if not self._closed:
                self._mutations[record.id] = record
                self._limit_size(self._mutations)
                return _result(None)
        return _failure(closed_error(f"mutation {record.id} was not recorded"))

    def get(self, id: UUID) -> InvocationRecord | None:
        """Return the record of an invocation, or None if it is unknown or was dropped."""
        with self._lock:
            record = self._records.get(id)
            parts = self._parts.get(id)
            if record is None or parts is None:
                return record
            return parts.added_to(record, results=True).for_journal()

    def _for_list(self, record: InvocationRecord) -> InvocationRecord:
        parts = self._parts.get(record.id)
        return record if parts is None else parts.added_to(record, results=False)

    def get_mutation(self, id: UUID) -> MutationRecord | None:
        """Return a mutation, or None if it is unknown or was dropped."""
        with self._lock:
            return self._mutations.get(id)

    def search(self, query: JournalQuery) -> RecordPage[InvocationRecord]:
        """Return the invocations that match, newest first."""
        with self._lock:
            records = list(map(self._for_list, self._records.values()))
        return _page(records, query, query.matches)

    def search_mutations(self, query: JournalQuery) -> RecordPage[MutationRecord]:
        """Return the mutations that match, newest first."""
        with self._lock:
            records = list(self._mutations.values())
        return _page(records, query, query.matches_mutation)

    def remember_key(self, key: IdempotencyKey) -> Future[IdempotencyKey]:
        """Store a key, unless it is in use already; the future is already done."""
        now = self._clock()
        with self._lock:
            if not self._closed:
                stored = self._keys.get(key.name)
                if stored is None or stored.has_expired(now):
                    self._keys[key.name] = stored = key
                    self._keys.move_to_end(key.name)
                    self._limit_size(self._keys)
                return _result(stored)
        return _failure(closed_error(f"key {key.key!r} was not remembered"))

    def forget_key(self, key: IdempotencyKey) -> Future[None]:
        """Delete a key; the future is already done."""
        with self._lock:
            stored = self._keys.get(key.name)
            if stored is not None and stored.invocation == key.invocation:
                del self._keys[key.name]
        return _result(None)

    def find_key(self, key: str, thing: str, action: str) -> IdempotencyKey | None:
        """Return a stored key, or None."""
        with self._lock:
            stored = self._keys.get((key, thing, action))
        return None if stored is None or stored.has_expired(self._clock()) else stored

    def interrupt_open_invocations(self) -> list[InvocationRecord]:
        """Return nothing: a memory journal has no records of an earlier start."""
        return []

    def things_to_make_safe(self) -> list[str]:
        """Return nothing, for the same reason."""
        return []

    def made_safe(self, thing: str, message: str, level: str = "INFO") -> Future[None]:  # noqa: ARG002
        """Do nothing."""
        return _result(None)

    def close(self, timeout: float) -> None:  # noqa: ARG002
        """Accept no more records; stored records can still be read."""
        if self.outputs is not None:
            self.outputs.stop()
        with self._lock:
            self._closed = True

    def _limit_records(self) -> UUID | None:
        if len(self._records) <= self._limit:
            return None
        oldest = next((id for id in self._records if id not in self._pins), None)
        if oldest is not None:
            del self._records[oldest]
        return oldest

    def pin(self, id: UUID, *, pinned: bool) -> Future[bool]:
        """Keep an invocation however many there are; the future is already done."""
        with self._lock:
            record = self._records.get(id)
            if record is None:
                return _result(False)
            self._records[id] = record._replace(pinned=pinned)
            (self._pins.add if pinned else self._pins.discard)(id)
        return _result(True)

    def evict_outputs(self) -> None:
        """Delete the oldest outputs."""
        outputs = self.outputs
        if outputs is None:
            return
        sizes = outputs.usage.sizes()
        with self._lock:
            ended = [each for each in self._records.values() if not each.is_open]
        for record in ended:
            size = sizes.get(record.id.hex)
            if outputs.excess() <= 0:
                return
            if size is None or record.pinned:
                continue
            outputs.delete([record.id])
            line = journal_line(eviction_text(size, outputs.limit), "WARNING", self._clock())
            with self._lock:
                now = self._records.get(record.id)
                if now is not None:
                    log = (*now.log, line)
                    self._records[record.id] = now._replace(log=log, outputs_dropped=size)

    def evictable_bytes(self) -> int:
        """Return how many bytes of outputs could be deleted."""
        sizes = {} if self.outputs is None else self.outputs.usage.sizes()
        with self._lock:
            records = list(self._records.values())
        return sum(
            sizes.get(each.id.hex, 0) for each in records if not (each.is_open or each.pinned)
        )

    def _limit_size(self, entries: OrderedDict[K, V]) -> K | None:
        return entries.popitem(last=False)[0] if len(entries) > self._limit else None


def _result(value: V) -> Future[V]:
    future: Future[V] = Future()
    future.set_result(value)
    return future


def _failure(error: Exception) -> Future[V]:
    future: Future[V] = Future()
    future.set_exception(error)
    return future


def _page(
    records: Iterable[RecordT], query: JournalQuery, matches: Callable[[RecordT], bool]
) -> RecordPage[RecordT]:
    before = None if query.cursor is None else decode_cursor(query.cursor)
    found = heapq.nlargest(
        query.limit + 1,
        (
            record
            for record in records
            if (before is None or record.sort_key < before) and matches(record)
        ),
        key=lambda record: record.sort_key,
    )
    page = tuple(found[: query.limit])
    has_more = len(found) > query.limit
    return RecordPage(page, encode_cursor(page[-1].sort_key) if has_more else None)
