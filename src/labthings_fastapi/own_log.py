"""Loggers of the framework itself, whose methods never raise."""

from __future__ import annotations

import contextlib
import logging
import sys
import traceback
from typing import Any


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
                sys.stderr.write(f"Logging failed at {text!r}:\n{traceback.format_exc()}")


def own_logger(name: str) -> OwnLogger:
    """Return the logger `labthings_fastapi.<name>` for messages of the framework itself."""
    return OwnLogger(logging.getLogger(f"labthings_fastapi.{name}"))
