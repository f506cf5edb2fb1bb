"""Folders and files that only the user of the server can use, whatever the umask is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600


def make_private_folder(folder: Path) -> None:
    """Make a folder that only its owner can use (mode 0700), and those above it; idempotent.

    A folder that exists keeps its mode: somebody may have opened it to others on purpose.

    Raises:
        OSError: the folder cannot be made.
    """
    missing = []
    while not folder.is_dir() and folder != folder.parent:
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        try:
            each.mkdir(FOLDER_MODE)
        except FileExistsError:
            if not each.is_dir():
                raise
        else:
            each.chmod(FOLDER_MODE)  # whatever the umask is


def open_private_file(path: Path, flags: int) -> int:
    """Open a file; one that does not exist is made for its owner only (mode 0600).

    `flags` are those of `os.open`, without those that create. A file that exists keeps its mode.

    Raises:
        OSError: the file cannot be opened.
    """
    try:
        handle = os.open(path, flags | os.O_CREAT | os.O_EXCL, FILE_MODE)
    except FileExistsError:
        return os.open(path, flags | os.O_CREAT, FILE_MODE)
    path.chmod(FILE_MODE)  # the umask may have taken something away
    return handle
