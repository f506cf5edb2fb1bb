"""Loggers of the framework itself, whose methods never raise."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import traceback
from typing import Any

LOG_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
# Besides control characters: what reorders a line, and what some viewers take for its end.
_UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def one_entry(text: str) -> str:
    """Return a text that cannot be taken for several entries of a log, nor move a cursor.

    Control characters are shown as escapes, and the lines after the first one are indented: names,
    paths and headers in them come from clients.
    """
    if text.isprintable():
        return text
    text = text.replace("\r\n", "\n")
    return _UNSAFE.sub(_escaped, text).replace("\n", "\n    ")


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


class LogFormatter(logging.Formatter):
    """Formats records for people, as entries that cannot be forged."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the entry of a record, with its traceback."""
        return one_entry(super().format(record))


def log_to_stderr(level: int) -> None:
    """Show records of this level and above, unless the program has set up logging already."""
    handler = logging.StreamHandler()
    handler.setFormatter(LogFormatter(LOG_FORMAT))
    logging.basicConfig(level=level, handlers=[handler])


def without_queries_of_sockets(record: logging.LogRecord) -> bool:
    """Cut the query off a WebSocket's URL in a record of uvicorn; a filter that keeps all records.

    Browsers cannot send headers with a WebSocket, so people put tokens there.
    """
    text, arguments = record.msg, record.args
    if (
        isinstance(text, str)
        and isinstance(arguments, tuple)
        and ("WebSocket" in text or text.startswith("< GET"))
    ):
        record.args = tuple(
            each.partition("?")[0] if isinstance(each, str) else each for each in arguments
        )
    return True


class OwnLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger whose methods return even if a handler or filter of the user raises.

    Handlers and filters run in the thread that logs. An exception from them, also `SystemExit`,
    would end that thread, for example the writer of the journal. Any thread may use it.
    """

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log; if that fails, write the error and the message to stderr, as `logging` does."""
        # One more frame, so that the record names the code that logs and not this method.
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
        try:
            self.logger.log(level, msg, *args, **kwargs)  # with its `extra` as it is
        except BaseException:  # noqa: BLE001 - handlers and filters are user code
            with contextlib.suppress(BaseException):  # without stderr, or memory
                text = str(msg) % args if args else msg
                failure = one_entry(traceback.format_exc())
                sys.stderr.write(f"Logging failed at {text!r}:\n    {failure}\n")


def own_logger(name: str) -> OwnLogger:
    """Return the logger `labthings_fastapi.<name>` for messages of the framework itself."""
    return OwnLogger(logging.getLogger(f"labthings_fastapi.{name}"))
