"""The journal that outlives the server: one SQLite file."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from labthings_fastapi.exceptions import LabThingsError, ServerConfigurationError
from labthings_fastapi.messages.message import InvocationStatus
from labthings_fastapi.problems import message_problem

from .database import Database
from .faults import is_damage
from .journal import Journal
from .keys import utc_now
from .record import RecordPage, decode_cursor, encode_cursor
from .retention import Retention
from .rows import (
    drop_key,
    find_key,
    forget_keys_without_record,
    read_record,
    record_with_id,
    records_found,
    records_left_open,
)
from .schema import LOGGER
from .writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future
    from datetime import datetime
    from uuid import UUID

    from .keys import IdempotencyKey
    from .record import InvocationRecord, JournalQuery

T = TypeVar("T")

KEEP_DAYS: Final = 30.0
KEEP_BYTES: Final = 1024**3
_PATIENCE: Final = 60.0  # seconds that a reader waits for the writer's thread
_AT_ONCE: Final = 500  # open runs ended together
_UNREADABLE: Final = (
    ValueError,
    TypeError,
    OverflowError,
    LookupError,
    RecursionError,
    LabThingsError,
)


class SqliteJournal(Journal):
    """A journal in a file, written by one thread with group commit.

    `incarnation` names this life of the server. Runs are kept `keep_days` after their end, and the
    oldest are dropped when they take more than `keep_bytes`; open ones are kept. With `synchronous`
    NORMAL a killed server loses nothing, and a power cut perhaps the newest records; FULL waits for
    the disk at each commit. `vfs` names the SQLite VFS, for file systems without file locks.
    `claim` is called before anything is made or opened, on the writer's thread; while it raises,
    nothing is recorded.

    Folder and file are made on first use. A damaged file is set aside, at any time, and a new one
    is begun. A `put` that finds the disk full fails with an OSError (ENOSPC); the end of a run is
    then tried again, also when its future has failed.

    Raises:
        ServerConfigurationError: no file can be made or written there.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        boot_id: str,
        keep_days: float = KEEP_DAYS,
        keep_bytes: int = KEEP_BYTES,
        synchronous: Literal["NORMAL", "FULL"] = "NORMAL",
        vfs: str | None = None,
        claim: Callable[[], None] | None = None,
        clock: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is opened yet. `clock` tells aware UTC, `monotonic` seconds."""
        self.path = Path(path)
        _refuse_odd_limits(keep_days, keep_bytes, synchronous)
        _refuse_unwritable(self.path)
        self._boot_id = boot_id
        self._clock = clock
        self._database = Database(self.path, synchronous, clock, vfs, claim)
        retention = Retention(keep_days, keep_bytes, clock)
        self._writer = Writer(self._database, retention, clock, monotonic)

    def put(self, record: InvocationRecord) -> Future[None]:
        """Keep a record; of several that wait for the same run, the last is written."""
        return self._writer.put(record)

    def remember_key(self, key: IdempotencyKey) -> Future[IdempotencyKey]:
        """Let a key stand for a run."""
        return self._writer.remember(key)

    def forget_key(self, key: IdempotencyKey) -> Future[None]:
        """Let a key stand for nothing."""
        return self._writer.ask(lambda: drop_key(self._database.connection(), key))

    def get(self, id: UUID) -> InvocationRecord | None:
        """Return the record of a run as last committed, or None."""
        row = self._read(lambda connection: record_with_id(connection, id), None)
        return None if row is None else next(self._records([row]), None)

    def find_key(self, key: str, thing: str, action: str) -> IdempotencyKey | None:
        """Return what a key stands for, or None."""
        found = self._read(lambda connection: find_key(connection, (key, thing, action)), None)
        return None if found is None or found.has_expired(self._clock()) else found

    def search(self, query: JournalQuery) -> RecordPage:
        """Return the runs that match, newest first."""
        if query.cursor is not None:
            decode_cursor(query.cursor)  # an invented one is refused, also where there is no file
        return self._read(partial(self._page, query), RecordPage(()))

    def _page(self, query: JournalQuery, connection: sqlite3.Connection) -> RecordPage:
        found: list[InvocationRecord] = []
        with closing(records_found(connection, query)) as rows:
            for record in self._records(rows):
                if len(found) == query.limit:
                    return RecordPage(tuple(found), encode_cursor(found[-1]))
                found.append(record)
        return RecordPage(tuple(found))

    def interrupt_open_invocations(self) -> list[InvocationRecord]:
        """End the runs that an earlier life left open."""
        ended: list[InvocationRecord] = []
        nothing: list[tuple[Any, ...]] = []
        try:
            while rows := self._read(self._left_open, nothing):
                records = [interrupted(record, self._clock()) for record in self._records(rows)]
                ended += records
                for future in [self.put(record) for record in records]:
                    future.result(_PATIENCE)
                if not records:
                    break
            if self._exists():
                self._ask(lambda: forget_keys_without_record(self._database.connection()))
        except (sqlite3.Error, OSError, LabThingsError, TimeoutError) as error:
            LOGGER.error(
                "The journal %s may go on to show runs as open that an earlier life of the server "
                "began, because it cannot be read or written: %r",
                *(self.path, error),
            )
        return ended

    def _left_open(self, connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
        return records_left_open(connection, self._boot_id, _AT_ONCE)

    def sweep(self) -> Future[None]:
        """Drop now what need not be kept; otherwise it happens every minute."""
        return self._writer.ask(self._writer.sweep)

    def close(self, timeout: float) -> None:
        """Stop taking records and write those taken; what was kept can still be read."""
        if not self._writer.close(timeout):
            LOGGER.error(
                "The journal %s was not written within %s s: the newest records may be missing.",
                *(self.path, timeout),
            )

    # --- reading --------------------------------------------------------------------------

    def _exists(self) -> bool:
        return self._database.number is not None or self.path.exists()

    def _ask(self, do: Callable[[], T]) -> T:
        return self._writer.ask(do).result(_PATIENCE)

    def _read(self, ask: Callable[[sqlite3.Connection], T], nothing: T) -> T:
        if not self._exists():
            return nothing
        number = self._open()
        try:
            with self._database.reading() as connection:
                return ask(connection)
        except sqlite3.DatabaseError as error:
            if is_damage(error) and not self._writer.is_closed:
                self._ask(partial(self._set_aside, number, error))
            elif self._database.number == number:
                raise
        # Another file has taken the place of the one that was read.
        self._open()
        with self._database.reading() as connection:
            return ask(connection)

    def _open(self) -> int | None:
        """Let the writer check the file and bring it up to date, before anybody reads it."""
        if self._database.number is None and not self._writer.is_closed:
            self._ask(self._database.connection)
        return self._database.number

    def _set_aside(self, number: int | None, error: Exception) -> None:
        """On the writer's thread: another reader may have asked for the same already."""
        if self._database.number == number:
            self._database.set_aside(error)
        self._database.connection()

    def _records(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[InvocationRecord]:
        """Read rows; one that was damaged on the disk must not cost the others."""
        for row in rows:
            try:
                yield read_record(row)
            except _UNREADABLE as error:
                LOGGER.error("A run in the journal %s cannot be read: %r", self.path, error)


def interrupted(record: InvocationRecord, now: datetime) -> InvocationRecord:
    """Return the record of a run that its server did not live to end."""
    what = "was in progress" if record.time_started else "was waiting or had just begun"
    problem = message_problem(
        "interrupted",
        "The run was interrupted",
        500,
        f"The server stopped while this run {what}. It was not run again.",
    )
    return record._replace(status=InvocationStatus.ERROR, time_ended=now, error=problem.members())


def _refuse_odd_limits(keep_days: float, keep_bytes: int, synchronous: str) -> None:
    if not keep_days > 0:
        raise ServerConfigurationError(f"keep_days is {keep_days}: runs are kept for a while.")
    if keep_bytes < 1:
        raise ServerConfigurationError(f"keep_bytes is {keep_bytes}: a journal needs some room.")
    if synchronous not in ("NORMAL", "FULL"):
        raise ServerConfigurationError(f"synchronous is {synchronous!r}, not 'NORMAL' or 'FULL'.")


def _refuse_unwritable(path: Path) -> None:
    folder = path.parent.absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if path.is_dir():
        reason = "it is a folder"
    elif not folder.is_dir():
        reason = f"{folder} is not a folder"
    elif not os.access(folder, os.W_OK | os.X_OK):
        reason = f"nothing may be written in {folder}"
    elif path.exists() and not os.access(path, os.R_OK | os.W_OK):
        reason = "the file may not be written"
    else:
        return
    raise ServerConfigurationError(
        f"The journal cannot be kept in {path}: {reason}. Allow the server's user to write "
        'there, choose another settings folder, or do without a lasting journal: journal="memory".'
    )
