"""The log of one invocation: its newest lines, as text and numbers.

Thousands of lines are kept, so each is a tuple: a `LogRecord` takes three times the memory.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from operator import itemgetter
from os.path import basename
from types import SimpleNamespace
from typing import Any, TypeAlias

from pydantic_core import to_json

from labthings_fastapi.problems import well_formed

from .logs import KEPT, exception_name, line_members, message_of, traceback_of

Line: TypeAlias = tuple[Any, ...]
"""The message, the other members of an unusual record by name, and the values of `_MEMBERS`."""
LONGEST_LINE = 16 * 1024
_LogRecord = logging.LogRecord
_ALL = frozenset(vars(_LogRecord("", 0, "", 0, "", (), None)))
# A new record computes these again; every line is of this process.
_DERIVED = {"filename", "module", "msecs", "relativeCreated", "process", "processName"}
_DROPPED = {"msg", "args", "exc_info", "exc_text"}
_MEMBERS = tuple(sorted(_ALL - _DERIVED - _DROPPED))
_values_of = itemgetter(*_MEMBERS)
_CREATED = 2 + _MEMBERS.index("created")
_NO_EXCEPTION = {"exc_info": None, "exc_text": None}
_USUAL = _ALL | {KEPT}
_PLAIN_TYPES = frozenset({str, int, float, bool, type(None)})
# By the type itself: `isinstance` and the methods of a user's class may run any code.
_PLAIN_KINDS: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
)


def line_of(record: logging.LogRecord) -> Line:
    """Return what is kept of a record; objects of user classes are replaced by text.

    Arguments are formatted in the thread that logs: later they may have changed, and a traceback
    keeps local variables alive.
    """
    members = record.__dict__
    text, arguments = members["msg"], members["args"]
    if type(text) is not str or type(record) is not _LogRecord:
        text = message_of(record)
    elif arguments:
        try:
            text = text % arguments
        except BaseException:  # noqa: BLE001 - a hostile __str__ may raise anything
            text = message_of(record)
    if type(text) is not str or len(text) > LONGEST_LINE or not text.isascii():
        text = _clipped(well_formed(text))
    usual = members.keys() == _USUAL and not (members["exc_info"] or members["exc_text"])
    try:
        values = _values_of(members)
    except KeyError:  # a filter removed a member
        values = tuple(map(members.get, _MEMBERS))
    if not _PLAIN_TYPES.issuperset(map(type, values)):
        values = tuple(map(plain, values))
    if usual:
        return text, None, *values
    return text, _others(record), *values


def _others(record: logging.LogRecord) -> dict[str, Any]:
    others = {
        name: plain(value)
        for name, value in record.__dict__.items()
        if name not in _ALL and name != KEPT
    }
    traceback = traceback_of(record)
    if traceback is not None:
        others["exc_text"] = _clipped(traceback)
    if record.exc_info:
        others["exception_type"] = exception_name(record)
    return others


def _clipped(text: str) -> str:
    if len(text) <= LONGEST_LINE:
        return text
    return f"{text[:LONGEST_LINE]}… ({len(text) - LONGEST_LINE} more characters were dropped)"


def plain(value: Any) -> Any:
    if type(value) in _PLAIN_TYPES:
        return value
    for kind, as_kind in _PLAIN_KINDS:
        if issubclass(type(value), kind):
            return as_kind(value)
    return f"<{type(value).__name__}>"


def record_of(line: Line) -> logging.LogRecord:
    """Return a new record of a line."""
    text, others, *values = line
    members = dict(zip(_MEMBERS, values, strict=True))
    path = members["pathname"]
    record = _LogRecord("", 0, path if isinstance(path, str) else "", 0, text, None, None)
    created = members["created"]
    if isinstance(created, int | float):
        record.relativeCreated -= (record.created - created) * 1000
        record.msecs = created % 1 * 1000
    record.__dict__.update(members)
    record.__dict__[KEPT] = True
    if others:
        record.__dict__.update(others)
    return record


def _members_of(line: Line) -> dict[str, Any]:
    text, others, *values = line
    # A `LogRecord` would be the half of the work.
    record: Any = SimpleNamespace(**dict(zip(_MEMBERS, values, strict=True)), **_NO_EXCEPTION)
    record.filename = basename(record.pathname) if isinstance(record.pathname, str) else ""
    if others:
        record.__dict__.update(others)
    return line_members(record, text)


def members_of(line: Line) -> dict[str, Any]:
    """Return a line as the journal keeps it: JSON values only."""
    members = _members_of(line)
    members["created"] = members["created"].isoformat().replace("+00:00", "Z")
    return members


class InvocationLog:
    """The newest `length` lines of one invocation, and how many older ones were dropped.

    Any thread may use it. `publish` is called under the lock and must not block; `deliver` without
    it. The lock is re-entrant: a finaliser may log while this thread holds it.
    """

    __slots__ = ("_count", "_deliver", "_lines", "_lock", "_publish")

    def __init__(
        self,
        length: int = 1000,
        lock: threading.RLock | None = None,
        publish: Callable[[Line], None] | None = None,
        deliver: Callable[[], None] | None = None,
    ) -> None:
        self._lock = threading.RLock() if lock is None else lock
        self._publish = publish
        self._deliver = deliver
        self._lines: deque[Line] = deque(maxlen=length)
        self._count = 0

    def keep(self, record: logging.LogRecord) -> None:
        line = line_of(record)
        with self._lock:
            self._lines.append(line)
            self._count += 1
            if self._publish is not None:
                self._publish(line)
        if self._deliver is not None:
            self._deliver()

    def detach(self) -> None:
        self._publish = self._deliver = None

    def lines(self) -> list[Line]:
        with self._lock:
            return list(self._lines)

    def since(self, number: int) -> tuple[list[Line], int]:
        """Return the lines kept after the first `number` ones, and how many there were in all."""
        with self._lock:
            count, kept = self._count, self._lines
            new = islice(reversed(kept), min(count - number, len(kept)))
            return list(new)[::-1], count

    def size(self) -> int:
        """Return the number of characters of the lines kept."""
        with self._lock:
            return sum(len(line[0]) for line in self._lines)

    @property
    def length(self) -> int:
        """How many lines are kept."""
        return self._lines.maxlen or 0

    def members(self) -> tuple[dict[str, Any], ...]:
        return tuple(map(members_of, self.lines()))

    @property
    def records(self) -> list[logging.LogRecord]:
        return list(map(record_of, self.lines()))

    @property
    def dropped(self) -> int:
        with self._lock:
            return self._count - len(self._lines)


def line_time(line: Line) -> datetime | None:
    try:
        return datetime.fromtimestamp(line[_CREATED], UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def line_payload(line: Line) -> Callable[[], bytes]:
    return lambda: to_json(_members_of(line))
