"""What an error of SQLite means: a damaged file, a full disk, another process that writes."""

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
# All SQL is constant. If it does not compile while the file is opened, the tables are not those of
# this package, and the file is as useless as a damaged one.
_DAMAGE_AT_OPENING: Final = _DAMAGE | {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_SCHEMA}
_BUSY: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_SYSTEM: Final = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
_PROBE_BYTES: Final = 64 * 1024


def _code(error: BaseException) -> int | None:
    """Return the primary result code of SQLite, without its extension."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def is_damage(error: BaseException, *, opening: bool = False) -> bool:
    """Return whether the file can never be used as it is."""
    if isinstance(error, (DamagedError, NewerVersionError)):
        return True
    return _code(error) in (_DAMAGE_AT_OPENING if opening else _DAMAGE)


def is_busy(error: BaseException) -> bool:
    """Return whether another process has locked the database for too long."""
    return _code(error) in _BUSY


def is_system_error(error: BaseException) -> bool:
    """Return whether a file operation failed; then a new connection is safer than the old one."""
    return _code(error) in _SYSTEM


def is_temporary(error: BaseException) -> bool:
    """Return whether the same record may be written later: the disk failed, not the record."""
    return isinstance(error, OSError) or (
        isinstance(error, sqlite3.DatabaseError) and _code(error) is not None
    )


def as_os_error(error: Exception, path: Path) -> Exception:
    """Return the error of the operating system, such as ENOSPC; otherwise the error itself."""
    code = _code(error)
    if code == sqlite3.SQLITE_FULL:
        number = errno.ENOSPC
    elif code in _BUSY:
        number = errno.EBUSY
    elif code in _SYSTEM:
        number = _probe(path) or (errno.EROFS if code == sqlite3.SQLITE_READONLY else errno.EIO)
    else:
        return error
    os_error = OSError(number, os.strerror(number), str(path))
    os_error.__cause__ = error
    return os_error


def _probe(path: Path) -> int | None:
    """Return why nothing can be written in the file's folder, by writing another file there."""
    try:
        with tempfile.TemporaryFile(dir=path.parent) as file:
            file.write(bytes(_PROBE_BYTES))
            file.flush()
    except OSError as error:
        return error.errno
    return None
