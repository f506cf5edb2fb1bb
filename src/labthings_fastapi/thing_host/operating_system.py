"""What differs between operating systems: files and their limits. Nothing here knows of Things."""

from __future__ import annotations

import contextlib
import glob
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

LEFTOVER_SECONDS = 60.0


def write_durably(path: Path, content: bytes, *, private: bool = False) -> None:
    """Replace a file as a whole: afterwards there is the new content or, on any failure, the old.

    Written beside the target, flushed to the disk, then renamed over it; the folder is flushed
    too, or a power cut could undo the rename. A private file can at no time be read by others
    than its owner (mode 0600); on Windows the folder decides who can.

    Raises:
        OSError: nothing was changed.
    """
    path = path.resolve()  # a link to the file stays one
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files that only their owner can read; keep what the old file had.
        if not private:
            Path(name).chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
    # The new content is in place. A folder that cannot be flushed, as on some network shares, may
    # lose it in a power cut; to call that a failure would be to say that the old content stays.
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
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        with contextlib.suppress(OSError):
            lock_descriptor(handle)
        yield
    finally:
        os.close(handle)


def remove_leftovers(path: Path) -> None:
    """Remove what writers of this file left beside it when they were killed.

    Only after a minute: another process may just be writing.
    """
    path = path.resolve()
    with contextlib.suppress(OSError):
        for leftover in path.parent.glob(f".{glob.escape(path.name)}-*.tmp"):
            if time.time() - leftover.stat().st_mtime > LEFTOVER_SECONDS:
                leftover.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk; Windows does that by itself and cannot be asked."""
    if sys.platform != "win32":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def set_aside(path: Path, label: str) -> Path:
    """Rename a file to a name beside it that is free, and return that name."""
    number = 0
    while True:
        aside = path.with_name(f"{path.name}.{label}{f'-{number}' if number else ''}")
        if not aside.exists():
            break
        number += 1
    path.rename(aside)
    return aside


def open_to_others(path: Path) -> bool:
    """Tell whether other users may read a file by its mode; Windows has none, so there never."""
    of_others = 0
    if sys.platform != "win32":
        of_others = path.stat().st_mode & 0o077
    return bool(of_others)


def open_files_limit() -> int | None:
    """Return how many files, sockets among them, this process may have open; None if unlimited.

    Windows has no such limit on sockets.
    """
    allowed: int | None = None
    if sys.platform != "win32":
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        allowed = soft if soft != resource.RLIM_INFINITY else None
    return allowed
