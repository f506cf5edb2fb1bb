"""What an error of SQLite means: a damaged file, a full disk, somebody else who writes."""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
from typing import TYPE_CHECKING, Final

from .schema import DamagedError, NewerVersionError

if TYPE_CHECKING:
    from pathlib import Path

_DAMAGE: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
# All statements are constants of this package. One that does not even compile says that the
# tables are not those that it made: seen while opening, the file is as good as damaged.
_DAMAGE_AT_OPENING: Final = _DAMAGE | {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_SCHEMA}
_BUSY: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_SYSTEM: Final = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
_PROBE_BYTES: Final = 64 * 1024


def _code(error: BaseException) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF  # the rest is detail


def is_damage(error: BaseException, *, opening: bool = False) -> bool:
    """Whether the file cannot be used as it is, now or ever."""
    if isinstance(error, (DamagedError, NewerVersionError)):
        return True
    return _code(error) in (_DAMAGE_AT_OPENING if opening else _DAMAGE)


def is_busy(error: BaseException) -> bool:
    """Whether another process has kept the database to itself for too long."""
    return _code(error) in _BUSY


def is_of_the_system(error: BaseException) -> bool:
    """Whether a file operation failed, after which a new connection is the safe way on."""
    return _code(error) in _SYSTEM


def may_pass(error: BaseException) -> bool:
    """Whether the same record may be written later: the fault lies with the disk, not with it."""
    return isinstance(error, OSError) or (
        isinstance(error, sqlite3.DatabaseError) and _code(error) is not None
    )


def as_os_error(error: Exception, path: Path) -> Exception:
    """Return what the operating system would have said (so a full disk is ENOSPC), or the error."""
    code = _code(error)
    if code == sqlite3.SQLITE_FULL:
        found = errno.ENOSPC
    elif code in _BUSY:
        found = errno.EBUSY
    elif code in _SYSTEM:
        found = _probe(path) or (errno.EROFS if code == sqlite3.SQLITE_READONLY else errno.EIO)
    else:
        return error
    # SQLite's words are kept as the cause.
    told = OSError(found, os.strerror(found), str(path))
    told.__cause__ = error
    return told


def _probe(path: Path) -> int | None:
    """Ask the system why a file cannot be written, by writing another beside it."""
    try:
        with tempfile.TemporaryFile(dir=path.parent) as file:
            file.write(bytes(_PROBE_BYTES))
            file.flush()
    except OSError as error:
        return error.errno
    return None
