"""Lines in the log for requests that no app sees: few, whatever clients send."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Final

from labthings_fastapi.own_log import own_logger

LOGGER = own_logger("server")
SECONDS: Final = 60.0
MOST: Final = 20
"""How many addresses have a line in a minute; all others are counted."""
LONGEST: Final = 300  # characters of a reason, in which clients have a say

_SAID_OTHERWISE: Final = {"Invalid HTTP request received.", "connection open"}
_ACCEPTED: Final = '%s - "WebSocket %s" [accepted]'
_HANDSHAKE: Final = "connection rejected (%d %s)"
_OF_CLIENTS: Final = {
    "Unsupported upgrade request.": "It asks for another protocol than WebSocket.",
    "Exceeded concurrency limit.": "Too many requests are in progress.",
    "Invalid UTF-8 sequence received from client.": "A text message of its socket is not UTF-8.",
    '%s - "WebSocket %s" 403': "The WebSocket {1} was refused with status 403.",
    '%s - "WebSocket %s" %d': "The WebSocket {1} was refused with status {2}.",
    _HANDSHAKE: "A handshake of a WebSocket was refused: {0} {1}.",
}
"""What uvicorn and websockets log each time a client sends it, and what we say instead."""


class RefusedRequests:
    """Logs one line an address and minute; used on the server's event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = float("-inf")
        self._named: set[str | None] = set()
        self._untold = 0

    def note(self, address: str | None, reason: str) -> None:
        """Log why a request was refused, or count it for the next line."""
        now = self._clock()
        if now - self._began >= SECONDS:
            self._began = now
            self._named.clear()
        if address in self._named or len(self._named) >= MOST:
            self._untold += 1
            return
        self._named.add(address)
        untold, self._untold = self._untold, 0
        more = f" ({untold} more were refused since the last such line.)" if untold else ""
        LOGGER.warning(
            "Refused a request of %s: %s%s", address or "a client", reason[:LONGEST], more
        )


class ConnectionLogger(logging.LoggerAdapter[logging.Logger]):
    """uvicorn's logger for one connection, without a line for each mistake of its client."""

    def __init__(
        self, logger: logging.Logger, refused: RefusedRequests, address: str | None
    ) -> None:
        super().__init__(logger)
        self._refused = refused
        self._address = address
        self._is_told = False  # whether this connection was refused already

    @property
    def level(self) -> int:
        """The level of the logger, which uvicorn reads."""
        return self.logger.level

    def log(self, level: int, msg: object, *args: object, **options: Any) -> None:
        """Pass a record on, or count what is the client's mistake."""
        reason = _OF_CLIENTS.get(msg) if isinstance(msg, str) else None
        if msg == _ACCEPTED and not logging.getLogger().isEnabledFor(logging.DEBUG):
            return  # like requests over HTTP: a line for each drowns all others
        if msg == _HANDSHAKE and self._is_told:
            return  # uvicorn has said so, with the path
        if reason is not None:
            self._is_told = True
            texts = [str(each).partition("?")[0] for each in args]  # people put tokens into queries
            self._refused.note(self._address, reason.format(*texts))
        elif msg not in _SAID_OTHERWISE:
            super().log(level, msg, *args, **options)
