"""How long records are kept: limits of age and size, applied in small steps between writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

from .keys import KEY_LIFETIME
from .sql_values import to_microseconds

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from datetime import datetime

INVOCATIONS_PER_STEP: Final = 25
"""Invocations deleted in one step; each may have megabytes of log."""
MUTATIONS_PER_STEP: Final = 1000
MUTATION_BYTES: Final = 1024
"""About the longest row of the audit table; its texts have at most 200 characters."""
AUDIT_SHARE: Final = 4
"""The audit table may take the size limit divided by this, and the invocations cannot use it up."""
PAGES_PER_STEP: Final = 256
SPARE_PAGES: Final = 64
"""Free pages that stay in the file, so that it does not grow and shrink with each invocation."""

# Open invocations have no `closed`. An invocation stays as long as its key; otherwise a request
# that is sent again would move the instrument again.
_SELECT_INVOCATIONS: Final = """
SELECT rowid, id FROM runs
WHERE closed < ? AND NOT EXISTS (SELECT 1 FROM keys WHERE keys.run = runs.id)
ORDER BY closed LIMIT ?"""
_DELETE_MUTATIONS: Final = """
DELETE FROM audit WHERE rowid IN (SELECT rowid FROM audit WHERE time < ? ORDER BY time LIMIT ?)"""
_DELETE_KEYS: Final = "DELETE FROM keys WHERE time < ?"
_UUID_BYTES: Final = 16
_ANY_TIME: Final = 2**62
_DAY: Final = 24 * 60 * 60 * 1_000_000  # in microseconds
_MAX_DAYS: Final = 10_000_000


class Retention:
    """Deletes records that are too old or too many; only the writer's thread uses it."""

    def __init__(
        self,
        days: float,
        size: int,
        clock: Callable[[], datetime],
        delete_outputs: Callable[[list[UUID]], None] = lambda _: None,
    ) -> None:
        """Keep records for `days`, and delete the oldest while they take more than `size` bytes.

        `delete_outputs` deletes what such invocations have on the disk, before their records: after
        a crash between the two, nothing is left that no record leads to.

        The age of an invocation counts from its end, that of a mutation from its request.
        """
        self._age = int(min(days, _MAX_DAYS) * _DAY)
        self._size = size
        self._max_mutations = max(1, size // AUDIT_SHARE // MUTATION_BYTES)
        self._clock = clock
        self._delete_outputs = delete_outputs

    def step(self, connection: sqlite3.Connection) -> bool:
        """Delete a few records or free a few pages; False when there is nothing left to do."""
        now = self._clock()
        oldest = to_microseconds(now) - self._age
        connection.execute(_DELETE_KEYS, (to_microseconds(now - KEY_LIFETIME),))
        if self._delete_invocations(connection, oldest):
            return True
        if self._delete_mutations(connection, oldest):
            return True
        if self._used_bytes(connection) > self._size and self._delete_invocations(
            connection, _ANY_TIME
        ):
            return True
        return self._free_pages(connection)

    def _delete_invocations(self, connection: sqlite3.Connection, before: int) -> int:
        found = connection.execute(_SELECT_INVOCATIONS, (before, INVOCATIONS_PER_STEP)).fetchall()
        if not found:
            return 0
        self._delete_outputs([UUID(bytes=id) for _, id in found if len(id) == _UUID_BYTES])
        places = ", ".join("?" * len(found))
        return connection.execute(
            f"DELETE FROM runs WHERE rowid IN ({places})",  # noqa: S608
            [rowid for rowid, _ in found],
        ).rowcount

    def _delete_mutations(self, connection: sqlite3.Connection, before: int) -> int:
        deleted = connection.execute(_DELETE_MUTATIONS, (before, MUTATIONS_PER_STEP)).rowcount
        if deleted:
            return deleted
        (count,) = connection.execute("SELECT count(*) FROM audit").fetchone()
        excess = min(count - self._max_mutations, MUTATIONS_PER_STEP)
        if excess <= 0:
            return 0
        return connection.execute(_DELETE_MUTATIONS, (_ANY_TIME, excess)).rowcount

    @staticmethod
    def _used_bytes(connection: sqlite3.Connection) -> int:
        pages = _pragma(connection, "page_count") - _pragma(connection, "freelist_count")
        return pages * _pragma(connection, "page_size")

    @staticmethod
    def _free_pages(connection: sqlite3.Connection) -> bool:
        spare = _pragma(connection, "freelist_count")
        if spare <= SPARE_PAGES:
            return False
        # Pages are freed while the rows are fetched. The file gets shorter at a checkpoint.
        connection.execute(f"PRAGMA incremental_vacuum({PAGES_PER_STEP})").fetchall()
        more = SPARE_PAGES < _pragma(connection, "freelist_count") < spare
        if not more:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        return more


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
