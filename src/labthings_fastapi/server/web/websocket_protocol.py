"""WebSockets as uvicorn speaks them, for clients that do not mean well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

from .connection_limits import LingeringClose, WriteStallTimer

if TYPE_CHECKING:
    from starlette.types import Message
    from websockets.frames import Frame

    from .connection_limits import Connections, ConnectionSlot


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """A WebSocket that keeps the place of the connection which it was.

    Like all protocols, it belongs to the event loop's thread.
    """

    _shared: Connections | None = None
    _place: ConnectionSlot | None = None
    _leaving: WriteStallTimer

    def begin(self, connections: Connections, place: ConnectionSlot | None) -> None:
        """Take the place, after the handshake was read."""
        self._shared = connections
        self._place = place
        self._leaving = WriteStallTimer(connections.limits.closing_seconds)
        connections.watch(self)

    @property
    def handshake_error(self) -> Exception | None:
        """Why the handshake could not be read; None if it could."""
        if self.handshake_initiated:
            return None
        return self.conn.handshake_exc or ValueError("it has no end")

    def check(self, now: float) -> None:
        """End a socket that is being closed if the client takes nothing any more."""
        if self._leaving.takes_too_long(self.transport, now):
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """End, and leave the place to another."""
        if self._shared is not None:
            self._shared.unwatch(self)
        if self._place is not None:
            self._place.release()
        super().connection_lost(exc)

    async def send(self, message: Message) -> None:  # type: ignore[override] # the usual type
        """Send what the app says; a refusal is an answer, too, and no mistake of the app's."""
        await super().send(cast("Any", message))
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            # Otherwise uvicorn logs an error whenever a handshake is refused with a body.
            self.handshake_complete = True

    # --- when it is wrong -----------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        try:
            super().data_received(data)
        except InvalidState:  # it has closed already, behind a text that is none
            self._part()

    def handle_parser_exception(self) -> None:
        """Say why what came is refused (RFC 6455, section 7.1.7), and let the client hear it.

        Were the connection closed at once, as uvicorn does, what is still on its way would make
        the system answer with a reset, and the client would throw our reason away.
        """
        self._part()

    def handle_ping(self) -> None:
        """Answer it, unless it came behind what was refused."""
        if not self.disconnected:
            super().handle_ping()

    def handle_close(self, event: Frame) -> None:
        """Close, unless that is so already."""
        if not self.disconnected:
            super().handle_close(event)

    def _part(self) -> None:
        """Say what there is to say, tell the app, and leave the rest to `LingeringClose`."""
        if self._shared is None or self.disconnected:
            return
        told = self.conn.close_sent  # None if the handshake has no answer yet: say nothing
        self.queue.put_nowait(
            {
                "type": "websocket.disconnect",
                "code": 1006 if told is None else told.code,
                "reason": "" if told is None else told.reason,
            }
        )
        place, self._place = self._place, None
        self.close_sent = True  # what came behind it is not taken
        self.connection_lost(ConnectionAbortedError("what came was refused"))
        parting = LingeringClose(self._shared, self.transport, place)
        parting.say(b"" if told is None else b"".join(self.conn.data_to_send()))
        self.close_timer = parting.timer  # uvicorn closes at the app's end if there is none
