"""The file of the journal: opening it, reading it on many threads, replacing a damaged one."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import urllib.parse
from typing import TYPE_CHECKING, Final

from labthings_fastapi.private_files import make_private_folder, open_private_file

from .faults import is_damage
from .schema import (
    BUSY_SECONDS,
    LOGGER,
    NewerVersionError,
    check,
    prepare,
    prepare_reader,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

MAX_CHECKED_BYTES: Final = 64 * 1024 * 1024
"""Larger files are not checked when they are opened; damage in them is found later."""
MAX_IDLE_READERS: Final = 4
MAX_SET_ASIDE: Final = 10
"""Damaged files that one process renames. With more, the disk is broken and must not be filled."""
_READERS_TIMEOUT: Final = 10.0
_COMPANIONS: Final = ("-wal", "-shm", "-journal")


class Database:
    """One database file.

    Only the writer's thread may call `connection`, `abandon`, `set_aside` and `close`; any thread
    may use the rest. No file is created before the first call of `connection`.
    """

    def __init__(
        self,
        path: Path,
        synchronous: str,
        clock: Callable[[], datetime],
        vfs: str | None = None,
        claim: Callable[[], None] | None = None,
    ) -> None:
        self.path = path
        self._claim = claim
        self._synchronous = synchronous
        self._clock = clock
        self._vfs = vfs
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._set_aside_count = 0
        self._readers = threading.Condition()  # guards the four below
        self._generation = 0
        self._is_open = False
        self._idle: list[sqlite3.Connection] = []
        self._active_readers = 0

    def connection(self) -> sqlite3.Connection:
        """Return the writer's connection, and create the folder and the file if they are missing.

        Raises:
            OSError, sqlite3.Error: the file cannot be used now.
        """
        if self._identity is not None:
            if self._claim is not None:
                self._claim()
            if self._file_identity() != self._identity:
                self._replace_missing_file()
        if self._connection is not None:
            return self._connection
        try:
            return self._open()
        except Exception as error:
            if not is_damage(error, opening=True) or not self.set_aside(error):
                raise
        return self._open()

    def _open(self) -> sqlite3.Connection:
        if self._claim is not None:
            self._claim()
        make_private_folder(self.path.parent)
        # Only its owner may read it. SQLite gives its other files the same mode.
        os.close(open_private_file(self.path, os.O_RDONLY))
        connection = self._connect("rwc")
        try:
            if self._identity is None and self._is_small():
                check(connection)  # before any change, so that a damaged file is kept as it was
            prepare(connection, str(self.path), self._synchronous)
            self._identity = self._file_identity()
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        with self._readers:
            self._is_open = True
        return connection

    def _is_small(self) -> bool:
        return self.path.exists() and self.path.stat().st_size <= MAX_CHECKED_BYTES

    def _connect(self, mode: str) -> sqlite3.Connection:
        name = self.path.absolute().as_posix()
        # SQLite needs three slashes before a drive letter, and four before a network share.
        uri = f"file://{'' if name.startswith('/') else '/'}{urllib.parse.quote(name)}?mode={mode}"
        if self._vfs is not None:
            uri += f"&vfs={urllib.parse.quote(self._vfs)}"
        return sqlite3.connect(
            uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )

    def _file_identity(self) -> tuple[int, int] | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _replace_missing_file(self) -> None:
        """Close a file that is no longer at the path: records in it could not be found."""
        LOGGER.error(
            "The journal %s was moved or deleted while it was in use. A new file is started; "
            "earlier runs are in the file that was moved.",
            self.path,
        )
        self._close_all()

    def abandon(self) -> None:
        """Close the writer's connection after an error; `connection` opens a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _close_all(self) -> None:
        """Close the writer's connection and idle readers; active readers are closed after use."""
        with self._readers:
            self._generation += 1
            self._is_open = False
            idle, self._idle = self._idle, []
        for reader in idle:
            reader.close()
        # The last one, because a reader cannot merge the write-ahead log into the file.
        self.abandon()
        self._identity = None

    def set_aside(self, error: BaseException) -> bool:
        """Rename a file that cannot be used, and log it; False if it cannot be renamed either."""
        if self._set_aside_count >= MAX_SET_ASIDE:
            return False
        self._close_all()
        self._set_aside_count += 1
        label = "newer" if isinstance(error, NewerVersionError) else "corrupt"
        try:
            new_path = self._rename(label)
        except OSError as reason:
            LOGGER.error(
                "The journal %s cannot be used (%s) and cannot be renamed (%s). Runs are not "
                "recorded until the file is moved to another place.",
                *(self.path, error, reason),
            )
            return False
        LOGGER.error(
            "The journal %s cannot be used (%s). It was renamed to %s, and a new file is started; "
            "earlier runs are in the renamed file only.",
            *(self.path, error, new_path),
        )
        return True

    def _rename(self, label: str) -> Path:
        stem = f"{self.path.name}.{label}-{self._clock():%Y%m%dT%H%M%SZ}"
        new_path, number = self.path.with_name(stem), 0
        while new_path.exists():
            number += 1
            new_path = self.path.with_name(f"{stem}-{number}")
        try:
            self.path.rename(new_path)
        except PermissionError:
            # Windows cannot rename an open file.
            with self._readers:
                self._readers.wait_for(lambda: self._active_readers == 0, _READERS_TIMEOUT)
            self.path.rename(new_path)
        with self._readers:
            # Readers that began between the closing and the renaming have opened the old file.
            self._generation += 1
        for suffix in _COMPANIONS:
            with contextlib.suppress(FileNotFoundError):
                self.path.with_name(self.path.name + suffix).rename(f"{new_path}{suffix}")
        return new_path

    def close(self) -> None:
        """Close the file; `reading` still works and opens a connection for each use."""
        self._close_all()

    @property
    def exists(self) -> bool:
        """Whether the file is open or is on the disk."""
        return self.generation is not None or self.path.exists()

    @property
    def generation(self) -> int | None:
        """A number that changes when another file is opened at this path; None if none is open."""
        with self._readers:
            return self._generation if self._is_open else None

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Provide a connection that sees committed records, and cannot write."""
        with self._readers:
            generation = self._generation
            reader = self._idle.pop() if self._idle else None
            self._active_readers += 1
        try:
            if reader is None:
                # "ro" also because the last connection would otherwise delete the log's files.
                reader = self._connect("ro")
                prepare_reader(reader)
            yield reader
        except BaseException:
            self._return_reader(reader, None)
            raise
        self._return_reader(reader, generation)

    def _return_reader(self, reader: sqlite3.Connection | None, generation: int | None) -> None:
        with self._readers:
            keep = (
                self._is_open
                and generation == self._generation
                and len(self._idle) < MAX_IDLE_READERS
            )
            if keep and reader is not None:
                self._idle.append(reader)
        if not keep and reader is not None:
            reader.close()
        with self._readers:
            self._active_readers -= 1
            self._readers.notify_all()
