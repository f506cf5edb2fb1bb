"""Mutations in the table `audit`: writing, finding and reading rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from labthings_fastapi.messages.message import InvocationStatus
from labthings_fastapi.problems import well_formed

from .mutation import FIRST_ERROR_STATUS, MutationRecord
from .sql_values import Condition, Row, select_newest, to_microseconds, to_time

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Generator, Sequence

    from .query import JournalQuery

# SQL is made of constants of this package and placeholders only.
# ruff: noqa: S608

_COLUMNS: Final = (
    "id, time, last_time, actor, address, thing, affordance, method, path, status, count, "
    "incarnation"
)
_SELECT: Final = f"SELECT {_COLUMNS} FROM audit"
_INSERT: Final = (
    f"INSERT OR REPLACE INTO audit ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_STATUSES: Final = {
    InvocationStatus.COMPLETED: "status < ?",
    InvocationStatus.ERROR: "status >= ?",
}


def mutation_row(record: MutationRecord) -> Row:
    """Return a record as a row."""
    texts = (record.thing, record.affordance, record.method, record.path)
    return (
        record.id.bytes,
        to_microseconds(record.time),
        to_microseconds(record.last_time),
        None if record.actor is None else well_formed(record.actor),
        record.address,
        *map(well_formed, texts),
        record.status,
        record.count,
        record.boot_id,
    )


def write_mutations(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Insert rows."""
    connection.executemany(_INSERT, rows)


def read_mutation(row: Row) -> MutationRecord:
    """Return a row as a record.

    Raises:
        ValueError, TypeError, OverflowError: the row is damaged.
    """
    id, time, last_time, actor, address, thing, affordance, method, path = row[:9]
    status, count, boot_id = row[9:]
    return MutationRecord(
        id=UUID(bytes=id),
        time=to_time(time),
        last_time=to_time(last_time),
        actor=actor,
        address=address,
        thing=thing,
        affordance=affordance,
        method=method,
        path=path,
        status=int(status),
        count=int(count),
        boot_id=boot_id,
    )


def select_mutation(connection: sqlite3.Connection, id: UUID) -> list[Row]:
    """Return the row of a mutation, or no row."""
    return connection.execute(f"{_SELECT} WHERE id = ?", (id.bytes,)).fetchall()


def select_mutations(
    connection: sqlite3.Connection, query: JournalQuery
) -> Generator[Row, None, None]:
    """Yield rows that match all filters except the text, newest first, without a limit."""
    filters: list[tuple[str, Any]] = [
        ("thing = ?", query.thing),
        ("affordance = ?", query.action),
        ("actor = ?", query.actor),
    ]
    conditions: list[Condition] = [each for each in filters if each[1] is not None]
    if query.status is not None:
        # No mutation is pending, running or cancelled.
        conditions.append((_STATUSES.get(query.status, "NULL = ?"), FIRST_ERROR_STATUS))
    return select_newest(connection, _SELECT, "time", conditions, query)
