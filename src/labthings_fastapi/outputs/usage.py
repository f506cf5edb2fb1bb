"""How many bytes there are on the disk, by owner: an invocation or an upload."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path


class Usage:
    """The sizes that are known; any thread may use it, and nothing here waits for a disk.

    What an action itself writes is measured while its invocation goes on and once after its end.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards what follows
        self._sizes: dict[str, int] = {}
        self._total = 0
        self._open: set[str] = set()
        self._changed: set[str] = set()

    @property
    def total(self) -> int:
        """The bytes of all owners."""
        with self._lock:
            return self._total

    def sizes(self) -> dict[str, int]:
        """Return the bytes by owner."""
        with self._lock:
            return dict(self._sizes)

    def add(self, owner: str, size: int) -> int:
        """Count bytes that were written; return the new total."""
        with self._lock:
            self._sizes[owner] = self._sizes.get(owner, 0) + size
            self._total += size
            return self._total

    def measured(self, owner: str, size: int) -> None:
        """Count what an owner has been found to have."""
        with self._lock:
            self._total += size - self._sizes.get(owner, 0)
            self._sizes[owner] = size

    def forget(self, owner: str) -> None:
        """Count nothing for an owner any more."""
        with self._lock:
            self._total -= self._sizes.pop(owner, 0)
            self._open.discard(owner)
            self._changed.discard(owner)

    def begin(self, owner: str) -> None:
        """Measure an owner again and again, until `end`."""
        with self._lock:
            self._open.add(owner)

    def end(self, owner: str) -> None:
        """Measure an owner once more."""
        with self._lock:
            self._open.discard(owner)
            self._changed.add(owner)

    def is_open(self, owner: str) -> bool:
        """Return whether it still grows."""
        with self._lock:
            return owner in self._open

    def take_changed(self) -> set[str]:
        """Return the owners that are to be measured now."""
        with self._lock:
            changed, self._changed = self._changed, set()
            return changed | self._open


def size_of(folder: Path) -> int:
    """Return the bytes in a folder; a file with two names in it counts once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                facts = os.lstat(os.path.join(place, name))
                if facts.st_nlink > 1:
                    if (facts.st_dev, facts.st_ino) in seen:
                        continue
                    seen.add((facts.st_dev, facts.st_ino))
                total += facts.st_size
    return total
