"""Idempotency keys in the table `keys`: writing, finding and deleting rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

from .keys import KEY_LIFETIME, IdempotencyKey
from .sql_values import is_storable, to_microseconds, to_time

if TYPE_CHECKING:
    import sqlite3
    from datetime import datetime

# SQL is made of constants of this package and placeholders only.
# ruff: noqa: S608

_COLUMNS: Final = '"key", thing, action, input_digest, run, time'
_NAME: Final = '"key" = ? AND thing = ? AND action = ?'


def write_key(connection: sqlite3.Connection, key: IdempotencyKey, now: datetime) -> IdempotencyKey:
    """Store a key, unless an unexpired one is stored; return the stored key."""
    connection.execute(
        f"INSERT INTO keys ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?) "
        'ON CONFLICT ("key", thing, action) DO UPDATE SET '
        "input_digest = excluded.input_digest, run = excluded.run, time = excluded.time "
        "WHERE time < ?",
        (
            *key.name,
            key.input_digest,
            key.invocation.bytes,
            to_microseconds(key.time),
            to_microseconds(now - KEY_LIFETIME),
        ),
    )
    return find_key(connection, key.name) or key


def delete_key(connection: sqlite3.Connection, key: IdempotencyKey) -> None:
    """Delete a key, unless it belongs to another invocation."""
    connection.execute(
        f"DELETE FROM keys WHERE {_NAME} AND run = ?", (*key.name, key.invocation.bytes)
    )


def find_key(connection: sqlite3.Connection, name: tuple[str, str, str]) -> IdempotencyKey | None:
    """Return a stored key, expired or not."""
    if not all(map(is_storable, name)):
        return None
    row = connection.execute(f"SELECT {_COLUMNS} FROM keys WHERE {_NAME}", name).fetchone()
    if row is None:
        return None
    key, thing, action, digest, invocation, time = row
    return IdempotencyKey(key, thing, action, digest, UUID(bytes=invocation), to_time(time))


def delete_keys_without_invocation(connection: sqlite3.Connection) -> None:
    """Delete the keys of invocations that were not recorded before a crash: they never began."""
    connection.execute("DELETE FROM keys WHERE run NOT IN (SELECT id FROM runs)")
