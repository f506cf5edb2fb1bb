"""A line of a run's log, as it is kept: what its record said when it was logged.

Every log call of a run passes through here, and thousands of lines are kept: a line is a tuple, of
which a dictionary's worth of names is left out.
"""

from __future__ import annotations

import logging
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from labthings_fastapi.problems import well_formed

from .logs import KEPT, exception_name, message_of, traceback_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from labthings_fastapi.messages.message import Message

Line: TypeAlias = "tuple[int, LineMessages | None, str, Others]"
"""About how many bytes of JSON it takes, who writes it for subscribers, its text, and the rest:
a draft of the broker's, so that one object serves the run's log and the replay."""
Others: TypeAlias = tuple[Any, ...] | dict[str, Any]
"""What a record has beside its text: the values of `_OTHERS` and, where there is more, by name."""


class LineMessages(Protocol):
    """Tells subscribers of the lines of one run: the author of these lines, as drafts."""

    @property
    def publish(self) -> Callable[[Line], None]:
        """Tell of a line."""

    def write(self, text: str, others: Others) -> Message:
        """Return the message that tells of a line."""


LONGEST_LINE = 16 * 1024
_FRAME = 200
"""About how many bytes of JSON a line takes beside its text."""
_LogRecord = logging.LogRecord
# Of a record of Python's own, whatever class the application has records made of.
_NAMES = tuple(vars(logging.LogRecord("", 0, "", 0, "", (), None)))
_SETTLED = {"args": None, "exc_info": None, "exc_text": None}
_OTHERS = tuple(name for name in _NAMES if name not in {"msg", *_SETTLED})
_others = itemgetter(*_OTHERS)
_USUAL = len(_NAMES) + 1
"""As many members has a record on its way to a run: those that all have, and the mark."""


def line_of(record: logging.LogRecord, author: LineMessages | None) -> Line:
    """Return what is kept of a record.

    Its arguments are formatted here, in the thread that logs: later they may have changed, their
    `__str__` may be slow or hostile, and a traceback keeps local variables alive. What a user
    added beside them is text from here on, too. A record's own members are text and numbers by
    themselves; what a filter has put in their place goes when the log is packed.
    """
    # `getMessage` and `message_of` do with more calls what is done here.
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
    failed = members["exc_info"] or members["exc_text"]
    if len(members) == _USUAL and not failed and KEPT in members:
        try:
            return _FRAME + len(text), author, text, _others(members)
        except KeyError:
            pass  # a filter has taken a member away, and put in another
    others = _by_name(record)
    return _FRAME + len(text) + len(others["exc_text"] or ""), author, text, others


def _by_name(record: logging.LogRecord) -> dict[str, Any]:
    """Return what a record that has more than others has beside its text."""
    members = {**record.__dict__, **_SETTLED}
    del members["msg"]
    members.pop(KEPT, None)
    if record.exc_info:
        members["exception_type"] = exception_name(record)
    traceback = traceback_of(record)
    if traceback is not None:
        members["exc_text"] = _clipped(traceback)
    return {name: plain(value) for name, value in members.items()}


def _clipped(text: str) -> str:
    if len(text) <= LONGEST_LINE:
        return text
    return f"{text[:LONGEST_LINE]}… ({len(text) - LONGEST_LINE} more characters were dropped)"


def plain(value: Any) -> Any:
    """Return text, a number or nothing as it is, of Python's own types; name others by theirs."""
    if type(value) in _PLAIN_TYPES:
        return value
    for kind, as_kind in _KINDS:
        if issubclass(type(value), kind):  # `isinstance` would ask the value itself
            return as_kind(value)
    return f"<{type(value).__name__}>"


_PLAIN_TYPES = frozenset({str, int, float, bool, type(None)})
# Of the types themselves: a class of a user's may do anything in these.
_KINDS: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
)


def all_plain(others: Others) -> Others:
    """Return the same without objects of users, which a filter may have put in."""
    if isinstance(others, dict) or _PLAIN_TYPES.issuperset(map(type, others)):
        return others
    return tuple(map(plain, others))


def record_of(text: str, others: Others) -> logging.LogRecord:
    """Return a new record for a line that was kept, of the class that formats as all do."""
    record = logging.LogRecord.__new__(logging.LogRecord)
    if isinstance(others, tuple):
        others = dict(zip(_OTHERS, others, strict=True), **_SETTLED)
    record.__dict__ = {"msg": text, KEPT: True, **others}
    return record
