"""The log of one run: the newest records, packed once the run has ended."""

from __future__ import annotations

import pickle
import threading
import zlib
from collections import deque
from typing import TYPE_CHECKING, Any

from .logs import all_plain, record_of, settled

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

_WORTH_COMPRESSING = 1024  # bytes


class RunLog:
    """The newest `length` records of one run, and how many older ones were dropped.

    Any thread may keep a record or read a copy.
    """

    __slots__ = ("_compressed", "_length", "_lock", "_packed", "_records", "count", "listener")

    def __init__(
        self, length: int = 1000, listener: Callable[[dict[str, Any]], None] | None = None
    ) -> None:
        """Tell `listener`, if there is one, of the members of each record kept."""
        self._lock = threading.Lock()
        self._length = length
        self._records: deque[dict[str, Any]] | None = None  # many runs log nothing
        self._packed: bytes | None = None
        self._compressed = False
        self.listener = listener
        self.count = 0

    def keep(self, record: logging.LogRecord) -> None:
        """Keep a record as text; the oldest goes when the log is full."""
        members = settled(record)
        with self._lock:
            if self._records is None:
                # After packing this is a thread of the run that has outlived it.
                self._records = deque(self._unpacked(), maxlen=self._length)
                self._packed = None
            self._records.append(members)
            self.count += 1
        if self.listener is not None:
            self.listener(members)

    @property
    def records(self) -> list[logging.LogRecord]:
        """A copy of what is kept, oldest first."""
        with self._lock:
            kept = list(self._records) if self._records is not None else self._unpacked()
        return [record_of(members) for members in kept]

    @property
    def dropped(self) -> int:
        """How many records were dropped to stay within the length."""
        return max(self.count - self._length, 0)

    def pack(self) -> None:
        """Keep the records in a fraction of the space; they can be read as before."""
        with self._lock:
            if self._records is None:
                return
            # Whatever a filter may have put in place of a record's own members.
            kept = [all_plain(members) for members in self._records]
            packed = pickle.dumps(kept, pickle.HIGHEST_PROTOCOL)
            # A line or two are hardly smaller for it, and the end of a run waits meanwhile.
            self._compressed = len(packed) > _WORTH_COMPRESSING
            self._packed = zlib.compress(packed, 1) if self._compressed else packed
            self._records = None

    def _unpacked(self) -> list[dict[str, Any]]:
        if self._packed is None:
            return []
        # These are our own bytes, which never leave the process.
        packed = zlib.decompress(self._packed) if self._compressed else self._packed
        kept: list[dict[str, Any]] = pickle.loads(packed)  # noqa: S301
        return kept
