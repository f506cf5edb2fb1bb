"""The file of the journal: opening it, reading from many threads, setting a damaged one aside."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import urllib.parse
from typing import TYPE_CHECKING, Final

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

CHECKED_BYTES: Final = 64 * 1024 * 1024
"""Up to this size a file is looked through when it is opened; damage in others shows later."""
IDLE_READERS: Final = 4
ASIDE_LIMIT: Final = 10
"""Files that one process sets aside; then the disk is at fault, and should not be filled."""
_READERS_SECONDS: Final = 10.0
_COMPANIONS: Final = ("-wal", "-shm", "-journal")


class Database:
    """One database file.

    `connection`, `set_aside` and `close` belong to the writer's thread; `reading` and `number` to
    every thread. Nothing is made before the first call of `connection`.
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
        self._aside = 0
        self._readers = threading.Condition()  # guards the four below
        self._generation = 0
        self._is_open = False
        self._idle: list[sqlite3.Connection] = []
        self._reading = 0

    # --- the writer's side ----------------------------------------------------------------

    def connection(self) -> sqlite3.Connection:
        """Return the writer's connection; the folder and the file are made if they are missing.

        Raises:
            OSError, sqlite3.Error: the file cannot be used now.
        """
        if self._identity is not None and self._file_identity() != self._identity:
            self._miss()
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
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = self._connect("rwc")
        try:
            if self._identity is None and self._is_small():
                check(connection)  # first, so that a damaged file is set aside as it was found
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
        return self.path.exists() and self.path.stat().st_size <= CHECKED_BYTES

    def _connect(self, mode: str) -> sqlite3.Connection:
        name = self.path.absolute().as_posix()
        # Three slashes before a drive letter and four before a share, as SQLite wants them.
        uri = f"file://{'' if name.startswith('/') else '/'}{urllib.parse.quote(name)}?mode={mode}"
        if self._vfs is not None:
            uri += f"&vfs={urllib.parse.quote(self._vfs)}"
        return sqlite3.connect(
            uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )

    def _file_identity(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _miss(self) -> None:
        """The path no longer leads to the open file: let go of it, or write into the void."""
        LOGGER.error(
            "The journal %s was moved or deleted while it was in use. A new one is begun: earlier "
            "runs are in the file that was moved.",
            self.path,
        )
        self._forget()

    def abandon(self) -> None:
        """After a failure: close the connection, so that the next one starts afresh."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _forget(self) -> None:
        """Let go of the file in every thread."""
        self.abandon()
        self._identity = None
        with self._readers:
            self._generation += 1
            self._is_open = False
            idle, self._idle = self._idle, []
        for reader in idle:
            reader.close()

    def set_aside(self, error: BaseException) -> bool:
        """Rename a file that cannot be used, loudly; False if that is impossible too."""
        if self._aside >= ASIDE_LIMIT:
            return False
        self._forget()
        self._aside += 1
        label = "newer" if isinstance(error, NewerVersionError) else "corrupt"
        try:
            aside = self._rename(label)
        except OSError as reason:
            LOGGER.error(
                "The journal %s cannot be used (%s) and could not be set aside either (%s): move "
                "it elsewhere. Runs are not recorded until then.",
                *(self.path, error, reason),
            )
            return False
        LOGGER.error(
            "The journal %s cannot be used (%s). It was set aside as %s, and a new one is begun: "
            "earlier runs are in that file only.",
            *(self.path, error, aside),
        )
        return True

    def _rename(self, label: str) -> Path:
        stem = f"{self.path.name}.{label}-{self._clock():%Y%m%dT%H%M%SZ}"
        aside, number = self.path.with_name(stem), 0
        while aside.exists():
            number += 1
            aside = self.path.with_name(f"{stem}-{number}")
        try:
            self.path.rename(aside)
        except PermissionError:
            # Windows renames no file that somebody has open.
            with self._readers:
                self._readers.wait_for(lambda: self._reading == 0, _READERS_SECONDS)
            self.path.rename(aside)
        with self._readers:
            # Who has begun to read since we let go of the file has opened this one, not the next.
            self._generation += 1
        for suffix in _COMPANIONS:
            with contextlib.suppress(FileNotFoundError):
                self.path.with_name(self.path.name + suffix).rename(f"{aside}{suffix}")
        return aside

    def close(self) -> None:
        """Let go of the file; `reading` still works, one connection at a time."""
        self._forget()

    # --- the readers' side ----------------------------------------------------------------

    @property
    def number(self) -> int | None:
        """Which file this is, of those that were opened here one after another; None if closed."""
        with self._readers:
            return self._generation if self._is_open else None

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection that sees what is committed, and writes nothing."""
        with self._readers:
            generation = self._generation
            reader = self._idle.pop() if self._idle else None
            self._reading += 1
        try:
            if reader is None:
                # "ro" also because such a connection, if it is the last, removes no files.
                reader = self._connect("ro")
                prepare_reader(reader)
            yield reader
        except BaseException:
            self._give_back(reader, None)
            raise
        self._give_back(reader, generation)

    def _give_back(self, reader: sqlite3.Connection | None, generation: int | None) -> None:
        with self._readers:
            keep = (
                self._is_open and generation == self._generation and len(self._idle) < IDLE_READERS
            )
            if keep and reader is not None:
                self._idle.append(reader)
        if not keep and reader is not None:
            reader.close()
        with self._readers:
            self._reading -= 1
            self._readers.notify_all()
