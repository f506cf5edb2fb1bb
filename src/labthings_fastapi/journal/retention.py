"""How long records are kept: limits of age and size, applied in small steps between writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

from .invocation_rows import give_up_details
from .keys import KEY_LIFETIME
from .schema import LOGGER
from .sql_values import to_microseconds, transaction

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from datetime import datetime

INVOCATIONS_PER_STEP: Final = 25
"""Invocations that give up their details for their age in one step."""
TRAIL_PER_STEP: Final = 1000
HEAD_BYTES: Final = 1024
"""About the longest head of an invocation, and the longest row of the audit table."""
TRAIL_SHARE: Final = 4
"""Heads and mutations may each take the size limit divided by this; details cannot use it up."""
KEEP_TRAIL_DAYS: Final = 365.0
PAGES_PER_STEP: Final = 256
SPARE_PAGES: Final = 64
"""Free pages that stay in the file, so that it does not grow and shrink with each invocation."""

# SQL is made of constants of this module and placeholders only.
# ruff: noqa: S608

# Open invocations have no `closed`.
_SELECT_DETAILS: Final = """
SELECT rowid, id FROM runs WHERE head IS NULL AND closed < ?
AND id NOT IN (SELECT run FROM pins) ORDER BY closed LIMIT ?"""
# A head stays as long as its key: a request that is sent again would move the instrument again.
_WITHOUT_KEY: Final = (
    "NOT EXISTS (SELECT 1 FROM keys WHERE keys.run = runs.id) AND id NOT IN (SELECT run FROM pins)"
)
_DELETE_HEADS: Final = f"""
DELETE FROM runs WHERE rowid IN (
    SELECT rowid FROM runs WHERE head IS NOT NULL AND closed < ? AND {_WITHOUT_KEY}
    ORDER BY closed LIMIT ?)"""
_DELETE_MUTATIONS: Final = """
DELETE FROM audit WHERE rowid IN (SELECT rowid FROM audit WHERE time < ? ORDER BY time LIMIT ?)"""
# What is too much is taken from the actor who has the most: nobody can push out what others did.
_COUNT_HEADS: Final = "SELECT count(*) FROM runs WHERE head IS NOT NULL"
_BUSIEST_OF_HEADS: Final = """
SELECT requested_by, count(*) FROM runs WHERE head IS NOT NULL
GROUP BY requested_by ORDER BY count(*) DESC LIMIT 2"""
_DELETE_HEADS_OF: Final = f"""
DELETE FROM runs WHERE rowid IN (
    SELECT rowid FROM runs WHERE head IS NOT NULL AND requested_by IS ? AND {_WITHOUT_KEY}
    ORDER BY closed LIMIT ?)"""
_COUNT_MUTATIONS: Final = "SELECT count(*) FROM audit"
_BUSIEST_OF_MUTATIONS: Final = """
SELECT actor, count(*) FROM audit GROUP BY actor ORDER BY count(*) DESC LIMIT 2"""
_DELETE_MUTATIONS_OF: Final = """
DELETE FROM audit WHERE rowid IN (
    SELECT rowid FROM audit WHERE actor IS ? ORDER BY time LIMIT ?)"""
_DELETE_KEYS: Final = "DELETE FROM keys WHERE time < ?"
_UUID_BYTES: Final = 16
_ANY_TIME: Final = 2**62
_DAY: Final = 24 * 60 * 60 * 1_000_000  # in microseconds
_MAX_DAYS: Final = 10_000_000


class Retention:
    """Deletes records that are too old or too many; only the writer's thread uses it.

    The details of an invocation (input, output, log, files) go first: one by one and the oldest
    first, and no more of them than the space needs. Its head stays, as do mutations: the trail of
    who did what. The trail has an age and a share of the space of its own.
    """

    def __init__(
        self,
        days: float,
        size: int,
        clock: Callable[[], datetime],
        delete_outputs: Callable[[list[UUID]], None] = lambda _: None,
        *,
        trail_days: float = KEEP_TRAIL_DAYS,
    ) -> None:
        """Keep details for `days` and the trail for `trail_days`, all in about `size` bytes.

        `delete_outputs` deletes what such invocations have on the disk, before their records: after
        a crash between the two, nothing is left that no record leads to.

        The age of an invocation counts from its end, that of a mutation from its request.
        """
        self._age = int(min(days, _MAX_DAYS) * _DAY)
        self._trail_age = int(min(trail_days, _MAX_DAYS) * _DAY)
        self._size = size
        self._max_rows = max(1, size // TRAIL_SHARE // HEAD_BYTES)
        self._clock = clock
        self._delete_outputs = delete_outputs
        self._warned: tuple[str | None, datetime] | None = None

    def step(self, connection: sqlite3.Connection) -> bool:
        """Delete a few records or free a few pages; False when there is nothing left to do."""
        now = self._clock()
        time = to_microseconds(now)
        connection.execute(_DELETE_KEYS, (to_microseconds(now - KEY_LIFETIME),))
        return (
            self._give_up_details(connection, time - self._age, INVOCATIONS_PER_STEP)
            or (
                self._used_bytes(connection) > self._size
                and self._give_up_details(connection, _ANY_TIME, 1)
            )
            or self._shorten_trail(connection, time - self._trail_age)
            or self._free_pages(connection)
        )

    def _give_up_details(self, connection: sqlite3.Connection, before: int, most: int) -> bool:
        found = connection.execute(_SELECT_DETAILS, (before, most)).fetchall()
        if not found:
            return False
        self._delete_outputs([UUID(bytes=id) for _, id in found if len(id) == _UUID_BYTES])
        with transaction(connection):
            for rowid, _ in found:
                give_up_details(connection, rowid)
        return True

    def _shorten_trail(self, connection: sqlite3.Connection, before: int) -> bool:
        for delete in (_DELETE_HEADS, _DELETE_MUTATIONS):
            if connection.execute(delete, (before, TRAIL_PER_STEP)).rowcount:
                return True
        return self._delete_excess(
            connection, _COUNT_HEADS, _BUSIEST_OF_HEADS, _DELETE_HEADS_OF
        ) or self._delete_excess(
            connection, _COUNT_MUTATIONS, _BUSIEST_OF_MUTATIONS, _DELETE_MUTATIONS_OF
        )

    def _delete_excess(
        self, connection: sqlite3.Connection, count: str, busiest: str, delete: str
    ) -> bool:
        (number,) = connection.execute(count).fetchone()
        excess = min(number - self._max_rows, TRAIL_PER_STEP)
        if excess <= 0:
            return False
        (actor, most), *others = connection.execute(busiest).fetchall()
        # Down to the next busiest one, then from each in turn.
        lead = most - others[0][1] if others else most
        wanted = min(excess, lead or excess // 2 + 1)
        deleted = connection.execute(delete, (actor, wanted)).rowcount
        hour = self._clock().replace(minute=0, second=0, microsecond=0)
        if deleted and self._warned != (actor, hour):
            self._warned = actor, hour
            LOGGER.warning(
                "The journal has no space for all requests of %s: the oldest of them are deleted. "
                "`journal.keep_bytes` in the configuration gives it more.",
                "clients without a name" if actor is None else f"the actor {actor!r}",
            )
        return deleted > 0

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
