"""Files that are there whole or not at all, and the deletion of large ones; for any thread."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from labthings_fastapi.own_log import own_logger
from labthings_fastapi.private_files import FILE_MODE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOGGER = own_logger("outputs")
PART: Final = ".part"
"""How the name of a file ends that is not written to its end."""


def write_whole(target: Path, write: Callable[[Path], object]) -> None:
    """Write a file that is there whole or not at all, also if the process is killed."""
    part = target.with_name(f"{target.name}.{uuid4().hex}{PART}")
    try:
        write(part)
        part.chmod(FILE_MODE)
        part.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def delete_in_thread(delete: Callable[[], None]) -> None:
    """Delete something in a thread of its own: large files take a while."""
    thread = threading.Thread(target=delete, name="labthings-deleting", daemon=True)
    try:
        thread.start()
    except (RuntimeError, MemoryError) as error:
        LOGGER.warning("Deleted files stay on the disk until the next are deleted: %s", error)
