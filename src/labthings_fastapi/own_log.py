"""The framework's own loggers, which never raise."""

from __future__ import annotations

import contextlib
import logging
import sys
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import MutableMapping


class OwnLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger whose calls return, whatever the handlers and filters of the user do.

    They run in the thread that logs. An exception out of them, or a `sys.exit()`, would end the
    thread that writes the journal or keeps the deadlines, leave requests without an answer, and
    keep whoever comes next from being told. Any thread may use it.
    """

    def process(
        self, msg: object, kwargs: MutableMapping[str, Any]
    ) -> tuple[object, MutableMapping[str, Any]]:
        """Leave everything as it is, `extra` among it."""
        return msg, kwargs

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log; if that fails, tell it and the message on stderr, as handlers of `logging` do."""
        # One frame more, so that a record names the code that logs, not this.
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
        try:
            super().log(level, msg, *args, **kwargs)
        except BaseException:  # noqa: BLE001 - see above
            with contextlib.suppress(BaseException):  # there may be no stderr, or no memory
                text = str(msg) % args if args else msg
                sys.stderr.write(f"Logging failed at {text!r}:\n{traceback.format_exc()}")


def own_logger(name: str) -> OwnLogger:
    """Return the logger `labthings_fastapi.<name>`, for what the framework itself has to say."""
    return OwnLogger(logging.getLogger(f"labthings_fastapi.{name}"))
