"""The files in a folder and in the folders in it, for clients; nothing outside is shown.

Names have slashes between folders, on every system: `scan.zarr/0/0`. Any thread may use these
functions, which wait for the disk.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from labthings_fastapi.problems import well_formed

if TYPE_CHECKING:
    from collections.abc import Iterator

_FORBIDDEN: Final = frozenset({"", ".", ".."})


class FolderFile(NamedTuple):
    """A file, and its name in the folder."""

    name: str
    path: Path
    facts: os.stat_result


def files_in(folder: Path) -> list[FolderFile]:
    """Return all regular files, in the order of their names; links that lead out are left out."""
    return sorted(_walk(folder, _real(folder)), key=lambda each: each.name)


def _walk(folder: Path, real: Path) -> Iterator[FolderFile]:
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            full = path.relative_to(folder).as_posix()
            # A name that is no Unicode text has no place in a URL.
            facts = _facts(path, real) if well_formed(full) == full else None
            if facts is not None:
                yield FolderFile(full, path, facts)


def find_in(folder: Path, name: str) -> FolderFile | None:
    """Return the file of that name; None if there is none, or if the name leads out."""
    parts = name.split("/")
    if any(part in _FORBIDDEN or "\0" in part or "\\" in part for part in parts):
        return None
    if any(Path(part).drive or Path(part).is_absolute() for part in parts):
        return None
    path = folder.joinpath(*parts)
    facts = _facts(path, _real(folder))
    return None if facts is None else FolderFile(name, path, facts)


def _real(folder: Path) -> Path:
    return folder.resolve()


def _facts(path: Path, real: Path) -> os.stat_result | None:
    """Return the facts of a regular file in a folder; None for everything else."""
    try:
        facts = path.stat()
        inside = path.resolve().is_relative_to(real)
    except (OSError, ValueError, RuntimeError):  # gone, no name for a file, or links in a circle
        return None
    # To open a pipe would wait for somebody who writes.
    return facts if inside and stat.S_ISREG(facts.st_mode) else None
