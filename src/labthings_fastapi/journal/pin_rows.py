"""Pinned invocations in the table `pins`, and those whose blobs and files can be deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from .invocation_rows import invocation_row, read_invocation, select_invocation, write_invocations
from .sql_values import transaction

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

_TOGETHER: Final = 500
"""Older SQLite accepts at most 999 values in one statement."""


def set_pin(connection: sqlite3.Connection, id: UUID, *, pinned: bool) -> bool:
    """Pin an invocation, or unpin it; return False if there is none."""
    if connection.execute("SELECT 1 FROM runs WHERE id = ?", (id.bytes,)).fetchone() is None:
        return False
    if pinned:
        connection.execute("INSERT OR IGNORE INTO pins (run) VALUES (?)", (id.bytes,))
    else:
        connection.execute("DELETE FROM pins WHERE run = ?", (id.bytes,))
    return True


def delete_pins_without_invocation(connection: sqlite3.Connection) -> None:
    """Forget the pins of invocations that the journal no longer has."""
    connection.execute("DELETE FROM pins WHERE run NOT IN (SELECT id FROM runs)")


def evictable(connection: sqlite3.Connection, ids: Iterable[UUID]) -> Iterator[UUID]:
    """Yield those of `ids` that have ended and are not pinned, the oldest first.

    First of all come those of which there is no record, because nobody can find their outputs.
    """
    found: list[tuple[int, UUID]] = []
    wanted = list(ids)
    for start in range(0, len(wanted), _TOGETHER):
        part = wanted[start : start + _TOGETHER]
        marks = ", ".join("?" * len(part))
        rows: dict[bytes, tuple[int | None, int | None]] = {
            bytes(id): (closed, pin)
            for id, closed, pin in connection.execute(
                "SELECT id, closed, pins.run IS NOT NULL FROM runs "  # noqa: S608 - marks only
                f"LEFT JOIN pins ON pins.run = runs.id WHERE id IN ({marks})",
                [id.bytes for id in part],
            )
        }
        for id in part:
            closed, pin = rows.get(id.bytes, (-1, 0))
            if closed is not None and not pin:
                found.append((closed, id))
    for _, id in sorted(found):
        yield id


def note_eviction(
    connection: sqlite3.Connection, id: UUID, size: int, line: dict[str, Any]
) -> None:
    """Say in the record of an invocation that its blobs and files were deleted."""
    with transaction(connection):
        for row in select_invocation(connection, id):
            record = read_invocation(row)
            record = record._replace(log=(*record.log, line), outputs_dropped=size)
            write_invocations(connection, [invocation_row(record)])
