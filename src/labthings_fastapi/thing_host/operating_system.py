"""Files, and what differs between operating systems."""

from __future__ import annotations

import contextlib
import glob
import os
import signal
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

from labthings_fastapi.private_files import FILE_MODE, make_private_folder, open_private_file

LEFTOVER_SECONDS = 60.0


def write_durably(
    path: Path,
    content: bytes,
    *,
    private: bool = False,
    before_replacing: Callable[[], None] = lambda: None,
) -> None:
    """Replace a file as a whole: after any failure it has its old content.

    The content is written to a file beside the target, flushed to the disk, then renamed over it.
    The folder is flushed too, because a power cut could otherwise undo the rename. A new file can
    be read by its owner only (mode 0600), an old one keeps its mode; a private file has mode 0600
    at any time. On Windows the permissions of the folder apply. `before_replacing` is called at
    the last moment, and may raise an error to keep the old file.

    Raises:
        OSError: the file is unchanged.
    """
    path = path.resolve()  # a symbolic link to the file is kept
    make_private_folder(path.parent)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        keeps_mode = not private and path.exists()
        Path(name).chmod(path.stat().st_mode & 0o777 if keeps_mode else FILE_MODE)
        before_replacing()
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
    # Some network shares cannot flush a folder, so a power cut may undo the rename. This is no
    # error: the file has its new content, and an error would mean that it has the old one.
    with contextlib.suppress(OSError):
        sync_folder(path.parent)


@contextlib.contextmanager
def exclusive_file_access(path: Path) -> Iterator[None]:
    """Wait until no other process changes the file, and exclude them inside of the `with` block.

    The lock is on a file beside it, which is never removed: two processes could otherwise lock
    different files. A file system without locks excludes nobody.

    Raises:
        OSError: no file can be made beside `path`.
    """
    from filelock import lock_descriptor

    path = path.resolve()
    make_private_folder(path.parent)
    handle = open_private_file(path.with_name(f".{path.name}.lock"), os.O_RDWR)
    try:
        with contextlib.suppress(OSError):
            lock_descriptor(handle)
        yield
    finally:
        os.close(handle)


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files that killed processes left beside this file.

    Files of the last minute are kept: another process may be writing one.
    """
    path = path.resolve()
    with contextlib.suppress(OSError):
        for leftover in path.parent.glob(f".{glob.escape(path.name)}-*.tmp"):
            if time.time() - leftover.stat().st_mtime > LEFTOVER_SECONDS:
                leftover.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk; on Windows there is no such call, and no need."""
    if sys.platform != "win32":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def set_aside(path: Path, label: str) -> Path:
    """Rename a file to an unused name beside it, and return the new path."""
    aside = unused_name_beside(path, label)
    path.rename(aside)
    return aside


def unused_name_beside(path: Path, label: str) -> Path:
    """Return a path beside a file, with its name and a label, where there is no file."""
    names = (f"{path.name}.{label}{f'-{number}' if number else ''}" for number in count())
    return next(path.with_name(name) for name in names if not path.with_name(name).exists())


def open_to_others(path: Path) -> bool:
    """Return whether the mode of a file gives other users any access; False on Windows."""
    return sys.platform != "win32" and bool(path.stat().st_mode & 0o077)


def who_else_may_write(path: Path) -> str | None:
    """Return which other users may change a file, in words; None if nobody may, or on Windows.

    The administrator (root) may change every file and does not count.
    """
    if sys.platform != "win32":
        status, folder = path.stat(), path.resolve().parent
        if status.st_mode & 0o022:
            return "its mode lets other users of this computer write it"
        if status.st_uid not in (0, os.geteuid()) and os.geteuid() != 0:
            return "it belongs to another user"
        mode = folder.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            return f"everybody may replace files in the folder {folder}"
    return None


def open_files_limit() -> int | None:
    """Return how many files and sockets this process may have open at once; None if unlimited.

    Windows has no such limit on sockets.
    """
    limit: int | None = None
    if sys.platform != "win32":
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        limit = soft if soft != resource.RLIM_INFINITY else None
    return limit


_in_child: list[Callable[[], None]] = []


def _run_in_child() -> None:
    for function in tuple(_in_child):
        function()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_run_in_child)


@contextlib.contextmanager
def in_forked_children(function: Callable[[], None]) -> Iterator[None]:
    """Call a function in each child that is forked inside of the `with` block; on POSIX only."""
    _in_child.append(function)
    try:
        yield
    finally:
        _in_child.remove(function)


def reset_signals() -> None:
    """Handle SIGTERM and Ctrl-C as a new Python process does; for a forked child."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def give_up(sockets: Iterable[Any]) -> None:
    """Let go of sockets in a forked child, while its parent goes on using them.

    Their numbers stay in use: objects that believe to own one close it one day.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    for each in sockets:
        with contextlib.suppress(OSError):  # it was closed before
            os.dup2(nothing, each.fileno(), inheritable=False)
    os.close(nothing)


def kill_this_process_after(seconds: float) -> None:
    """Let the system end this process, also if Python cannot; nothing if SIGALRM is in use.

    On Windows there is no such signal.
    """
    if sys.platform != "win32" and signal.getsignal(signal.SIGALRM) is signal.SIG_DFL:
        signal.setitimer(signal.ITIMER_REAL, seconds)
