"""Invocations in the table `runs`: writing, finding and reading rows."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from labthings_fastapi.messages.message import InvocationStatus
from labthings_fastapi.problems import well_formed

from .record import InvocationRecord, searchable_text
from .sql_values import Condition, Row, select_newest, to_json, to_microseconds, to_time

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Generator, Sequence

    from .query import JournalQuery

# SQL is made of constants of this package and placeholders only.
# ruff: noqa: S608

_COLUMNS: Final = (
    *("id", "requested", "closed", "thing", "action", "status", "incarnation", "requested_by"),
    *("started", "ended", "output_reference", "progress", "error", "input", "output", "log"),
    *("text", "address", "details"),
)
ROWS_PER_STATEMENT: Final = 50
"""Older SQLite accepts at most 999 values in one statement."""
_DETAILS: Final = (
    *("log_dropped", "results_dropped", "partial", "cancel_requested", "other_things"),
    *("details_dropped", "outputs_dropped"),
)
"""Members of a record that few invocations have: they share a column."""
FIRST_HEAD: Final = -(2**62)
"""The first rowid of those that have given up their details; the others are positive."""
_DAMAGED_ROW_ERRORS: Final = (ValueError, TypeError, OverflowError, LookupError, RecursionError)
_CONSTANT: Final = frozenset({"id", "requested", "thing", "requested_by"})
"""Equal in every record of an invocation, and indexed: an update that sets them is slower."""
_PINNED: Final = "EXISTS (SELECT 1 FROM pins WHERE pins.run = runs.id)"
_SELECT: Final = (
    f"SELECT {', '.join(name for name in _COLUMNS if name != 'text')}, {_PINNED} FROM runs"
)


def invocation_row(record: InvocationRecord) -> Row:
    """Return a record as a row.

    Raises:
        Exception: any error that this one record causes.
    """
    started, ended = record.time_started, record.time_ended
    is_open = record.is_open
    closed = None if is_open else to_microseconds(ended or started or record.time_requested)
    return (
        record.id.bytes,
        to_microseconds(record.time_requested),
        closed,
        record.thing,
        record.action,
        record.status.value,
        record.boot_id,
        None if record.requested_by is None else well_formed(record.requested_by),
        None if started is None else to_microseconds(started),
        None if ended is None else to_microseconds(ended),
        None if record.output_reference is None else to_json(record.output_reference),
        None if record.progress is None else to_json(record.progress),
        None if record.error is None else to_json(record.error),
        record.input,
        record.output,
        to_json(record.log) if record.log else "[]",
        # Most open rows are replaced soon. The few that are not are searched in Python.
        "" if is_open else searchable_text(record),
        record.address,
        _details(record),
    )


def _details(record: InvocationRecord) -> str | None:
    found = {name: value for name in _DETAILS if (value := getattr(record, name))}
    return to_json(found) if found else None


@lru_cache(ROWS_PER_STATEMENT)
def _upsert(rows: int) -> str:
    row = f"({', '.join('?' * len(_COLUMNS))})"
    changes = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name not in _CONSTANT)
    return (
        f"INSERT INTO runs ({', '.join(_COLUMNS)}) VALUES {', '.join([row] * rows)} "
        f"ON CONFLICT (id) DO UPDATE SET {changes}"
    )


def write_invocations(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Insert or replace rows of different invocations.

    Many rows share a statement. SQLite's module releases the interpreter lock once in a statement,
    and under load it takes milliseconds to get the lock back.
    """
    for start in range(0, len(rows), ROWS_PER_STATEMENT):
        part = rows[start : start + ROWS_PER_STATEMENT]
        connection.execute(_upsert(len(part)), [value for row in part for value in row])


def read_invocation(row: Row) -> InvocationRecord:
    """Return a row as a record.

    Raises:
        ValueError, TypeError, OverflowError: the row is damaged.
    """
    (id, requested, _, thing, action, status, boot_id, requested_by, started, ended) = row[:10]
    reference, progress, error, input, output, log, address, details, pinned = row[10:]
    return InvocationRecord(
        id=UUID(bytes=id),
        thing=thing,
        action=action,
        status=InvocationStatus(status),
        requested_by=requested_by,
        input=bytes(input),
        time_requested=to_time(requested),
        time_started=None if started is None else to_time(started),
        time_ended=None if ended is None else to_time(ended),
        error=None if error is None else json.loads(error),
        output=None if output is None else bytes(output),
        output_reference=None if reference is None else json.loads(reference),
        log=tuple(json.loads(log)),
        progress=None if progress is None else json.loads(progress),
        boot_id=boot_id,
        address=address,
        pinned=bool(pinned),
        **_read_details(details),
    )


def _read_details(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    found = {name: value for name, value in json.loads(text).items() if name in _DETAILS}
    if "other_things" in found:
        found["other_things"] = tuple(found["other_things"])
    return found


def select_invocation(connection: sqlite3.Connection, id: UUID) -> list[Row]:
    """Return the row of an invocation, or no row."""
    return connection.execute(f"{_SELECT} WHERE id = ?", (id.bytes,)).fetchall()


def select_open(connection: sqlite3.Connection, boot_id: str, limit: int) -> list[Row]:
    """Return rows of open invocations of other starts of the server."""
    return connection.execute(
        f"{_SELECT} WHERE closed IS NULL AND head IS NULL AND incarnation <> ? LIMIT ?",
        (boot_id, limit),
    ).fetchall()


def give_up_details(connection: sqlite3.Connection, rowid: int) -> None:
    """Leave of an ended invocation who asked what of which Thing, when, and how it ended."""
    row = connection.execute(f"{_SELECT} WHERE rowid = ?", (rowid,)).fetchone()
    try:
        record = read_invocation(row).head()
    except _DAMAGED_ROW_ERRORS:  # there is nothing in it that a reader could see
        connection.execute("DELETE FROM runs WHERE rowid = ?", (rowid,))
        return
    (newest,) = connection.execute("SELECT max(rowid) FROM runs WHERE rowid < 0").fetchone()
    values = invocation_row(record)
    changes = ", ".join(f"{name} = ?" for name in _COLUMNS if name not in _CONSTANT)
    changed = [value for name, value in zip(_COLUMNS, values, strict=True) if name not in _CONSTANT]
    connection.execute(
        f"UPDATE runs SET rowid = ?, head = 1, {changes} WHERE rowid = ?",
        (FIRST_HEAD if newest is None else newest + 1, *changed, rowid),
    )


def select_invocations(
    connection: sqlite3.Connection, query: JournalQuery
) -> Generator[Row, None, None]:
    """Yield matching rows, newest first, without a limit; open rows whatever their text."""
    text = query.text.casefold() if query.text else None
    filters: list[tuple[str, Any]] = [
        ("thing = ?", query.thing),
        ("action = ?", query.action),
        ("status = ?", query.status.value if query.status else None),
        ("requested_by = ?", query.actor),
        ("(closed IS NULL OR instr(text, ?) > 0)", text),
    ]
    conditions: list[Condition] = [each for each in filters if each[1] is not None]
    return select_newest(connection, _SELECT, "requested", conditions, query)
