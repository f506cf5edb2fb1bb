"""Log records that belong to a run, by one handler: a logger for each run would never be freed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, MutableSequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from labthings_fastapi.exceptions import describe_exception
from labthings_fastapi.own_log import OwnLogger
from labthings_fastapi.problems import well_formed

from .context import CURRENT_INVOCATION, INVOCATION_MEMBER, current_invocation

_INFO = logging.INFO
THINGS_LOGGER = "labthings_fastapi.things"
INVOCATIONS_LOGGER = "labthings_fastapi.invocations"
KEPT = "labthings_kept"  # the mark of a record that a run has kept


class CapturingLogger(logging.Logger):
    """A logger whose records of INFO and above reach their run, whatever silences it for others.

    `logging.disable`, a raised level, `dictConfig`, and handlers that are removed are meant for
    the log of the program; a library may call them when it is imported. A filter of the logger
    itself counts for runs too. Any thread may use it, as any logger.
    """

    serves_any_thread = False
    """Whether a record may name its run, so that also a thread outside every run logs into one."""
    # What the class below has; without `super()`, which is a tenth of what a line costs here.
    is_heard_by_others = logging.Logger.isEnabledFor

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name of the method of `Logger`
        """Return whether anybody would receive a record: the run around the call, or others."""
        if level >= _INFO and (CURRENT_INVOCATION.get() is not None or self.serves_any_thread):
            return True
        return self.is_heard_by_others(level)

    def handle(self, record: logging.LogRecord) -> None:
        """Give the record to its run, then to the handlers unless the logger is silenced."""
        if self.filters:
            passed: Any = self.filter(record)
            if not passed:
                return
            if isinstance(passed, logging.LogRecord):  # from Python 3.12 on, another one
                record = passed
        level = record.levelno
        if level >= _INFO:
            keep_with_invocation(record)
        if self.is_heard_by_others(level):
            self.callHandlers(record)


@cache
def _with_class(kind: type[logging.Logger]) -> type[logging.Logger]:
    # A program may have a class of loggers of its own.
    return type(
        f"Capturing{kind.__name__}",
        (CapturingLogger, kind),
        {"is_heard_by_others": kind.isEnabledFor},
    )


def capturing_logger(name: str | None) -> logging.Logger:
    """Return the logger of that name, made one whose records reach their run."""
    logger = logging.getLogger(name)
    if not isinstance(logger, CapturingLogger):
        kind: Any = type(logger)
        capturing = CapturingLogger if kind is logging.Logger else _with_class(kind)
        logger.__class__ = capturing
    return logger


def invocations_logger() -> logging.Logger:
    """Return the logger of code that has no Thing: records may name their run."""
    logger = capturing_logger(INVOCATIONS_LOGGER)
    if isinstance(logger, CapturingLogger):
        logger.serves_any_thread = True
    return logger


def get_thing_logger(name: str | None = None) -> logging.Logger:
    """Return the logger of the Thing of that name; without a name, the one above all of them."""
    return capturing_logger(THINGS_LOGGER if name is None else f"{THINGS_LOGGER}.{name}")


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
        last = logging.lastResort
        if last is not None and record.levelno >= last.level:
            self._show_if_nobody_else_does(record, last)
        if KEPT not in record.__dict__:
            keep_with_invocation(record, self)
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


def keep_with_invocation(record: logging.LogRecord, handler: logging.Handler = _handler) -> None:
    """Keep a record with the run that it names, or else the one around this code; once."""
    # The injected logger names the run. Records that are kept must not keep it alive.
    members = record.__dict__
    invocation = members.pop(INVOCATION_MEMBER, None) or CURRENT_INVOCATION.get()
    if invocation is None or KEPT in members or (log := invocation.log) is None:
        return
    members[KEPT] = True
    try:
        log.keep(record)
    except Exception:  # noqa: BLE001 - as in every handler: logging never fails the code
        handler.handleError(record)


def capture(logger_name: str = "labthings_fastapi") -> None:
    """Let records of this logger, and of those below it, belong to the runs that log them.

    Its level is opened to INFO if nobody has set one. The logger and those below it that exist
    reach the runs also when a library silences them; call it again for those that came later.
    """
    logger = capturing_logger(logger_name or None)
    if _handler not in logger.handlers:
        logger.addHandler(_handler)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    prefix = "" if logger is logging.root else f"{logger.name}."
    for name, found in list(logging.root.manager.loggerDict.items()):
        if name.startswith(prefix) and isinstance(found, logging.Logger):
            capturing_logger(name)


_own = logging.getLogger("labthings_fastapi")
_more_loggers: dict[str, None] = {}  # an ordered set; names are never taken out


def capture_more(logger_names: Iterable[str]) -> None:
    """Let records of these loggers, of drivers for instance, belong to runs from now on."""
    for name in logger_names:
        _more_loggers[name] = None
        capture(name)


def capture_again() -> None:
    """Do it again at the start of a run: a library may have removed handlers, or made loggers."""
    if _handler not in _own.handlers:
        capture()
    for name in tuple(_more_loggers):
        capture(name)
