"""uvicorn's WebSocket protocol, with a proper end where the client breaks the protocol."""

from __future__ import annotations

from typing import Any, cast

from starlette.types import Message
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.frames import Frame

from .connection_limits import Limits, WriteStall, close_after


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Sends a close frame for a bad frame so that the client receives it (RFC 6455, 7.1.7).

    uvicorn closes the socket at once. What the client is still sending then makes the system reset
    the connection, and the client loses the close frame. Used on the server's event loop only.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._failed = False
        self._write_stall = WriteStall()

    def check(self, now: float, limits: Limits) -> None:
        if self._write_stall.lasts(self.transport, now, limits.closing_seconds):
            self.transport.abort()

    async def send(self, message: Message) -> None:  # type: ignore[override] # the usual type
        await super().send(cast("Any", message))
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            # Otherwise uvicorn logs an error for each handshake that the app refuses with a body.
            self.handshake_complete = True

    def data_received(self, data: bytes) -> None:
        if self._failed:
            return
        try:
            super().data_received(data)
        except InvalidState:  # a close frame behind text that is not UTF-8
            self.handle_parser_exception()

    def handle_parser_exception(self) -> None:
        self._failed = True
        frame = self.conn.close_sent  # None before the handshake is answered: nothing can be sent
        code, reason = (frame.code, frame.reason) if frame is not None else (1006, "")
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.stop_keepalive()
        self.close_sent = True
        self.disconnected = True  # what the app still sends ends with ClientDisconnected
        self.writable.set()
        data = b"".join(self.conn.data_to_send()) if frame is not None else b""
        self.close_timer = close_after(self.transport, data)

    def handle_ping(self) -> None:
        if not self._failed:
            super().handle_ping()

    def handle_close(self, event: Frame) -> None:
        if not self._failed:
            super().handle_close(event)
