"""The journal in an SQLite file, which outlasts the server."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeVar
from uuid import UUID

from labthings_fastapi.exceptions import LabThingsError, ServerConfigurationError
from labthings_fastapi.outputs.kept import KeptOutputs

from .database import Database
from .faults import is_damage
from .invocation_rows import read_invocation, select_invocation, select_invocations, select_open
from .journal import Journal, eviction_text
from .key_rows import delete_key, delete_keys_without_invocation, find_key
from .keys import utc_now
from .mutation_rows import read_mutation, select_mutation, select_mutations
from .part_rows import delete_parts_without_invocation, with_parts, with_small_parts
from .pin_rows import delete_pins_without_invocation, evictable, note_eviction, set_pin
from .query import RecordPage, decode_cursor, encode_cursor
from .record import interrupted, journal_line
from .retention import KEEP_TRAIL_DAYS, Retention
from .schema import LOGGER
from .unsafe_rows import (
    delete_unsafe_without_invocation,
    note_safe,
    select_unsafe,
    write_unsafe,
)
from .writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from concurrent.futures import Future
    from datetime import datetime

    from .journal import JournalFailure
    from .keys import IdempotencyKey
    from .mutation import MutationRecord
    from .part import InvocationPart
    from .query import JournalQuery, RecordT
    from .record import InvocationRecord
    from .sql_values import Row

T = TypeVar("T")

KEEP_DAYS: Final = 30.0
KEEP_BYTES: Final = 1024**3
_WRITER_TIMEOUT: Final = 60.0
_INTERRUPTED_TOGETHER: Final = 20  # each may have many results
_NO_ROWS: Final[list[Row]] = []
_NO_RECORDS: Final[list[InvocationRecord]] = []
_NO_NAMES: Final[list[str]] = []
_DAMAGED_ROW_ERRORS: Final = (
    ValueError,
    TypeError,
    OverflowError,
    LookupError,
    RecursionError,
    LabThingsError,
)


class SqliteJournal(Journal):
    """A journal in a file, written by one thread with group commit.

    `boot_id` identifies this start of the server. Ended invocations are kept in full for
    `keep_days` (days), and while the file has at most `keep_bytes` (bytes); then the oldest give up
    input, output, log and files. Their heads and the mutations are kept `keep_trail_days` (days),
    and each of the two may take a quarter of `keep_bytes`. With
    `synchronous` NORMAL a killed server loses nothing, and a power cut may lose the newest records;
    FULL waits for the disk at each commit. `vfs` is the name of an SQLite VFS, for file systems
    without file locks. `claim` is called on the writer's thread before the file is opened; while it
    raises an error, nothing is recorded.

    Files, blobs and large outputs of invocations are in a folder beside the file, whose name ends
    in `.outputs`.

    Folder and file are created on first use. A file that turns out to be damaged is renamed, and a
    new one is started. A `put` fails with an OSError (ENOSPC) if the disk is full; the end of an
    invocation is then written later, although its future has failed.

    Raises:
        ServerConfigurationError: an option is invalid, or the file cannot be created or written.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        boot_id: str,
        keep_days: float = KEEP_DAYS,
        keep_bytes: int = KEEP_BYTES,
        keep_trail_days: float = KEEP_TRAIL_DAYS,
        synchronous: Literal["NORMAL", "FULL"] = "NORMAL",
        vfs: str | None = None,
        claim: Callable[[], None] | None = None,
        clock: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open nothing yet. `clock` returns aware UTC, and `monotonic` seconds."""
        self.path = Path(path)
        _check_options(keep_days, keep_bytes, synchronous, keep_trail_days)
        _check_writable(self.path)
        self._boot_id = boot_id
        self._clock = clock
        self._database = Database(self.path, synchronous, clock, vfs, claim)
        self._kept = outputs = KeptOutputs(self.path.with_suffix(".outputs").absolute())
        self.outputs = outputs
        trail = keep_trail_days
        retention = Retention(keep_days, keep_bytes, clock, outputs.delete, trail_days=trail)
        self._writer = Writer(self._database, retention, clock, monotonic)

    @property
    def failure(self) -> JournalFailure | None:
        """Why nothing can be recorded now; tried again every 5 s."""
        return self._writer.failure

    def put(self, record: InvocationRecord) -> Future[None]:
        """Store a record; of several records of one invocation that wait, the last is written."""
        return self._writer.put(record)

    def put_part(self, part: InvocationPart) -> Future[None]:
        """Add to the record of an open invocation."""
        return self._writer.put_part(part)

    def put_mutation(self, record: MutationRecord) -> Future[None]:
        """Store a mutation in the audit table."""
        return self._writer.put_mutation(record)

    def remember_key(self, key: IdempotencyKey) -> Future[IdempotencyKey]:
        """Store a key, unless it is in use already."""
        return self._writer.put_key(key)

    def forget_key(self, key: IdempotencyKey) -> Future[None]:
        """Delete a key."""
        return self._writer.submit(lambda: delete_key(self._database.connection(), key))

    def get(self, id: UUID) -> InvocationRecord | None:
        """Return the last committed record of an invocation, or None."""

        def find(connection: sqlite3.Connection) -> InvocationRecord | None:
            rows = select_invocation(connection, id)
            found = next(self._records(rows, partial(_read_with_parts, connection)), None)
            return None if found is None else found.for_journal()

        return self._read(find, default=None)

    def get_mutation(self, id: UUID) -> MutationRecord | None:
        """Return a committed mutation, or None."""
        rows = self._read(lambda connection: select_mutation(connection, id), default=_NO_ROWS)
        return next(self._records(rows, read_mutation), None)

    def find_key(self, key: str, thing: str, action: str) -> IdempotencyKey | None:
        """Return a stored key, or None."""
        stored = self._read(
            lambda connection: find_key(connection, (key, thing, action)), default=None
        )
        return None if stored is None or stored.has_expired(self._clock()) else stored

    def search(self, query: JournalQuery) -> RecordPage[InvocationRecord]:
        """Return the invocations that match, newest first."""

        def matches(record: InvocationRecord) -> bool:
            return not record.is_open or query.matches(record)  # open rows have no text to search

        return self._search(query, select_invocations, _read_for_list, matches)

    def search_mutations(self, query: JournalQuery) -> RecordPage[MutationRecord]:
        """Return the mutations that match, newest first."""
        return self._search(
            query, select_mutations, lambda _, row: read_mutation(row), query.matches_mutation
        )

    def interrupt_open_invocations(self) -> list[InvocationRecord]:
        """End the invocations that an earlier start left open."""
        ended: list[InvocationRecord] = []
        try:
            while found := self._read(self._open_ones, default=_NO_RECORDS):
                records = [self._interrupted(record) for record in found]
                self._call_writer(lambda: write_unsafe(self._database.connection(), found))
                ended += records
                for future in [self.put(record) for record in records]:
                    future.result(_WRITER_TIMEOUT)
            if self._database.exists:
                self._call_writer(self._delete_remains)
        except (sqlite3.Error, OSError, LabThingsError, TimeoutError) as error:
            LOGGER.error(
                "The journal %s cannot be read or written (%r). It may show runs as open that "
                "were interrupted when an earlier server stopped.",
                *(self.path, error),
            )
            self._writer.submit(partial(self._writer.note_failure, error))
        return ended

    def _interrupted(self, record: InvocationRecord) -> InvocationRecord:
        ended = interrupted(record, self._clock()).for_journal()
        if ended.output_reference is None or record.output is None or self.outputs is None:
            return ended
        try:
            self.outputs.keep_output(record.id, record.output)
        except OSError as error:
            LOGGER.error("The results of run %s are lost: %s", record.id, error)
            return ended
        return ended._replace(output_reference={**ended.output_reference, "kept": True})

    def _open_ones(self, connection: sqlite3.Connection) -> list[InvocationRecord]:
        """Return invocations of earlier starts that are open; none whose record is damaged."""
        rows = select_open(connection, self._boot_id, _INTERRUPTED_TOGETHER)
        return list(self._records(rows, partial(_read_with_parts, connection)))

    def _delete_remains(self) -> None:
        connection = self._database.connection()
        delete_keys_without_invocation(connection)
        delete_parts_without_invocation(connection)
        delete_unsafe_without_invocation(connection)
        delete_pins_without_invocation(connection)

    def things_to_make_safe(self) -> list[str]:
        """Return the names of the Things of interrupted invocations, the latest first."""
        return self._read(select_unsafe, default=_NO_NAMES)

    def made_safe(self, thing: str, message: str, level: str = "INFO") -> Future[None]:
        """Note in the log of these invocations what was done."""
        line, is_safe = journal_line(message, level, self._clock()), level != "ERROR"
        return self._writer.submit(
            lambda: note_safe(self._database.connection(), thing, line, is_safe=is_safe)
        )

    def pin(self, id: UUID, *, pinned: bool) -> Future[bool]:
        """Keep an invocation beyond every age and limit, or no longer."""
        return self._writer.submit(lambda: set_pin(self._database.connection(), id, pinned=pinned))

    def evict_outputs(self) -> None:
        """Delete the oldest outputs."""
        if not self._writer.is_closed and self._database.exists:
            self._call_writer(self._evict)

    def evictable_bytes(self) -> int:
        """Return how many bytes of outputs could be deleted."""
        if self._writer.is_closed or not self._database.exists:
            return 0
        found = self._call_writer(lambda: list(self._evictable()))
        sizes = self._kept.usage.sizes()
        return sum(sizes.get(id.hex, 0) for id in found)

    def _evictable(self) -> Iterator[UUID]:
        usage = self._kept.usage
        owners = [each for each in usage.sizes() if "/" not in each and not usage.is_open(each)]
        return evictable(self._database.connection(), [UUID(each) for each in owners])

    def _evict(self) -> None:
        outputs, connection = self._kept, self._database.connection()
        sizes = outputs.usage.sizes()
        for id in self._evictable():
            if outputs.excess() <= 0:
                return
            size = sizes[id.hex]
            outputs.delete([id])
            line = journal_line(eviction_text(size, outputs.limit), "WARNING", self._clock())
            note_eviction(connection, id, size, line)
        if outputs.excess() > 0:
            LOGGER.warning(
                "The blobs and files of pinned and open runs and of uploads take %d bytes more "
                "than `max_output_bytes` allows: unpin some.",
                outputs.excess(),
            )

    def sweep(self) -> Future[None]:
        """Delete old records now; otherwise this is done every minute."""
        return self._writer.submit(self._writer.sweep)

    def close(self, timeout: float) -> None:
        """Accept no more records and write the pending ones; stored records can still be read."""
        self._kept.stop()
        if not self._writer.close(timeout):
            LOGGER.error(
                "The journal %s was not written within %s s: the newest records may be missing.",
                *(self.path, timeout),
            )

    def _call_writer(self, function: Callable[[], T]) -> T:
        return self._writer.submit(function).result(_WRITER_TIMEOUT)

    def _search(
        self,
        query: JournalQuery,
        select: Callable[[sqlite3.Connection, JournalQuery], Generator[Row, None, None]],
        read: Callable[[sqlite3.Connection, Row], RecordT],
        matches: Callable[[RecordT], bool],
    ) -> RecordPage[RecordT]:
        if query.cursor is not None:
            decode_cursor(query.cursor)  # raises an error also if there is no file

        def find(connection: sqlite3.Connection) -> RecordPage[RecordT]:
            found: list[RecordT] = []
            with closing(select(connection, query)) as rows:
                for record in filter(matches, self._records(rows, partial(read, connection))):
                    if len(found) == query.limit:
                        return RecordPage(tuple(found), encode_cursor(found[-1].sort_key))
                    found.append(record)
            return RecordPage(tuple(found))

        return self._read(find, default=RecordPage(()))

    def _read(self, query: Callable[[sqlite3.Connection], T], default: T) -> T:
        """Return `query(connection)`, or the default if there is no file."""
        if not self._database.exists:
            return default
        generation = self._open()
        try:
            with self._database.reading() as connection:
                return query(connection)
        except sqlite3.DatabaseError as error:
            if is_damage(error) and not self._writer.is_closed:
                self._call_writer(partial(self._set_aside, generation, error))
            elif self._database.generation == generation:
                raise
        # The file was replaced by another one.
        self._open()
        with self._database.reading() as connection:
            return query(connection)

    def _open(self) -> int | None:
        """Let the writer check and migrate the file before it is read; return its generation."""
        if self._database.generation is None and not self._writer.is_closed:
            self._call_writer(self._database.connection)
        return self._database.generation

    def _set_aside(self, generation: int | None, error: Exception) -> None:
        """Replace a damaged file, on the writer's thread, unless another reader has done it."""
        if self._database.generation == generation:
            self._database.set_aside(error)
        self._database.connection()

    def _records(self, rows: Iterable[Row], read: Callable[[Row], RecordT]) -> Iterator[RecordT]:
        """Yield the records of rows, without the damaged ones."""
        for row in rows:
            try:
                yield read(row)
            except _DAMAGED_ROW_ERRORS as error:
                LOGGER.error("A record of the journal %s cannot be read: %r", self.path, error)


def _read_for_list(connection: sqlite3.Connection, row: Row) -> InvocationRecord:
    return with_small_parts(connection, read_invocation(row))


def _read_with_parts(connection: sqlite3.Connection, row: Row) -> InvocationRecord:
    return with_parts(connection, read_invocation(row))


def _check_options(
    keep_days: float, keep_bytes: int, synchronous: str, keep_trail_days: float
) -> None:
    if not keep_days > 0:
        raise ServerConfigurationError(f"keep_days is {keep_days}, but must be positive.")
    if not keep_trail_days > 0:
        raise ServerConfigurationError(
            f"keep_trail_days is {keep_trail_days}, but must be positive."
        )
    if keep_bytes < 1:
        raise ServerConfigurationError(f"keep_bytes is {keep_bytes}, but must be positive.")
    if synchronous not in ("NORMAL", "FULL"):
        raise ServerConfigurationError(f"synchronous is {synchronous!r}, not 'NORMAL' or 'FULL'.")


def _check_writable(path: Path) -> None:
    folder = path.parent.absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if path.is_dir():
        reason = "it is a folder"
    elif not folder.is_dir():
        reason = f"{folder} is not a folder"
    elif not os.access(folder, os.W_OK | os.X_OK):
        reason = f"{folder} is not writable"
    elif path.exists() and not os.access(path, os.R_OK | os.W_OK):
        reason = "the file is not writable"
    else:
        return
    raise ServerConfigurationError(
        f"The journal {path} cannot be written: {reason}. Allow the server's user to write there, "
        'choose another settings folder, or keep no file: journal="memory".'
    )
