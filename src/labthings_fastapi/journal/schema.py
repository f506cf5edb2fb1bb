"""The tables of the journal's database, their migrations, and the settings of a connection.

Times are whole microseconds since 1970 (UTC): exact, and in the right order.
"""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import Final

from labthings_fastapi.own_log import own_logger

LOGGER = own_logger("journal")

BUSY_SECONDS: Final = 10.0
"""How long a connection waits while another process writes."""
WAL_LIMIT: Final = 16 * 1024 * 1024
"""Bytes to which the write-ahead log is cut after a burst."""
READER_CACHE_KIB: Final = 512
"""Cache of each connection that reads."""

# Small columns come first, because SQLite reads a long row only up to the last column it needs.
# `closed` is the time from which retention counts; NULL while the invocation is open. `text` is
# searched for text. `incarnation` is the `boot_id` of a record.
_TABLES: Final = """
CREATE TABLE runs (
    id BLOB NOT NULL UNIQUE,
    requested INTEGER NOT NULL,
    closed INTEGER,
    thing TEXT NOT NULL,
    action TEXT NOT NULL,
    status TEXT NOT NULL,
    incarnation TEXT NOT NULL,
    requested_by TEXT,
    started INTEGER,
    ended INTEGER,
    output_reference TEXT,
    progress TEXT,
    error TEXT,
    input BLOB NOT NULL,
    output BLOB,
    log TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX runs_by_request ON runs (requested, id);
CREATE INDEX runs_by_thing ON runs (thing, requested, id);
CREATE INDEX runs_by_closing ON runs (closed);
CREATE TABLE keys (
    "key" TEXT NOT NULL,
    thing TEXT NOT NULL,
    action TEXT NOT NULL,
    input_digest TEXT NOT NULL,
    run BLOB NOT NULL,
    time INTEGER NOT NULL,
    PRIMARY KEY ("key", thing, action)
);
CREATE INDEX keys_by_time ON keys (time);
CREATE INDEX keys_by_run ON keys (run);
"""

_ACTORS: Final = """
ALTER TABLE runs ADD COLUMN kind TEXT NOT NULL DEFAULT 'run';
ALTER TABLE runs ADD COLUMN address TEXT;
ALTER TABLE runs ADD COLUMN request TEXT;
CREATE INDEX runs_by_actor ON runs (requested_by, requested, id) WHERE requested_by IS NOT NULL;
"""

# Version 2 had mutations in `runs`. The columns `kind` and `request` stay there, unused, because
# SQLite drops a column by writing the whole table again. `kind` comes after the long columns. Only
# mutations have no `started`, with few exceptions, and its test saves reading these columns.
_AUDIT: Final = """
CREATE TABLE audit (
    id BLOB NOT NULL UNIQUE,
    time INTEGER NOT NULL,
    last_time INTEGER NOT NULL,
    actor TEXT,
    address TEXT,
    thing TEXT NOT NULL,
    affordance TEXT NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    status INTEGER NOT NULL,
    count INTEGER NOT NULL,
    incarnation TEXT NOT NULL
);
CREATE INDEX audit_by_time ON audit (time);
CREATE INDEX audit_by_actor ON audit (actor, time) WHERE actor IS NOT NULL;
INSERT INTO audit SELECT
    id, requested, COALESCE(ended, requested), requested_by, address, thing, action,
    COALESCE(json_extract(details, '$.method'), ''), COALESCE(json_extract(details, '$.path'), ''),
    COALESCE(json_extract(details, '$.status'), CASE status WHEN 'completed' THEN 204 ELSE 500 END),
    COALESCE(json_extract(details, '$.count'), 1), incarnation
    FROM (
        SELECT *, CASE WHEN json_valid(request) THEN request ELSE '{}' END AS details
        FROM runs WHERE started IS NULL AND kind = 'mutation'
    );
DELETE FROM runs WHERE started IS NULL AND kind = 'mutation';
DROP INDEX runs_by_request;
CREATE INDEX runs_by_request ON runs (requested);
DROP INDEX runs_by_thing;
CREATE INDEX runs_by_thing ON runs (thing, requested);
DROP INDEX runs_by_actor;
CREATE INDEX runs_by_actor ON runs (requested_by, requested) WHERE requested_by IS NOT NULL
"""

# `details` is what few invocations have, as JSON. `parts` has what open invocations have added so
# far; `unsafe` has the Things of interrupted ones whose hardware nobody has made safe yet.
_PARTS: Final = """
ALTER TABLE runs ADD COLUMN details TEXT;
CREATE TABLE parts (
    run BLOB NOT NULL,
    kind TEXT NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    items BLOB NOT NULL,
    PRIMARY KEY (run, kind, last)
);
CREATE TABLE unsafe (
    run BLOB NOT NULL,
    thing TEXT NOT NULL,
    PRIMARY KEY (run, thing)
)
"""

# `head` is 1 where the invocation has given up its details (see `retention.py`); such a row has a
# negative rowid, so that heads share pages with one another and the pages of details become free.
_HEADS: Final = """
ALTER TABLE runs ADD COLUMN head INTEGER;
DROP INDEX runs_by_closing;
CREATE INDEX runs_by_closing ON runs (closed) WHERE head IS NULL;
CREATE INDEX heads_by_closing ON runs (closed) WHERE head IS NOT NULL
"""

# Invocations that are kept beyond every age and limit.
_PINS: Final = """
CREATE TABLE pins (run BLOB NOT NULL PRIMARY KEY) WITHOUT ROWID
"""

MIGRATIONS: Final[tuple[str, ...]] = (_TABLES, _ACTORS, _AUDIT, _PARTS, _HEADS, _PINS)
"""Migration n changes a database of `user_version` n to n + 1. Add at the end, change none."""
VERSION: Final = len(MIGRATIONS)


class NewerVersionError(Exception):
    """A later version of this package wrote the database."""


class DamagedError(Exception):
    """SQLite's own check found that the file is damaged."""


def prepare(connection: sqlite3.Connection, name: str, synchronous: str) -> None:
    """Set up the connection of the writer, and bring the tables to this version.

    Raises:
        NewerVersionError: the file was not changed.
        sqlite3.Error: the file is no database, or cannot be written now.
    """
    _accept_invalid_text(connection)
    if _version(connection) == 0:
        # Possible before the first table only; it allows to free pages without a VACUUM.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA secure_delete = OFF")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}")
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        # Without a write-ahead log, NORMAL may lose more than the newest records in a power cut.
        connection.execute("PRAGMA synchronous = FULL")
        LOGGER.warning(
            "The journal %s cannot use a write-ahead log (SQLite uses %r), probably because it is "
            "on a network share. It works, but slowly: reading and writing wait for each other. "
            "Put the settings folder on a disk of this computer.",
            name,
            mode,
        )
    _migrate(connection, name)
    connection.execute(
        'SELECT r.head, k."key", a.path, p.items, u.thing, i.run '
        "FROM runs r, keys k, audit a, parts p, unsafe u, pins i LIMIT 0"
    )


def prepare_reader(connection: sqlite3.Connection) -> None:
    """Set up a connection that only reads."""
    _accept_invalid_text(connection)
    # The operating system caches the file as well, and a search would fill each of the caches.
    connection.execute(f"PRAGMA cache_size = -{READER_CACHE_KIB}")


def _accept_invalid_text(connection: sqlite3.Connection) -> None:
    """Replace invalid UTF-8, so that one damaged row does not stop a listing."""
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")


def _migrate(connection: sqlite3.Connection, name: str) -> None:
    if _version(connection) == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection)  # another process may have migrated it
        if version > VERSION:
            raise NewerVersionError(
                f"{name} has schema version {version}, but this package supports up to {VERSION}"
            )
        for script in MIGRATIONS[version:]:
            for statement in script.split(";\n"):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def check(connection: sqlite3.Connection) -> None:
    """Check the whole file.

    Raises:
        DamagedError: SQLite found an error in it.
    """
    (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if answer != "ok":
        raise DamagedError(answer)
