"""The log of one run: the newest records, packed once the run has ended."""

from __future__ import annotations

import pickle
import threading
import zlib
from collections import deque
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING

from .log_lines import all_plain, line_of, record_of

if TYPE_CHECKING:
    import logging
    from collections.abc import Sequence

    from .log_lines import Line, LineMessages, Others

_WORTH_COMPRESSING = 1024  # bytes


class InvocationLog:
    """The newest `length` records of one run, and how many older ones were dropped.

    Any thread may keep a record or read a copy.
    """

    __slots__ = (
        "_compressed",
        "_counter",
        "_length",
        "_lines",
        "_lock",
        "_looks",
        "_packed",
        "news",
    )

    def __init__(self, length: int = 1000, news: LineMessages | None = None) -> None:
        """Tell subscribers of each line through `news`, if there is one."""
        self._length = length
        self.news = news
        # Guards what follows, except that lines are added and counted without it. It is re-entrant
        # because the garbage collector may run a finaliser that logs while we hold it.
        self._lock = threading.RLock()
        self._lines: deque[Line] | None = None  # many runs log nothing
        self._counter: count[int] | None = None  # there is one as soon as there are lines
        self._looks = 0  # how many of its numbers were not for a line
        self._packed: bytes | None = None
        self._compressed = False

    def keep(self, record: logging.LogRecord) -> None:
        """Keep a record as text; the oldest goes when the log is full."""
        # On the path of every log call: a lock would cost a fifth of what is done here.
        news, lines = self.news, self._lines
        if lines is None:
            lines = self._open()
        line = line_of(record, news)
        lines.append(line)
        next(self._counter)  # type: ignore[arg-type]
        if self._lines is not lines:
            self._take_over(lines)
        if news is not None:
            news.publish(line)

    def _open(self) -> deque[Line]:
        with self._lock:
            return self._opened()

    def _opened(self, late: Sequence[Line] = ()) -> deque[Line]:
        """Return where lines are added; after packing, for a thread that has outlived its run.

        `late` lines are added before anybody else can add one: who wrote them may have gone on.
        """
        lines = self._lines
        if lines is None:
            counter = count()
            opened: deque[Line] = deque(
                ((0, None, *each) for each in self._unpacked()), self._length
            )
            opened.extend(late)
            lines = self._lines
            if lines is None:  # otherwise a finaliser has logged meanwhile
                self._counter = self._counter or counter
                lines = opened
                self._lines, self._packed = lines, None
                return lines
        lines.extend(late)
        return lines

    def _take_over(self, lines: deque[Line]) -> None:
        """Keep what was added to `lines` while they were packed, or after that."""
        with self._lock:
            late = _drained(lines)
            if late:
                self._opened(late)

    @property
    def records(self) -> list[logging.LogRecord]:
        """A copy of what is kept, oldest first."""
        with self._lock:
            kept = self._unpacked() if self._lines is None else _copied(self._lines)
        return [record_of(*each[-2:]) for each in kept]

    @property
    def dropped(self) -> int:
        """How many records were dropped to stay within the length."""
        with self._lock:
            if self._counter is None:
                return 0
            # To look at a counter is to count.
            kept = next(self._counter) - self._looks
            self._looks += 1
        return max(kept - self._length, 0)

    def pack(self) -> None:
        """Keep the records in a fraction of the space; they can be read as before."""
        with self._lock:
            lines = self._lines
            if lines is None:
                return
            taken = _drained(lines)
            try:
                kept = [(text, all_plain(others)) for _, _, text, others in taken]
                packed = pickle.dumps(kept, pickle.HIGHEST_PROTOCOL)
                # A line or two are hardly smaller for it, and the end of a run waits meanwhile.
                compressed = len(packed) > _WORTH_COMPRESSING
                packed = zlib.compress(packed, 1) if compressed else packed
            except BaseException:
                lines.extendleft(reversed(taken))
                raise
            self._packed, self._compressed = packed, compressed
            # Who adds a line from here on sees that these are the lines no more.
            self._lines = None
            self._take_over(lines)

    def _unpacked(self) -> list[tuple[str, Others]]:
        if self._packed is None:
            return []
        # These are our own bytes, which never leave the process.
        packed = zlib.decompress(self._packed) if self._compressed else self._packed
        kept: list[tuple[str, Others]] = pickle.loads(packed)  # noqa: S301
        return kept


def _drained(lines: deque[Line]) -> list[Line]:
    """Take all lines away, those that are added meanwhile included."""
    taken: list[Line] = []
    with suppress(IndexError):
        while True:
            taken.append(lines.popleft())
    return taken


def _copied(lines: deque[Line]) -> list[Line]:
    """Return the lines, whatever is added meanwhile."""
    while True:
        with suppress(RuntimeError):  # it has changed under our hands
            return list(lines)
