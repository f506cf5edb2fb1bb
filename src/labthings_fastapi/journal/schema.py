"""The tables of the journal's database, and how a connection to it is prepared.

Times are whole microseconds since 1970 (UTC), so that they come back exact and sort as they should.
"""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import Final

from labthings_fastapi.own_log import own_logger

LOGGER = own_logger("journal")

BUSY_SECONDS: Final = 10.0
"""How long a connection waits for another process that writes."""
WAL_LIMIT: Final = 16 * 1024 * 1024
"""Bytes to which the write-ahead log shrinks after a burst."""
READER_CACHE_KIB: Final = 512
"""How much of the file each reader keeps in memory."""

# Small columns come first: what is not asked for is not read from the pages that follow a long row.
# `closed` says since when a run counts as over (retention counts from there); NULL while it is
# open. `text` is what a search for text looks in.
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

# Who asked for what: beside runs, the table now holds other requests that changed something.
_ACTORS: Final = """
ALTER TABLE runs ADD COLUMN kind TEXT NOT NULL DEFAULT 'run';
ALTER TABLE runs ADD COLUMN address TEXT;
ALTER TABLE runs ADD COLUMN request TEXT;
CREATE INDEX runs_by_actor ON runs (requested_by, requested, id) WHERE requested_by IS NOT NULL;
"""

MIGRATIONS: Final[tuple[str, ...]] = (_TABLES, _ACTORS)
"""Migration n takes a database from `user_version` n to n + 1; add to the end, change none."""
VERSION: Final = len(MIGRATIONS)


class NewerVersionError(Exception):
    """The database was written by a later version of this package."""


class DamagedError(Exception):
    """SQLite's own check found that the file does not hold together."""


def prepare(connection: sqlite3.Connection, name: str, synchronous: str) -> None:
    """Make a writer's connection ready: pragmas, then the tables as this version knows them.

    Raises:
        NewerVersionError: the file is left as it is.
        sqlite3.Error: the file is no database, or cannot be written now.
    """
    _read_any_text(connection)
    if _version(connection) == 0:
        # Only possible before the first table; later pages are given back without a VACUUM.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA secure_delete = OFF")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}")
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        # Without a write-ahead log, NORMAL may lose more than the newest records at a power cut.
        connection.execute("PRAGMA synchronous = FULL")
        LOGGER.warning(
            "The journal %s cannot keep a write-ahead log (SQLite answers %r), as on a network "
            "share: it works, but slowly, and readers and the writer wait for one another. "
            "Put the settings folder on a disk of this computer.",
            name,
            mode,
        )
    _migrate(connection, name)
    connection.execute('SELECT r.text, k."key" FROM runs r, keys k LIMIT 0')


def prepare_reader(connection: sqlite3.Connection) -> None:
    """Make a connection ready that only reads."""
    _read_any_text(connection)
    # The operating system keeps the file's pages as well; a search would fill four such caches.
    connection.execute(f"PRAGMA cache_size = -{READER_CACHE_KIB}")


def _read_any_text(connection: sqlite3.Connection) -> None:
    """Let text that is not valid UTF-8 not cost a whole listing."""
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")


def _migrate(connection: sqlite3.Connection, name: str) -> None:
    if _version(connection) == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection)  # another process may have been first
        if version > VERSION:
            raise NewerVersionError(
                f"{name} has schema version {version}, and this package knows up to {VERSION}"
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
    """Let SQLite look through the whole file.

    Raises:
        DamagedError: something in it is wrong.
    """
    (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if answer != "ok":
        raise DamagedError(answer)
