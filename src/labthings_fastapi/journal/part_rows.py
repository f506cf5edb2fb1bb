"""Parts of open invocations in the table `parts`: one row for some lines, or some results.

Each part is written once; the final record of the invocation has all of it and replaces them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from .part import Addition, InvocationPart, PartsSoFar
from .sql_values import Row, to_json

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from .record import InvocationRecord

_ROWS_PER_STATEMENT: Final = 100
_LOG, _RESULTS, _PROGRESS, _THINGS = "log", "results", "progress", "things"
_MORE_THAN_ANY: Final = 2**62


def part_rows(part: InvocationPart) -> list[Row]:
    """Return a part as rows.

    Raises:
        Exception: any error that this one part causes.
    """
    id, rows = part.id.bytes, list[Row]()
    if part.log is not None and part.log.items:
        rows.append((id, _LOG, part.log.first, part.log.total, to_json(part.log.items)))
    if part.results is not None and part.results.items:
        # JSON of this package has no line ends, so results need not be read to be split.
        items = b"\n".join(part.results.items)
        rows.append((id, _RESULTS, part.results.first, part.results.total, items))
    if part.progress is not None:
        rows.append((id, _PROGRESS, 1, 1, to_json(part.progress)))
    if part.things:
        rows.append((id, _THINGS, 1, 1, to_json(part.things)))
    return rows


def write_parts(connection: sqlite3.Connection, parts: Iterable[InvocationPart]) -> None:
    """Insert parts, and delete what their invocations no longer keep."""
    rows = []
    for part in parts:
        rows += part_rows(part)
        additions: dict[str, Addition[Any] | None] = {_LOG: part.log, _RESULTS: part.results}
        for kind, addition in additions.items():
            if addition is not None and addition.total > addition.kept:
                connection.execute(
                    "DELETE FROM parts WHERE run = ? AND kind = ? AND last <= ?",
                    (part.id.bytes, kind, addition.total - addition.kept),
                )
    for start in range(0, len(rows), _ROWS_PER_STATEMENT):
        some = rows[start : start + _ROWS_PER_STATEMENT]
        places = ", ".join(["(?, ?, ?, ?, ?)"] * len(some))
        connection.execute(
            f"INSERT OR REPLACE INTO parts (run, kind, first, last, items) VALUES {places}",  # noqa: S608
            [value for row in some for value in row],
        )


def delete_parts(connection: sqlite3.Connection, ids: Sequence[UUID]) -> None:
    """Delete the parts of invocations that have ended."""
    for id in ids:
        connection.execute("DELETE FROM parts WHERE run = ?", (id.bytes,))


def delete_parts_without_invocation(connection: sqlite3.Connection) -> None:
    """Delete parts of invocations that are not open: what a crash may leave."""
    connection.execute(
        "DELETE FROM parts WHERE run NOT IN "
        "(SELECT id FROM runs WHERE closed IS NULL AND head IS NULL)"
    )


def with_parts(connection: sqlite3.Connection, record: InvocationRecord) -> InvocationRecord:
    """Return an open record with its parts; another one as it is.

    Raises:
        ValueError, TypeError, LookupError: a row is damaged.
    """
    return _added(connection, record, "", results=True)


def with_small_parts(connection: sqlite3.Connection, record: InvocationRecord) -> InvocationRecord:
    """Do the same without the results, for lists: those of many runs may not fit into memory."""
    return _added(connection, record, f"AND kind <> '{_RESULTS}'", results=False)


def _added(
    connection: sqlite3.Connection, record: InvocationRecord, condition: str, *, results: bool
) -> InvocationRecord:
    if not record.is_open:
        return record
    rows = connection.execute(
        f"SELECT kind, last, items FROM parts WHERE run = ? {condition} ORDER BY kind, last",  # noqa: S608
        (record.id.bytes,),
    ).fetchall()
    parts = PartsSoFar()
    for kind, last, items in rows:
        parts.add(_read(record.id, kind, last, items))
    return parts.added_to(record, results=results) if rows else record


def _read(id: UUID, kind: str, last: int, items: Any) -> InvocationPart:
    # What is no longer kept was deleted, except in a row with others that are.
    if kind == _RESULTS:
        results = tuple(bytes(items).split(b"\n"))
        return InvocationPart(id, results=Addition(results, last, _MORE_THAN_ANY))
    content = json.loads(items)
    if kind == _LOG:
        return InvocationPart(id, log=Addition(tuple(content), last, _MORE_THAN_ANY))
    if kind == _PROGRESS:
        return InvocationPart(id, progress=content)
    return InvocationPart(id, things=tuple(content))
