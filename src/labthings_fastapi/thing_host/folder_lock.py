"""One server for each settings folder, in this process and among all others."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
from typing import TYPE_CHECKING, Final

from labthings_fastapi.exceptions import FolderInUseError, ServerNotRunningError
from labthings_fastapi.own_log import own_logger

if TYPE_CHECKING:
    from pathlib import Path

LOGGER = own_logger("server")
LOCK_FILE: Final = "server.lock"
_LOCKED_BYTE: Final = 1 << 30  # far behind the text: on Windows nobody else can read what is locked

_guard = threading.Lock()  # guards the two below
_claimed: set[str] = set()  # folders of servers of this process
_handles: set[int] = set()  # of lock files that this process holds


class FolderLock:
    """Keeps a folder for one server; every method may be called from any thread.

    A folder that does not exist is claimed within this process only, so that a server which keeps
    nothing leaves nothing behind; call `secure` before the first file is made in it. The system
    lets go of the lock when the process ends, however it ends.
    """

    def __init__(self, folder: Path) -> None:
        """Prepare to lock `folder`, which need not exist."""
        self._folder = folder
        self._lock = threading.Lock()  # guards the two below
        self._name: str | None = None
        self._handle: int | None = None

    def claim(self) -> bool:
        """Claim the folder; False if another server of this process has it.

        Raises:
            FolderInUseError: another process has it.
        """
        name = os.path.normcase(os.path.realpath(self._folder))
        with _guard:
            if name in _claimed:
                return False
            _claimed.add(name)
        with self._lock:
            self._name = name
        try:
            if self._folder.is_dir():
                self.secure()
        except BaseException:
            self.release()
            raise
        return True

    def secure(self) -> None:
        """Keep other processes out of the folder, which is made; harmless twice.

        Raises:
            FolderInUseError: another process was first.
            ServerNotRunningError: the folder is not claimed.
            OSError: the folder cannot be made.
        """
        with self._lock:
            if self._name is None:
                raise ServerNotRunningError(
                    f"The settings folder {str(self._folder)!r} is not used by a running server."
                )
            self._secure()

    def _secure(self) -> None:
        if self._handle is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._handle = _lock_file(self._folder)

    def secure_if_claimed(self) -> None:
        """Keep other processes out of a folder that is claimed; of any other, nothing is known.

        Raises:
            FolderInUseError: another process was first.
            OSError: the folder cannot be made.
        """
        with self._lock:
            if self._name is not None:
                self._secure()

    def release(self) -> None:
        """Let others have the folder; harmless twice."""
        with self._lock:
            name, self._name = self._name, None
            handle, self._handle = self._handle, None
        with _guard:
            if name is not None:
                _claimed.discard(name)
            if handle in _handles:  # not after a fork, which closed it
                _handles.discard(handle)
                os.close(handle)


def _lock_file(folder: Path) -> int | None:
    """Lock the folder's file and write this process's id in it; None where nothing can be locked.

    The file stays when the lock is released: were it removed, two might hold different files.
    """
    path = folder / LOCK_FILE
    handle = None
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        if not _try_lock(handle):
            raise FolderInUseError(str(folder), _holder(handle))
    except OSError as error:
        if handle is not None:
            os.close(handle)
        LOGGER.warning(
            "The settings folder %s cannot be locked (%s): make sure yourself that no other "
            "server uses it.",
            *(folder, error),
        )
        return None
    except FolderInUseError:
        if handle is not None:
            os.close(handle)
        raise
    with _guard:
        _handles.add(handle)
    with contextlib.suppress(OSError):  # on a full disk the lock holds all the same
        os.ftruncate(handle, 0)
        os.lseek(handle, 0, os.SEEK_SET)
        os.write(handle, f"{os.getpid()}\n".encode())
    return handle


def _holder(handle: int) -> str:
    """Return the process id that the holder has written, or nothing."""
    with contextlib.suppress(OSError):
        os.lseek(handle, 0, os.SEEK_SET)
        text = os.read(handle, 20).decode("ascii", "replace").strip()
        return text if text.isdecimal() else ""
    return ""


def _try_lock(handle: int) -> bool:
    """Lock a file for this process; False if another one has it.

    Raises:
        OSError: the file system knows no locks.
    """
    if sys.platform == "win32":
        import msvcrt

        os.lseek(handle, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EDEADLK):
                return False
            raise
    else:
        import fcntl

        try:
            # flock and not lockf, which would be lost when any handle of the file is closed.
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _let_go_after_fork() -> None:
    """In a forked child: a copy of the handle would hold the lock after the server has ended."""
    global _guard  # noqa: PLW0603 - another thread may have held it while this process was forked
    _guard = threading.Lock()
    _claimed.clear()
    while _handles:
        with contextlib.suppress(OSError):
            os.close(_handles.pop())


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_let_go_after_fork)
