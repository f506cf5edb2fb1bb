"""Things of interrupted invocations in the table `unsafe`, until somebody has made them safe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from .invocation_rows import invocation_row, read_invocation, select_invocation, write_invocations
from .sql_values import transaction

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from .record import InvocationRecord


def write_unsafe(connection: sqlite3.Connection, records: Iterable[InvocationRecord]) -> None:
    """Note the Things of invocations that were interrupted."""
    oldest_first = sorted(records, key=lambda record: record.sort_key)
    rows = [(record.id.bytes, thing) for record in oldest_first for thing in record.things]
    with transaction(connection):
        connection.executemany("INSERT OR IGNORE INTO unsafe (run, thing) VALUES (?, ?)", rows)


def select_unsafe(connection: sqlite3.Connection) -> list[str]:
    """Return the names of the Things, the latest first."""
    rows = connection.execute("SELECT thing FROM unsafe ORDER BY rowid DESC").fetchall()
    return list(dict.fromkeys(thing for (thing,) in rows))


def note_safe(
    connection: sqlite3.Connection, thing: str, line: dict[str, Any], *, is_safe: bool
) -> None:
    """Add a line to the log of the invocations in which the Thing took part."""
    with transaction(connection):
        ids = connection.execute("SELECT run FROM unsafe WHERE thing = ?", (thing,)).fetchall()
        for (id,) in ids:
            for row in select_invocation(connection, UUID(bytes=id)):
                record = read_invocation(row)
                record = record._replace(log=(*record.log, line))
                write_invocations(connection, [invocation_row(record)])
        if is_safe:
            connection.execute("DELETE FROM unsafe WHERE thing = ?", (thing,))


def delete_unsafe_without_invocation(connection: sqlite3.Connection) -> None:
    """Forget Things of invocations that the journal no longer has."""
    connection.execute("DELETE FROM unsafe WHERE run NOT IN (SELECT id FROM runs)")
