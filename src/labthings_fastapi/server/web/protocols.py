"""uvicorn's protocols for HTTP/1.1 and WebSockets, with limits on size and time."""

from __future__ import annotations

import asyncio
from collections.abc import Sized
from enum import IntEnum
from functools import partial
from typing import Any, cast

from starlette.types import Message
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.frames import Frame
from websockets.http11 import MAX_LINE_LENGTH, MAX_NUM_HEADERS

from labthings_fastapi.problems import Problem, message_problem

from .body_progress import BodyProgress, declared_length
from .connection_limits import (
    MAX_LINGERING,
    ConnectionLimits,
    Limits,
    WriteStall,
    close_after,
    render_response,
    too_many_connections,
)
from .refused_requests import ConnectionLogger, RefusedRequests

MAX_FRAGMENTS = 1024
"""Of one WebSocket message; each costs more memory than its bytes."""
PIECE = 4096
"""Bytes of a WebSocket that are parsed at once; a frame may be six bytes, and costs 300."""


class Stage(IntEnum):
    CONNECTED = 0  # the first byte of a request
    HEADERS = 1
    BODY = 2
    RESPONSE = 3  # the app's response; then the next request
    REFUSED = 4  # the client's end of the connection; what it still sends is dropped


class _Flow(FlowControl):
    """Reads nothing while requests wait behind another: what is read ahead stays bounded."""

    def __init__(self, transport: asyncio.Transport, waiting: Sized) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        if not self._waiting:
            super().resume_reading()


class _TooManyRequestsError(Exception):
    """More requests wait for an answer than one connection may have."""


class HttpProtocol(HttpToolsProtocol):
    def __init__(self, *args: Any, limits: ConnectionLimits, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._shared = limits
        self._limits = limits.limits
        self.ws_protocol_class = cast(
            "type[asyncio.Protocol]", partial(WebSocketProtocol, refused=limits.refused)
        )
        self._stage = Stage.CONNECTED
        self._stage_began = 0.0
        self._last_data = 0.0
        self._was_overdue = False
        self._header_bytes = 0  # without those of the chunk in which the request begins
        self._fields = 0  # of the request whose headers are read
        self._body = BodyProgress()
        self._is_silent = False
        self._is_full = False  # no more requests are taken; what the client sends is dropped
        self._refusal: Problem | None = None
        self._write_stall = WriteStall()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        accepted = self._shared.accepts(transport, self.connections)
        super().connection_made(transport)
        address = self.client[0] if self.client else None
        self.logger = ConnectionLogger(self.logger, self._shared.refused, address)  # type: ignore[assignment] # has what uvicorn uses
        self.flow = _Flow(transport, self.pipeline)
        self._stage_began = self._last_data = self.loop.time()
        if not accepted:
            self._refuse(too_many_connections())

    def connection_lost(self, exc: Exception | None) -> None:
        if self._stage is Stage.REFUSED:
            self._shared.lingering -= 1
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._stage is Stage.REFUSED or self._is_full:
            return
        self._last_data = self.loop.time()
        if self._stage is Stage.HEADERS:
            self._header_bytes += len(data)
        elif self._stage is Stage.BODY:
            self._body.note_received(len(data))
        super().data_received(data)
        if self._stage is Stage.HEADERS and self._header_bytes > self._limits.header_bytes:
            self._refuse(self._headers_too_large())
        elif self._stage is Stage.BODY and self._body.has_excess(self._limits.header_bytes):
            self._refuse(self._trailers_too_large())
        elif self._stage is Stage.RESPONSE and self._is_answered():
            # Empty lines between two requests: they stop uvicorn's timer and begin no request.
            self._begin_stage(Stage.CONNECTED)

    def handle_websocket_upgrade(self) -> None:
        # The parser of `websockets` has smaller limits than ours, and uvicorn has no answer when
        # the parser fails. A browser sends the cookies of every server on the same host.
        request_line = len("GET  HTTP/1.1\r\n") + len(self.url)
        lines = [request_line, *(len(name) + len(value) + 4 for name, value in self.headers)]
        if len(self.headers) > MAX_NUM_HEADERS or max(lines) > MAX_LINE_LENGTH:
            detail = (
                f"A WebSocket handshake has at most {MAX_NUM_HEADERS} headers, and lines of at "
                f"most {MAX_LINE_LENGTH} bytes. Send fewer and shorter headers, or delete large "
                "cookies."
            )
            title = "The handshake was refused"
            self._refuse(message_problem("handshake-refused", title, 431, detail))
        else:
            super().handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        if not self._is_answered() and len(self.pipeline) + 1 >= self._limits.waiting_requests:
            raise _TooManyRequestsError  # the parser stops here, and calls `send_400_response`
        self._begin_stage(Stage.HEADERS)
        self._header_bytes = self._fields = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._stage is Stage.BODY:
            return  # a trailer: the app has the headers already (RFC 9110, section 6.5.1)
        self._fields += 1
        if self._fields > self._limits.header_fields:
            self._refusal = self._too_many_headers()
            raise ValueError("too many headers")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self._limits.header_bytes:
            self._refusal = self._headers_too_large()
            raise ValueError("the headers are too large")
        super().on_headers_complete()
        self._begin_stage(Stage.BODY)
        self._body = BodyProgress(declared_length(self.headers))

    def on_body(self, body: bytes) -> None:
        self._body.note_body(len(body))
        super().on_body(body)

    def on_chunk_header(self) -> None:
        self._body.note_chunk()

    def on_message_complete(self) -> None:
        self._begin_stage(Stage.RESPONSE)
        super().on_message_complete()

    def _begin_stage(self, stage: Stage) -> None:
        self._stage = stage
        self._stage_began = self._last_data
        self._was_overdue = False

    def check(self, now: float, limits: Limits) -> None:
        if self._write_stall.lasts(self.transport, now, limits.closing_seconds):
            self.transport.abort()
            return
        # Only the second time: if user code held up the event loop, what clients sent meanwhile is
        # not late, but not read yet.
        was_overdue, self._was_overdue = self._was_overdue, self._is_overdue(now)
        if was_overdue and self._was_overdue:
            self._end_slow_request()

    def _is_overdue(self, now: float) -> bool:
        if self._stage is Stage.BODY:
            reading = self.transport.is_reading()
            if not reading:
                self._last_data = now  # the app has not read what came before
            self._body.note_time(now, counts=reading)
            self._is_silent = now - self._last_data > self._limits.body_seconds
            return self._is_silent or self._body.is_late(self._limits)
        if self._stage is Stage.RESPONSE:
            return False
        return now - self._stage_began > self._limits.header_seconds

    def _end_slow_request(self) -> None:
        limits = self._limits
        if self._stage is Stage.CONNECTED:
            self.transport.close()  # browsers open connections in reserve: this is no error
            return
        if self._stage is Stage.HEADERS:
            reason = f"headers did not arrive within {limits.header_seconds:g} s"
        elif self._is_silent:
            reason = f"body did not arrive: nothing came for {limits.body_seconds:g} s"
        else:
            reason = f"body did not arrive: {self._body.lateness(limits)}"
        detail = f"The request's {reason}. Send it again, faster or in one piece."
        self._refuse(message_problem("too-slow", "The request came too slowly", 408, detail))

    def send_400_response(self, msg: str) -> None:
        if self._waits_too_much():
            # What was taken is answered; the client sends the rest on a new connection (RFC 9112,
            # section 9.3.2).
            self._is_full = True
            (self.pipeline[0][0] if self.pipeline else self.cycle).keep_alive = False
            return
        detail = f"{msg} This server speaks HTTP/1.1."
        self._refuse(self._refusal or message_problem("not-http", "Not HTTP", 400, detail))

    def _refuse(self, problem: Problem) -> None:
        address = self.client[0] if self.client else None
        self._shared.refused.note(address, problem.detail)
        response = render_response(problem) if self._may_respond() else b""
        self._stage = Stage.REFUSED
        self.connections.discard(self)
        self._shared.lingering += 1
        self.pipeline.clear()
        if not self._is_answered():
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.flow.resume_writing()  # an app that waits there has nobody to write to
        close_after(self.transport, response)
        if self._shared.lingering > MAX_LINGERING:  # an attack
            self.transport.close()

    def _may_respond(self) -> bool:
        """Return False if the client would take a response for that of another request."""
        if self._stage is Stage.BODY:
            return not self.cycle.response_started and not self.pipeline
        return self._is_answered()

    def _is_answered(self) -> bool:
        """Return True if every request so far has its complete response."""
        cycle: object = self.cycle  # None before the first request
        return not isinstance(cycle, RequestResponseCycle) or cycle.response_complete

    def _waits_too_much(self) -> bool:
        """Return True if the parser stopped at a request that is one too many."""
        return self._stage is Stage.RESPONSE and (
            not self._is_answered() and len(self.pipeline) + 1 >= self._limits.waiting_requests
        )

    def _too_many_headers(self) -> Problem:
        detail = (
            f"The request has more than {self._limits.header_fields} headers. Send fewer and "
            "shorter headers; large values belong in the body."
        )
        return message_problem("headers-too-large", "The headers are too large", 431, detail)

    def _trailers_too_large(self) -> Problem:
        detail = (
            f"More than {self._limits.header_bytes} bytes of this request's body are no body: "
            "fields behind it, or the sizes and extensions of its chunks. Send larger chunks, and "
            "no fields behind them."
        )
        return message_problem("headers-too-large", "The trailers are too large", 431, detail)

    def _headers_too_large(self) -> Problem:
        detail = (
            f"The request line and the headers are longer than {self._limits.header_bytes} bytes. "
            "Send less in the URL and in cookies; large values belong in the body."
        )
        return message_problem("headers-too-large", "The headers are too large", 431, detail)


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Sends a close frame for a bad frame so that the client receives it (RFC 6455, 7.1.7).

    uvicorn closes the socket at once. What the client is still sending then makes the system reset
    the connection, and the client loses the close frame. Used on the server's event loop only.
    """

    def __init__(self, *args: Any, refused: RefusedRequests | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._refused = refused or RefusedRequests()
        self._failed = False
        self._unparsed = bytearray()  # what came while a message waits for the app
        self._write_stall = WriteStall()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        address = self.client[0] if self.client else None
        self.logger = ConnectionLogger(self.logger, self._refused, address)  # type: ignore[assignment] # has what uvicorn uses

        self.conn.logger = self.logger

    def check(self, now: float, limits: Limits) -> None:
        if self._write_stall.lasts(self.transport, now, limits.closing_seconds):
            self.transport.abort()

    async def send(self, message: Message) -> None:  # type: ignore[override] # the usual type
        await super().send(cast("Any", message))
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            # Otherwise uvicorn logs an error for each handshake that the app refuses with a body.
            self.handshake_complete = True
        elif self._unparsed:  # after a close frame, uvicorn reads on
            self._parse()

    async def receive(self) -> Any:
        message = await super().receive()
        if self._unparsed:
            self._parse()
        return message

    def data_received(self, data: bytes) -> None:
        if self._failed:
            return
        self._unparsed += data
        self._parse()

    def _parse(self) -> None:
        """Parse what came, until a message waits for the app."""
        while self._unparsed and not self.read_paused and not self._failed:
            piece = bytes(self._unparsed[:PIECE])
            del self._unparsed[:PIECE]
            try:
                super().data_received(piece)
            except InvalidState:  # a close frame behind text that is not UTF-8
                self.handle_parser_exception()

    def handle_parser_exception(self) -> None:
        self._failed = True
        self._unparsed.clear()
        frame = self.conn.close_sent  # None before the handshake is answered: nothing can be sent
        code, reason = (frame.code, frame.reason) if frame is not None else (1006, "")
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.stop_keepalive()
        self.close_sent = True
        self.disconnected = True  # what the app still sends ends with ClientDisconnected
        self.writable.set()
        data = b"".join(self.conn.data_to_send()) if frame is not None else b""
        self.close_timer = close_after(self.transport, data)

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) < MAX_FRAGMENTS:
            super().handle_cont(event)
            return
        self.frames = []
        self.conn.fail(1009, f"A message has at most {MAX_FRAGMENTS} fragments")
        self.handle_parser_exception()

    def handle_ping(self) -> None:
        if self._failed:
            return
        if self.writable.is_set():
            super().handle_ping()
        else:  # the client does not read: a later ping is answered (RFC 6455, section 5.5.3)
            self.conn.data_to_send()

    def handle_close(self, event: Frame) -> None:
        if not self._failed:
            super().handle_close(event)
