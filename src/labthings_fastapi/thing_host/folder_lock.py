"""One server for each settings folder, in this process and among all others."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING, Final, NamedTuple

from labthings_fastapi.exceptions import FolderInUseError, JournalInUseError, ServerNotRunningError
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.private_files import make_private_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from filelock import FileLock

LOGGER = own_logger("server")
LOCK_FILE: Final = "server.lock"

# Which lock has claimed which folder. The process id is part of the key, because a forked child
# inherits this dictionary and not the locks. `setdefault` and `pop` are atomic.
_claims: dict[tuple[int, str], FolderLock] = {}
# Locks that were taken for a server that is not made yet.
_kept: dict[tuple[int, str], FolderLock] = {}


class _Held(NamedTuple):
    """What reserves the folder; None for both where the file system has no locks."""

    lock: FileLock | None = None
    identity: tuple[int, int] | None = None


class FolderLock:
    """Reserves a folder, or one file in it, for one server; any thread may call every method.

    A folder that does not exist is only claimed within this process, so that a server which stores
    nothing leaves no folder behind. Call `secure` before the first file is made in it. The
    operating system releases the lock when the process ends, also when it is killed.

    A folder that is moved takes its lock along, and a lock file that is deleted locks nothing.
    Each `secure` notices that, and locks again or is refused.
    """

    def __init__(self, folder: Path, file: str | None = None) -> None:
        """Prepare to lock `folder`, which need not exist, or a file of that name beside itself."""
        self._folder = folder
        self._file = file
        self._path = folder / (LOCK_FILE if file is None else f".{file}.lock")
        self._lock = threading.Lock()  # guards the two below
        self._claim: tuple[int, str] | None = None
        self._held: _Held | None = None

    def claim(self) -> bool:
        """Claim the folder; False if another server of this process has claimed it. Idempotent.

        Raises:
            FolderInUseError: the server of another process uses the folder.
        """
        claim = _key(self._path)
        if _claims.setdefault(claim, self) is not self:
            return False
        with self._lock:
            self._claim = claim
        try:
            if self._folder.is_dir():
                self.secure()
        except BaseException:
            self.release()
            raise
        return True

    def secure(self) -> None:
        """Make the folder and lock it against other processes; idempotent.

        Raises:
            FolderInUseError: the server of another process uses the folder.
            ServerNotRunningError: the folder is not claimed.
            OSError: the folder cannot be made.
        """
        with self._lock:
            if self._claim is None:
                raise ServerNotRunningError(
                    f"The settings folder {str(self._folder)!r} is not used by a running server."
                )
            self._secure()

    def _secure(self) -> None:
        held = self._held
        if held is not None and held.identity is not None and held.identity != self._identity():
            LOGGER.error(
                "%s was moved, or its lock %s was deleted, while this server uses it. It is locked "
                "again. Stop the server before you move its files.",
                *(self._described(), self._path),
            )
            self._held = None
            if held.lock is not None:
                held.lock.release()
        if self._held is None:
            make_private_folder(self._folder)
            self._held = self._lock_file()

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _described(self) -> str:
        return (
            f"The settings folder {self._folder}"
            if self._file is None
            else f"The journal {self._folder / self._file}"
        )

    def _lock_file(self) -> _Held:
        """Lock the file; warn where the file system has no locks."""
        from filelock import FileLock, Timeout

        lock = FileLock(
            self._path,
            mode=0o600,
            blocking=False,
            thread_local=False,  # one thread starts the server, another one may stop it
            preserve_lock_file=True,  # two servers could otherwise lock different files
            fallback_to_soft=False,  # a marker file would outlive a server that is killed
            on_acquired=_write_process_id,
        )
        try:
            lock.acquire()
        except Timeout:
            holder = _holder(self._path)
            if self._file is not None:
                raise JournalInUseError(str(self._folder / self._file), holder) from None
            raise FolderInUseError(str(self._folder), holder) from None
        except (OSError, NotImplementedError) as error:
            LOGGER.warning(
                "%s cannot be locked (%s). Make sure that no other server uses it.",
                self._described(),
                error,
            )
            return _Held()
        return _Held(lock, self._identity())

    def claim_and_make(self) -> bool:
        """Do as `claim`, and make the folder, so that no other process can come first.

        A folder that cannot be made is logged: the instruments can be used all the same.

        Raises:
            FolderInUseError: the server of another process uses the folder.
        """
        if not self.claim():
            return False
        try:
            self.secure()
        except OSError as error:
            LOGGER.warning(
                "The folder %s cannot be made (%s). Settings and runs cannot be recorded before it "
                "can.",
                self._folder,
                error.strerror or error,
            )
        except BaseException:
            self.release()
            raise
        return True

    def secure_if_claimed(self) -> None:
        """Do as `secure` if the folder is claimed, and nothing otherwise.

        Raises:
            FolderInUseError: the server of another process uses the folder.
            OSError: the folder cannot be made.
        """
        with self._lock:
            if self._claim is not None:
                self._secure()

    def release(self) -> None:
        """Unlock the folder; idempotent."""
        with self._lock:
            claim, self._claim = self._claim, None
            held, self._held = self._held, None
        if held is not None and held.lock is not None:
            held.lock.release()
        if claim is not None:
            _claims.pop(claim, None)


@contextlib.contextmanager
def folder_kept(folder: Path) -> Iterator[None]:
    """Make and lock a folder for the server that is made and run inside of the `with` block.

    Then a second process is refused before its Things touch the hardware of the first.

    Raises:
        FolderInUseError: the server of another process uses the folder.
    """
    lock = FolderLock(folder)
    if lock.claim_and_make():
        _kept[_key(folder / LOCK_FILE)] = lock
    try:
        yield
    finally:
        _kept.pop(_key(folder / LOCK_FILE), None)
        lock.release()


def lock_for_server(folder: Path) -> FolderLock:
    """Return the lock of a new server: the one that is kept for it, or a new one."""
    return _kept.pop(_key(folder / LOCK_FILE), None) or FolderLock(folder)


def lock_for_journal(path: Path) -> FolderLock:
    """Return the lock of a journal's file: servers with different settings folders may share it."""
    path = path.resolve()
    return FolderLock(path.parent, path.name)


def _key(path: Path) -> tuple[int, str]:
    return os.getpid(), os.path.normcase(os.path.realpath(path))


def _write_process_id(handle: int) -> None:
    # The first byte is blank: on Windows other processes cannot read the byte that is locked.
    with contextlib.suppress(OSError):  # on a full disk the folder is locked all the same
        os.ftruncate(handle, 0)
        os.lseek(handle, 0, os.SEEK_SET)
        os.write(handle, f" {os.getpid()}\n".encode())


def _holder(path: Path) -> str:
    """Return the process id that the holder has written, or an empty string."""
    with contextlib.suppress(OSError), path.open("rb", buffering=0) as file:
        file.seek(1)
        text = file.read(20).decode("ascii", "replace").strip()
        return text if text.isdecimal() else ""
    return ""
