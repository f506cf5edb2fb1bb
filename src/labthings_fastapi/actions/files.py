"""Files that a run leaves behind, in a folder of its own."""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from pathlib import Path

from labthings_fastapi.problems import well_formed


class InvocationFiles:
    """A run's folder: made on first use, deleted with the run; any thread may use it."""

    def __init__(self) -> None:
        """Make nothing yet: few runs leave files."""
        self._lock = threading.Lock()
        self._directory: Path | None = None

    @property
    def directory(self) -> Path:
        """The folder, which exists from the first use of this attribute on."""
        with self._lock:
            if self._directory is None:
                made = tempfile.mkdtemp(prefix="labthings-run-")
                weakref.finalize(self, shutil.rmtree, made, ignore_errors=True)
                self._directory = Path(made)
            return self._directory

    @property
    def used(self) -> bool:
        """Whether the folder was made."""
        return self._directory is not None

    def names(self) -> list[str]:
        """Return the names of the files directly in the folder, sorted."""
        with self._lock:
            found = self._directory
        if found is None:
            return []
        try:
            # A name that is no Unicode text has no place in a URL.
            return sorted(
                entry.name
                for entry in found.iterdir()
                if entry.is_file() and well_formed(entry.name) == entry.name
            )
        except FileNotFoundError:
            return []  # the action has tidied up after itself

    def find(self, filename: str) -> Path | None:
        """Return the file of that name, or None; names that lead out of the folder find nothing."""
        return self.directory / filename if filename in self.names() else None
