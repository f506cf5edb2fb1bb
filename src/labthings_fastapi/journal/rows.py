"""Runs and keys as rows of the database: writing them, finding them, reading them back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from labthings_fastapi.messages.message import InvocationStatus
from labthings_fastapi.problems import well_formed

from .keys import KEY_LIFETIME, IdempotencyKey
from .record import InvocationRecord, decode_cursor, searchable_text

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Generator, Sequence

    from .record import JournalQuery

# Constants of this module and placeholders are all that SQL is put together from here.
# ruff: noqa: S608

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_encode = json.JSONEncoder(separators=(",", ":")).encode
_COLUMNS: Final = (
    *("id", "requested", "closed", "thing", "action", "status", "incarnation", "requested_by"),
    *("started", "ended", "output_reference", "progress", "error", "input", "output", "log"),
    *("text", "kind", "address", "request"),
)
ROWS_AT_ONCE: Final = 50
"""Rows in one statement; older SQLite takes 999 values in all."""
_UNCHANGED: Final = frozenset({"id", "requested", "thing", "requested_by"})
"""What is the same in every record of a run, and in an index: writing it again costs a third."""
_READ: Final = ", ".join(name for name in _COLUMNS if name != "text")
_KEY_COLUMNS: Final = '"key", thing, action, input_digest, run, time'


def microseconds(time: datetime) -> int:
    """Return a time as the database keeps it."""
    return (time - EPOCH) // _MICROSECOND


def _maybe_microseconds(time: datetime | None) -> int | None:
    return None if time is None else microseconds(time)


def _time(value: int | None) -> datetime | None:
    return None if value is None else EPOCH + value * _MICROSECOND


def _json(value: object) -> str | None:
    # Escaped to ASCII: half a surrogate pair, which no database takes, comes back as it was.
    return None if value is None else _encode(value)


def record_row(record: InvocationRecord) -> tuple[Any, ...]:
    """Return a record as a row.

    Raises:
        Exception: whatever is wrong with this one record.
    """
    over = record.time_ended or record.time_started or record.time_requested
    return (
        record.id.bytes,
        microseconds(record.time_requested),
        None if record.is_open else microseconds(over),
        record.thing,
        record.action,
        record.status.value,
        record.boot_id,
        None if record.requested_by is None else well_formed(record.requested_by),
        _maybe_microseconds(record.time_started),
        _maybe_microseconds(record.time_ended),
        _json(record.output_reference),
        _json(record.progress),
        _json(record.error),
        record.input,
        record.output,
        _json(record.log) if record.log else "[]",
        searchable_text(record),
        record.kind,
        record.address,
        _json(record.request),
    )


@lru_cache(ROWS_AT_ONCE)
def _upsert(rows: int) -> str:
    row = f"({', '.join('?' * len(_COLUMNS))})"
    changes = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name not in _UNCHANGED)
    return (
        f"INSERT INTO runs ({', '.join(_COLUMNS)}) VALUES {', '.join([row] * rows)} "
        f"ON CONFLICT (id) DO UPDATE SET {changes}"
    )


def write_records(connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Write at most `ROWS_AT_ONCE` rows of different runs in one statement.

    One statement and not one for each: between statements this thread lets go of the interpreter,
    and under load waits milliseconds to get it back.
    """
    connection.execute(_upsert(len(rows)), [value for row in rows for value in row])


def read_record(row: Sequence[Any]) -> InvocationRecord:
    """Return a row as a record.

    Raises:
        ValueError, TypeError, OverflowError: the row is damaged.
    """
    (id, requested, _, thing, action, status, boot_id, requested_by, started, ended) = row[:10]
    reference, progress, error, input, output, log, kind, address, request = row[10:19]
    return InvocationRecord(
        id=UUID(bytes=id),
        thing=thing,
        action=action,
        status=InvocationStatus(status),
        requested_by=requested_by,
        input=bytes(input),
        time_requested=EPOCH + requested * _MICROSECOND,
        time_started=_time(started),
        time_ended=_time(ended),
        error=None if error is None else json.loads(error),
        output=None if output is None else bytes(output),
        output_reference=None if reference is None else json.loads(reference),
        log=tuple(json.loads(log)),
        progress=None if progress is None else json.loads(progress),
        boot_id=boot_id,
        kind=kind,
        address=address,
        request=None if request is None else json.loads(request),
    )


def record_with_id(connection: sqlite3.Connection, id: UUID) -> tuple[Any, ...] | None:
    """Return the row of a run."""
    found = connection.execute(f"SELECT {_READ} FROM runs WHERE id = ?", (id.bytes,)).fetchone()
    return None if found is None else tuple(found)


def records_left_open(
    connection: sqlite3.Connection, boot_id: str, limit: int
) -> list[tuple[Any, ...]]:
    """Return the rows of open runs of any other life of the server."""
    return connection.execute(
        f"SELECT {_READ} FROM runs WHERE closed IS NULL AND incarnation <> ? LIMIT ?",
        (boot_id, limit),
    ).fetchall()


def records_found(
    connection: sqlite3.Connection, query: JournalQuery
) -> Generator[tuple[Any, ...], None, None]:
    """Yield the rows that pass every filter, newest first; the limit is the caller's."""
    conditions, values = _conditions(query)
    if any(isinstance(value, str) and not _is_text(value) for value in values):
        return  # no database holds this text, so nothing can match it
    cursor = connection.execute(
        f"SELECT {_READ} FROM runs WHERE {' AND '.join(['TRUE', *conditions])} "
        "ORDER BY requested DESC, id DESC",
        values,
    )
    try:
        yield from cursor
    finally:
        cursor.close()  # or the snapshot stays open, and the write-ahead log grows


def _conditions(query: JournalQuery) -> tuple[list[str], list[Any]]:
    before = None if query.cursor is None else decode_cursor(query.cursor)
    wanted: list[tuple[str, Any]] = [
        ("thing = ?", query.thing),
        ("action = ?", query.action),
        ("status = ?", query.status.value if query.status else None),
        ("requested_by = ?", query.actor),
        ("kind = ?", query.kind),
        ("requested >= ?", _maybe_microseconds(query.since)),
        ("requested < ?", _maybe_microseconds(query.until)),
        ("instr(text, ?) > 0", query.text.casefold() if query.text else None),
    ]
    given = [(condition, value) for condition, value in wanted if value is not None]
    conditions, values = [condition for condition, _ in given], [value for _, value in given]
    if before is not None:
        conditions.append("(requested, id) < (?, ?)")
        values += [microseconds(before[0]), before[1].bytes]
    return conditions, values


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def write_key(connection: sqlite3.Connection, key: IdempotencyKey, now: datetime) -> IdempotencyKey:
    """Keep a key unless there is one that has not expired; return the one that is kept."""
    connection.execute(
        f"INSERT INTO keys ({_KEY_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?) "
        'ON CONFLICT ("key", thing, action) DO UPDATE SET '
        "input_digest = excluded.input_digest, run = excluded.run, time = excluded.time "
        "WHERE time < ?",
        (
            *key.name,
            key.input_digest,
            key.invocation.bytes,
            microseconds(key.time),
            microseconds(now - KEY_LIFETIME),
        ),
    )
    return find_key(connection, key.name) or key


def drop_key(connection: sqlite3.Connection, key: IdempotencyKey) -> None:
    """Drop a key if it stands for this run."""
    connection.execute(
        'DELETE FROM keys WHERE "key" = ? AND thing = ? AND action = ? AND run = ?',
        (*key.name, key.invocation.bytes),
    )


def find_key(connection: sqlite3.Connection, name: tuple[str, str, str]) -> IdempotencyKey | None:
    """Return a key, expired or not."""
    if not all(map(_is_text, name)):
        return None
    found = connection.execute(
        f'SELECT {_KEY_COLUMNS} FROM keys WHERE "key" = ? AND thing = ? AND action = ?', name
    ).fetchone()
    if found is None:
        return None
    key, thing, action, digest, invocation, time = found
    return IdempotencyKey(
        key, thing, action, digest, UUID(bytes=invocation), EPOCH + time * _MICROSECOND
    )


def forget_keys_without_record(connection: sqlite3.Connection) -> None:
    """Drop the keys of runs that a crash kept from being recorded: they never began."""
    connection.execute("DELETE FROM keys WHERE run NOT IN (SELECT id FROM runs)")
