"""HTTP/1.1 as uvicorn speaks it, for clients that do not mean well.

This builds on the httptools protocol, which `uvicorn[standard]` always brings: the parser's
callbacks say where in a request the client is.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from labthings_fastapi.problems import Problem, message_problem

from .connection_limits import (
    LOGGER,
    LingeringClose,
    WriteStallTimer,
    answer_of,
    too_many_connections,
)
from .websocket_protocol import WebSocketProtocol

if TYPE_CHECKING:
    import asyncio

    from .connection_limits import Connections, ConnectionSlot


class Stage(IntEnum):
    """What a connection waits for."""

    FIRST = 0
    """The first byte."""
    HEADERS = 1
    BODY = 2
    ANSWER = 3
    """Our answer; after that, another request."""


# Up to Python 3.11, to look for one of these by its name costs five times what it does for a
# variable; four times in each request.
_HEADERS, _BODY, _ANSWER = Stage.HEADERS, Stage.BODY, Stage.ANSWER


class HttpProtocol(HttpToolsProtocol):
    """Keeps `Limits` of size and time, and answers what breaks them with problem details."""

    def __init__(
        self,
        *args: Any,
        connections: Connections,
        place: ConnectionSlot | None = None,
        **kwargs: Any,
    ) -> None:
        """Speak HTTP on a connection that has its place already, or will ask for one."""
        super().__init__(*args, **kwargs)
        self._shared = connections
        self._limits = connections.limits
        self._place = place
        self._stage = Stage.FIRST
        self._began = 0.0  # when the wait for the headers did
        self._heard = 0.0  # when the last bytes came
        self._idle_since: float | None = None
        self._leaving = WriteStallTimer(self._limits.closing_seconds)
        self._chunk_bytes = 0
        self._first_bytes = 0  # of the chunk in which the request began, perhaps after another
        self._header_bytes = 0  # of those that came after it
        self._refusal: Problem | None = None

    # --- the transport's side -------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Begin, unless all places are taken."""
        if self._place is None:
            self._place = self._shared.admit(transport)
        if self._place is None:
            LingeringClose(self._shared, transport, None).say(answer_of(too_many_connections()))
            return
        super().connection_made(transport)
        self._began = self._heard = self.loop.time()
        self._shared.watch(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End, and leave the place to another."""
        self._shared.unwatch(self)
        if self._place is not None:
            self._place.release()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        self._heard = self.loop.time()
        self._chunk_bytes = len(data)
        if self._stage is _HEADERS:
            self._header_bytes += len(data)
        super().data_received(data)
        if self._stage is _HEADERS and self._header_bytes > self._limits.header_bytes:
            self._refuse(self._too_large())

    def handle_websocket_upgrade(self) -> None:
        """Pass the connection on, with its place."""
        super().handle_websocket_upgrade()
        upgraded = self.transport.get_protocol()
        if not isinstance(upgraded, WebSocketProtocol):
            return
        if (wrong := upgraded.handshake_error) is not None:
            # It has read less than HTTP takes, and would never answer.
            upgraded.connection_lost(wrong)
            self._refuse(_no_handshake(wrong))
            return
        self._shared.unwatch(self)
        place, self._place = self._place, None
        upgraded.begin(self._shared, place)

    # --- the parser's side ----------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Note that a request begins."""
        self._stage = _HEADERS
        self._began = self._heard
        self._idle_since = None
        self._first_bytes = self._chunk_bytes
        self._header_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Begin to answer, unless the headers are too large.

        Raises:
            ValueError: they are; the parser stops, and `send_400_response` says it.
            HttpParserInvalidURLError: the target is no path, as that of CONNECT; the same.
        """
        # Counted only if they might be: most requests come as one small piece.
        if self._first_bytes + self._header_bytes > self._limits.header_bytes:
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > self._limits.header_bytes:
                self._refusal = self._too_large()
                raise ValueError("the headers are too large")
        super().on_headers_complete()
        self._stage = _BODY  # not before: if that failed, there is no answer to this request

    def on_message_complete(self) -> None:
        """Note that the client waits for us now."""
        self._stage = _ANSWER
        super().on_message_complete()

    # --- when it takes too long, or is wrong ----------------------------------------------

    def check(self, now: float) -> None:
        """End the connection if it has kept us waiting for too long."""
        limits = self._limits
        if self._leaving.takes_too_long(self.transport, now):
            self.transport.abort()
            return
        match self._stage:
            case Stage.FIRST if now - self._began > limits.header_seconds:
                self.transport.close()  # browsers open connections in reserve: nothing to say
            case Stage.HEADERS if now - self._began > limits.header_seconds:
                self._refuse(_too_slow("headers", f"within {limits.header_seconds:g} s"))
            case Stage.BODY:
                if not self.transport.is_reading():
                    self._heard = now  # our side is slow: nobody has taken what came before
                elif now - self._heard > limits.body_seconds:
                    self._refuse(
                        _too_slow("body", f"and nothing came for {limits.body_seconds:g} s")
                    )
            case Stage.ANSWER if self._answered():
                self._check_idle(now)

    def _check_idle(self, now: float) -> None:
        """Close what uvicorn's timer does not: stray bytes between requests have stopped it."""
        if self._idle_since is None:
            self._idle_since = now
        elif now - self._idle_since > self._limits.keep_alive_seconds + self._limits.header_seconds:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, or what the callbacks refused; uvicorn calls it."""
        detail = f"{msg} This is a server for HTTP/1.1."
        self._refuse(self._refusal or message_problem("not-http", "Not HTTP", 400, detail))

    def _refuse(self, problem: Problem) -> None:
        """Say why, if an answer can be sent, and end the connection; the app is told that too."""
        LOGGER.info("Refused a request of %s: %s", self.client or "a client", problem.detail)
        may_answer = self._may_answer()
        self._stage = Stage.ANSWER  # once is enough
        place, self._place = self._place, None
        transport = self.transport
        self.connection_lost(ConnectionAbortedError(problem.detail))
        parting = LingeringClose(self._shared, transport, place)
        parting.say(answer_of(problem) if may_answer else b"")

    def _may_answer(self) -> bool:
        """Tell whether an answer would be taken for that of the request which is refused."""
        if self._stage is Stage.BODY:
            return not self.cycle.response_started and not self.pipeline
        return self._answered()

    def _answered(self) -> bool:
        """Tell whether every request up to here has its answer."""
        cycle: object = self.cycle  # None before the first
        return not isinstance(cycle, RequestResponseCycle) or cycle.response_complete

    def _too_large(self) -> Problem:
        detail = (
            f"The request's first line and headers are longer than {self._limits.header_bytes} "
            "bytes. Send less in the URL and in cookies; large values belong in the body."
        )
        return message_problem("headers-too-large", "The headers are too large", 431, detail)


def _no_handshake(error: Exception) -> Problem:
    detail = (
        f"The WebSocket handshake cannot be read: {error}. Send fewer and shorter headers; "
        "a cookie that is too large can be deleted in the browser."
    )
    return message_problem("handshake-refused", "The handshake was refused", 431, detail)


def _too_slow(what: str, how: str) -> Problem:
    detail = f"The request's {what} did not arrive {how}. Send it again, faster or in one piece."
    return message_problem("too-slow", "The request came too slowly", 408, detail)
