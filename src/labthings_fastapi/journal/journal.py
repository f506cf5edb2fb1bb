"""The port through which runs are recorded and found again, and the journal in memory."""

from __future__ import annotations

import heapq
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from concurrent.futures import Future
from typing import TYPE_CHECKING

from labthings_fastapi.exceptions import ServerNotRunningError

from .record import RunPage, decode_cursor, encode_cursor, newest_first

if TYPE_CHECKING:
    from uuid import UUID

    from .record import RunQuery, RunRecord


class Journal(ABC):
    """The record of every run; all methods may be called from any thread."""

    @abstractmethod
    def put(self, record: RunRecord) -> Future[None]:
        """Keep a record, in place of an earlier one of the same run; never waits for a disk.

        The future is done when the record is committed, in the order in which records of one run
        were put. It holds the error if the record could not be written, and
        `ServerNotRunningError` if the journal was closed.
        """

    @abstractmethod
    def get(self, id: UUID) -> RunRecord | None:
        """Return the record of a run as last committed, or None; may wait for a disk."""

    @abstractmethod
    def search(self, query: RunQuery) -> RunPage:
        """Return the runs that match, newest first; may wait for a disk.

        Pages follow one another without a repeat or a hole while runs are added.

        Raises:
            RequestError: the query's cursor was not made by a journal.
        """

    @abstractmethod
    def close(self, timeout: float) -> None:
        """Stop taking records, and wait up to `timeout` seconds for those taken; harmless twice."""


class MemoryJournal(Journal):
    """A journal that lives as long as the process and keeps the newest `limit` runs."""

    def __init__(self, limit: int = 10_000) -> None:
        if limit < 1:
            raise ValueError(f"limit is {limit}, but a journal keeps at least one run.")
        self._limit = limit
        self._lock = threading.Lock()  # guards the two below
        self._records: OrderedDict[UUID, RunRecord] = OrderedDict()  # by first put
        self._closed = False

    def put(self, record: RunRecord) -> Future[None]:
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
            future.set_exception(
                ServerNotRunningError(f"The journal is closed: run {record.id} was not recorded.")
            )
        return future

    def get(self, id: UUID) -> RunRecord | None:
        """Return the record of a run, or None if it is unknown or was pushed out by newer ones."""
        with self._lock:
            return self._records.get(id)

    def search(self, query: RunQuery) -> RunPage:
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
        return RunPage(page, encode_cursor(page[-1]) if len(found) > query.limit else None)

    def close(self, timeout: float) -> None:  # noqa: ARG002
        """Stop taking records; what was kept can still be read."""
        with self._lock:
            self._closed = True
