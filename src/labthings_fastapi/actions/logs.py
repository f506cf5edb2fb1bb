"""Log records that belong to a run.

One handler and one context variable do it: a logger made for each run would never be freed.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from labthings_fastapi.exceptions import describe_exception
from labthings_fastapi.problems import well_formed

from .context import RUN, current_run

if TYPE_CHECKING:
    from collections.abc import MutableSequence

THINGS_LOGGER = "labthings_fastapi.things"
INVOCATIONS_LOGGER = "labthings_fastapi.invocations"
LONGEST_LINE = 16 * 1024
_KEPT = "labthings_kept"


def get_thing_logger(name: str) -> logging.Logger:
    """Return the logger of the Thing of that name."""
    return logging.getLogger(f"{THINGS_LOGGER}.{name}")


def inject_invocation_id(record: logging.LogRecord) -> bool:
    """Add `invocation_id` to a record, for formats that show it; None outside a run.

    A filter for `logging.Handler.addFilter`; it lets every record through.
    """
    run = current_run()
    record.invocation_id = run.id if run is not None else None
    return True


class DequeLogHandler(logging.Handler):
    """Appends each record to a sequence that the caller owns, bounds and keeps thread-safe."""

    def __init__(self, dest: MutableSequence[logging.LogRecord], level: int = logging.INFO) -> None:
        """Write to `dest`."""
        super().__init__(level)
        self.dest = dest

    def emit(self, record: logging.LogRecord) -> None:
        """Append the record."""
        self.dest.append(record)


def message_of(record: logging.LogRecord) -> str:
    """Return a record's text; a record that cannot be formatted says so instead of raising."""
    try:
        return well_formed(str(record.getMessage()))
    except BaseException as error:  # noqa: BLE001 - a hostile __str__ may raise anything
        return well_formed(
            f"Error formatting a log record ({describe_exception(error)}): {_shown(record.msg)} "
            f"with arguments {_shown(record.args)} at {record.filename}:{record.lineno}"
        )


def _shown(value: object) -> str:
    try:
        return repr(value)
    except BaseException:  # noqa: BLE001 - see above
        return f"<a {type(value).__name__} that cannot be shown>"


def traceback_of(record: logging.LogRecord) -> str | None:
    """Return the text of a record's traceback, or None if it has none."""
    if record.exc_text:
        return well_formed(record.exc_text)
    if not record.exc_info:
        return None
    try:
        return well_formed(_formatter.formatException(record.exc_info))
    except BaseException as error:  # noqa: BLE001 - the exception's own text may raise
        return f"The traceback could not be formatted: {type(error).__name__}"


def exception_name(record: logging.LogRecord) -> str | None:
    """Return the name of the class of the exception that a record tells of, or None."""
    if isinstance(record.exc_info, tuple) and record.exc_info[0]:
        return record.exc_info[0].__name__
    kept = getattr(record, "exception_type", None)
    return kept if isinstance(kept, str) else None


def line_members(record: logging.LogRecord) -> dict[str, Any]:
    """Return a record as clients see it: the members of a `LogRecordModel`.

    A filter may have put anything in the place of a record's own. It must not end the stream of
    somebody who reads the log, nor cost the run its record.
    """
    return {
        "message": message_of(record),
        "levelname": _text(record.levelname),
        "levelno": _number(record.levelno),
        "lineno": _number(record.lineno),
        "filename": _text(record.filename),
        "created": _moment(record.created),
        "exception_type": exception_name(record),
        "traceback": traceback_of(record),
    }


def _text(value: object) -> str:
    return well_formed(value) if isinstance(value, str) else f"<{type(value).__name__}>"


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _moment(seconds: Any) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return datetime.now(UTC)


def _clipped(text: str) -> str:
    if len(text) <= LONGEST_LINE:
        return text
    return f"{text[:LONGEST_LINE]}… ({len(text) - LONGEST_LINE} more characters were dropped)"


_formatter = logging.Formatter()


_LogRecord = logging.LogRecord
# As many members has a record on its way to a run: those that all have, and the mark.
_USUAL = len(logging.makeLogRecord({}).__dict__) + 1


def settled(record: logging.LogRecord) -> dict[str, Any]:
    """Return the members of a record as text and numbers, to be kept and never changed.

    Its arguments are formatted here, in the thread that logs: later they may have changed, their
    `__str__` may be slow or hostile, and a traceback keeps local variables alive. What a user
    added beside them is text from here on, too.
    """
    # This is on the path of every log call. A copy of the members costs a tenth of what a copy of
    # the record does; `getMessage` and `message_of` do with more calls what is done here.
    members = record.__dict__.copy()
    text, arguments = members["msg"], members["args"]
    if type(text) is not str or type(record) is not _LogRecord:
        text = message_of(record)
    elif arguments:
        try:
            text = text % arguments
        except BaseException:  # noqa: BLE001 - a hostile __str__ may raise anything
            text = message_of(record)
    if len(text) > LONGEST_LINE or not text.isascii():
        text = _clipped(well_formed(text))
    members["msg"] = text
    members["args"] = None
    if members["exc_info"]:
        members["exception_type"] = exception_name(record)
        members["exc_text"] = _clipped(traceback_of(record) or "")
        members["exc_info"] = None
    if len(members) != _USUAL or _KEPT not in members:
        return all_plain(members)
    return members


_PLAIN_TYPES = frozenset({str, int, float, bool, type(None)})


def all_plain(members: dict[str, Any]) -> dict[str, Any]:
    """Return the members of a record without objects of users."""
    if _PLAIN_TYPES.issuperset(map(type, members.values())):
        return members
    return {name: plain(value) for name, value in members.items()}


def plain(value: Any) -> Any:
    """Return a value that is text, a number or nothing; any other is named by its type."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    return f"<{type(value).__name__}>"


def record_of(members: dict[str, Any]) -> logging.LogRecord:
    """Return a new record with these members, of the class that formats as all do."""
    record = logging.LogRecord.__new__(logging.LogRecord)
    record.__dict__ = members.copy()
    return record


class RunLogHandler(logging.Handler):
    """Gives each record to the run in which it was logged; one instance serves all runs."""

    def handle(self, record: logging.LogRecord) -> bool | logging.LogRecord:  # type: ignore[override]
        """Keep the record with its run, once, however many loggers lead here.

        Without the handler's lock: a run's log has its own, and runs must not wait for others.
        """
        if self.filters:
            kept: Any = self.filter(record)
            if not kept:
                return False
            if isinstance(kept, logging.LogRecord):  # from Python 3.12 on, another one
                record = kept
        # A record may name its run (the injected logger does) or be logged inside one. The name is
        # taken off: kept records must not keep their run alive.
        members = record.__dict__
        run = members.pop("labthings_run", None) or RUN.get()
        last = logging.lastResort
        if last is not None and record.levelno >= last.level:
            self._show_if_nobody_else_does(record, last)
        if run is None or _KEPT in members or (log := run.log) is None:
            return True
        members[_KEPT] = True
        try:
            log.keep(record)
        except Exception:  # noqa: BLE001 - as in every handler: logging never fails the code
            self.handleError(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Do the same: whoever calls this passes over the filters, of which we have none."""
        self.handle(record)

    def _show_if_nobody_else_does(self, record: logging.LogRecord, last: logging.Handler) -> None:
        """Print a warning that no other handler sees: as Python does where there is no handler."""
        logger: logging.Logger | None = logging.getLogger(record.name)
        while logger is not None:
            if any(handler is not self for handler in logger.handlers):
                return
            logger = logger.parent if logger.propagate else None
        last.handle(record)


_handler = RunLogHandler(logging.INFO)


def capture(logger_name: str = "labthings_fastapi") -> None:
    """Let records of this logger, and of those below it, belong to the runs that log them.

    Its level is opened to INFO if nobody has set one. Calling it twice changes nothing.
    """
    logger = logging.getLogger(logger_name)
    if _handler not in logger.handlers:
        logger.addHandler(_handler)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
