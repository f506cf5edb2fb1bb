"""Conversions between Python and SQLite that all tables of the journal share."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from .query import decode_cursor

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Generator, Iterator, Sequence

    from .query import JournalQuery

# SQL is made of constants of this package and placeholders only.

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_encode = json.JSONEncoder(separators=(",", ":")).encode

Row = tuple[Any, ...]
Condition = tuple[str, Any]
"""An SQL expression with one placeholder, and its value."""


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write everything in the block, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def to_microseconds(time: datetime) -> int:
    """Return a time as the database stores it."""
    return (time - EPOCH) // _MICROSECOND


def to_time(microseconds: int) -> datetime:
    """Return a stored time as aware UTC."""
    return EPOCH + microseconds * _MICROSECOND


def to_json(value: object) -> str:
    """Return JSON in ASCII, so that half surrogate pairs, which SQLite refuses, are kept."""
    return _encode(value)


def is_storable(text: str) -> bool:
    """Return whether SQLite can store a text; half a surrogate pair cannot be stored."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def select_newest(
    connection: sqlite3.Connection,
    select: str,
    time_column: str,
    conditions: Sequence[Condition],
    query: JournalQuery,
) -> Generator[Row, None, None]:
    """Yield the rows that fulfil all conditions and come after the query's cursor, newest first."""
    conditions = list(conditions)
    if query.since is not None:
        conditions.append((f"{time_column} >= ?", to_microseconds(query.since)))
    if query.until is not None:
        conditions.append((f"{time_column} < ?", to_microseconds(query.until)))
    values = [value for _, value in conditions]
    if not all(is_storable(value) for value in values if isinstance(value, str)):
        return
    clauses = ["TRUE", *(clause for clause, _ in conditions)]
    if query.cursor is not None:
        time, id = decode_cursor(query.cursor)
        clauses.append(f"({time_column}, id) < (?, ?)")
        values += [to_microseconds(time), id.bytes]
    cursor = connection.execute(
        f"{select} WHERE {' AND '.join(clauses)} ORDER BY {time_column} DESC, id DESC", values
    )
    try:
        yield from cursor
    finally:
        cursor.close()  # an open cursor keeps its snapshot, and the write-ahead log grows
