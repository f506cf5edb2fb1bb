"""SHA-256 of files on the disk, each computed once."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from labthings_fastapi.own_log import own_logger

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

LOGGER = own_logger("outputs")
REMEMBERED: Final = 10_000


class Content(NamedTuple):
    """A file as it is at the moment: other bytes have another size, time or place."""

    path: Path
    size: int
    time: int
    """In nanoseconds since 1970."""
    inode: int

    @classmethod
    def of(cls, path: Path, facts: os.stat_result) -> Content:
        """Return what a file is now."""
        return cls(path, facts.st_size, facts.st_mtime_ns, facts.st_ino)


class Checksums:
    """The checksums of the files that were asked for last; any thread may use it.

    Files are read one after the other, in one thread, because a disk is not faster with two.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()  # guards what follows
        self._known: OrderedDict[Content, str | None] = OrderedDict()
        self._waiting: OrderedDict[Content, None] = OrderedDict()
        self._is_working = False

    def of(self, contents: Sequence[Content], seconds: float) -> list[str | None]:
        """Return the checksums, as in `sha256:9f86…`; None for what takes longer than `seconds`.

        What is missing is computed all the same, for the next who asks.
        """
        deadline = time.monotonic() + seconds
        with self._changed:
            for each in contents:
                if each not in self._known:
                    self._waiting.setdefault(each)
            self._start()
            while any(each in self._waiting for each in contents):
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    break
            return [self._known.get(each) for each in contents]

    def _start(self) -> None:
        if not self._waiting or self._is_working:
            return
        thread = threading.Thread(target=self._work, name="labthings-checksums", daemon=True)
        try:
            thread.start()
            self._is_working = True
        except (RuntimeError, MemoryError) as error:
            self._waiting.clear()
            LOGGER.warning("The checksums of files are not computed: %s", error)

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._is_working = False
                    return
                content = next(iter(self._waiting))
            found = _checksum(content)
            with self._changed:
                self._known[content] = found
                self._waiting.pop(content, None)
                while len(self._known) > REMEMBERED:
                    self._known.popitem(last=False)
                self._changed.notify_all()


def _checksum(content: Content) -> str | None:
    """Return the checksum; None if the file is another one now, or cannot be read."""
    try:
        with content.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
        if Content.of(content.path, content.path.stat()) != content:
            return None
    except OSError:
        return None
    return f"sha256:{digest.hexdigest()}"


checksums: Final = Checksums()
"""Those of all files of this process."""
