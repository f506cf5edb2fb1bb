"""Log records that belong to a run, by one handler: a logger for each run would never be freed."""

from __future__ import annotations

import logging
from collections.abc import MutableSequence
from datetime import UTC, datetime
from typing import Any

from labthings_fastapi.exceptions import describe_exception
from labthings_fastapi.own_log import OwnLogger
from labthings_fastapi.problems import well_formed

from .context import CURRENT_INVOCATION, INVOCATION_MEMBER, current_invocation

THINGS_LOGGER = "labthings_fastapi.things"
INVOCATIONS_LOGGER = "labthings_fastapi.invocations"
KEPT = "labthings_kept"  # the mark of a record that a run has kept


def get_thing_logger(name: str) -> logging.Logger:
    """Return the logger of the Thing of that name."""
    return logging.getLogger(f"{THINGS_LOGGER}.{name}")


def thing_log(name: str) -> OwnLogger:
    """Return the logger of a Thing for the framework: it never raises."""
    return OwnLogger(get_thing_logger(name))


def inject_invocation_id(record: logging.LogRecord) -> bool:
    """Add `invocation_id` to a record, for formats that show it; None outside a run.

    A filter for `logging.Handler.addFilter`; it lets every record through.
    """
    invocation = current_invocation()
    record.invocation_id = invocation.id if invocation is not None else None
    return True


class DequeLogHandler(logging.Handler):
    """Appends each record to a sequence that the caller owns, bounds and keeps thread-safe."""

    def __init__(self, dest: MutableSequence[logging.LogRecord], level: int = logging.INFO) -> None:
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
        return _text(record.exc_text)
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


def line_members(record: logging.LogRecord, message: str | None = None) -> dict[str, Any]:
    """Return the members of a `LogRecordModel`, whatever a filter has put in the record.

    `message` is its text if that was formatted already.
    """
    return {
        "message": message_of(record) if message is None else message,
        "levelname": _text(record.levelname),
        "levelno": _number(record.levelno),
        "lineno": _number(record.lineno),
        "filename": _text(record.filename),
        "created": _moment(record.created),
        "exception_type": exception_name(record),
        "traceback": traceback_of(record),
    }


def _text(value: Any) -> str:
    return well_formed(value) if issubclass(type(value), str) else f"<{type(value).__name__}>"


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _moment(seconds: Any) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return datetime.now(UTC)


_formatter = logging.Formatter()


class InvocationLogHandler(logging.Handler):
    """Gives each record to the run in which it was logged; one instance serves all runs."""

    def handle(self, record: logging.LogRecord) -> bool | logging.LogRecord:  # type: ignore[override]
        """Keep the record with its run, once, without the handler's lock: runs must not wait."""
        if self.filters:
            kept: Any = self.filter(record)
            if not kept:
                return False
            if isinstance(kept, logging.LogRecord):  # from Python 3.12 on, another one
                record = kept
        # A record may name its run: the injected logger does. Kept ones must not keep it alive.
        members = record.__dict__
        invocation = members.pop(INVOCATION_MEMBER, None) or CURRENT_INVOCATION.get()
        last = logging.lastResort
        if last is not None and record.levelno >= last.level:
            self._show_if_nobody_else_does(record, last)
        if invocation is None or KEPT in members or (log := invocation.log) is None:
            return True
        members[KEPT] = True
        try:
            log.keep(record)
        except Exception:  # noqa: BLE001 - as in every handler: logging never fails the code
            self.handleError(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Do the same."""
        self.handle(record)

    def _show_if_nobody_else_does(self, record: logging.LogRecord, last: logging.Handler) -> None:
        logger: logging.Logger | None = logging.getLogger(record.name)
        while logger is not None:
            if any(handler is not self for handler in logger.handlers):
                return
            logger = logger.parent if logger.propagate else None
        last.handle(record)


_handler = InvocationLogHandler(logging.INFO)


def capture(logger_name: str = "labthings_fastapi") -> None:
    """Let records of this logger, and of those below it, belong to the runs that log them.

    Its level is opened to INFO if nobody has set one. Calling it twice changes nothing.
    """
    logger = logging.getLogger(logger_name)
    if _handler not in logger.handlers:
        logger.addHandler(_handler)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
