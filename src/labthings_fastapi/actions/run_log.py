"""The log of one run: the newest records, packed once the run has ended."""

from __future__ import annotations

import logging
import pickle
import threading
import zlib
from collections import deque
from typing import TYPE_CHECKING, Any

from .logs import settled

if TYPE_CHECKING:
    from collections.abc import Callable


def _is_plain(value: Any) -> bool:
    return isinstance(value, (str, int, float, bool, type(None))) or value == ()


class RunLog:
    """The newest `length` records of one run, and how many older ones were dropped.

    Any thread may keep a record or read a copy.
    """

    __slots__ = ("_length", "_lock", "_packed", "_records", "count", "listener")

    def __init__(
        self, length: int = 1000, listener: Callable[[logging.LogRecord], None] | None = None
    ) -> None:
        """Tell `listener`, if there is one, of each record kept."""
        self._lock = threading.Lock()
        self._length = length
        self._records: deque[logging.LogRecord] | None = None  # many runs log nothing
        self._packed: bytes | None = None
        self.listener = listener
        self.count = 0

    def keep(self, record: logging.LogRecord) -> None:
        """Keep a record as text; the oldest goes when the log is full."""
        record = settled(record)
        with self._lock:
            if self._records is None:
                # After packing this is a thread of the run that has outlived it.
                self._records = deque(self._unpacked(), maxlen=self._length)
                self._packed = None
            self._records.append(record)
            self.count += 1
        if self.listener is not None:
            self.listener(record)

    @property
    def records(self) -> list[logging.LogRecord]:
        """A copy of what is kept, oldest first."""
        with self._lock:
            return list(self._records) if self._records is not None else self._unpacked()

    @property
    def dropped(self) -> int:
        """How many records were dropped to stay within the length."""
        return max(self.count - self._length, 0)

    def pack(self) -> None:
        """Keep the records in a fraction of the space; they can be read as before."""
        with self._lock:
            if self._records is None:
                return
            # Records hold text and numbers; what a user added beside them goes as text too.
            plain = [
                {
                    name: value if _is_plain(value) else f"<{type(value).__name__}>"
                    for name, value in vars(record).items()
                }
                for record in self._records
            ]
            self._packed = zlib.compress(pickle.dumps(plain, pickle.HIGHEST_PROTOCOL), 1)
            self._records = None

    def _unpacked(self) -> list[logging.LogRecord]:
        if self._packed is None:
            return []
        # These are our own bytes, which never leave the process.
        plain: list[dict[str, Any]] = pickle.loads(zlib.decompress(self._packed))  # noqa: S301
        return [logging.makeLogRecord(members) for members in plain]
