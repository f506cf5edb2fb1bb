"""How long runs are kept: by age and by size, in steps small enough to come between writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .keys import KEY_LIFETIME
from .rows import microseconds

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from datetime import datetime

INVOCATIONS_AT_ONCE: Final = 25
"""Runs dropped in one step; each may have megabytes of log."""
PAGES_AT_ONCE: Final = 256
SPARE_PAGES: Final = 64
"""Free pages that are kept for the next runs, so that the file does not breathe with each."""

# Open runs have no `closed`. A run stays as long as its key, or a request that is sent again
# would move the instrument again.
_OLDEST: Final = """
DELETE FROM runs WHERE rowid IN (
    SELECT rowid FROM runs
    WHERE closed < ? AND NOT EXISTS (SELECT 1 FROM keys WHERE keys.run = runs.id)
    ORDER BY closed LIMIT ?
)"""
_ANY_TIME: Final = 2**62
_DAY: Final = 24 * 60 * 60 * 1_000_000  # in microseconds
_FOR_EVER_DAYS: Final = 10_000_000
_KEYS: Final = "DELETE FROM keys WHERE time < ?"


class Retention:
    """What the journal may keep; used by the writer's thread only."""

    def __init__(self, days: float, size: int, clock: Callable[[], datetime]) -> None:
        """Keep runs `days` after their end, and drop the oldest when more than `size` bytes."""
        self._age = int(min(days, _FOR_EVER_DAYS) * _DAY)
        self._size = size
        self._clock = clock

    def step(self, connection: sqlite3.Connection) -> bool:
        """Drop a few runs, or give a few pages back; False when there is nothing left to do."""
        now = self._clock()
        connection.execute(_KEYS, (microseconds(now - KEY_LIFETIME),))
        if self._drop(connection, microseconds(now) - self._age):
            return True
        if self._used(connection) > self._size and self._drop(connection, _ANY_TIME):
            return True
        return self._shrink(connection)

    @staticmethod
    def _drop(connection: sqlite3.Connection, before: int) -> int:
        return connection.execute(_OLDEST, (before, INVOCATIONS_AT_ONCE)).rowcount

    @staticmethod
    def _used(connection: sqlite3.Connection) -> int:
        pages = _pragma(connection, "page_count") - _pragma(connection, "freelist_count")
        return pages * _pragma(connection, "page_size")

    @staticmethod
    def _shrink(connection: sqlite3.Connection) -> bool:
        spare = _pragma(connection, "freelist_count")
        if spare <= SPARE_PAGES:
            return False
        # It works as its rows are fetched. The file gets shorter at a checkpoint.
        connection.execute(f"PRAGMA incremental_vacuum({PAGES_AT_ONCE})").fetchall()
        more = SPARE_PAGES < _pragma(connection, "freelist_count") < spare
        if not more:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        return more


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
