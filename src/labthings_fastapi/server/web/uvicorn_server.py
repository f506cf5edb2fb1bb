"""uvicorn, set up with our limits, and with TLS or without."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any, cast

import uvicorn

from labthings_fastapi.server.address import AddressError

from .connection_limits import Connections
from .http_protocol import HttpProtocol
from .tls_gate import Handshakes, TlsGate, answer_in_plain
from .websocket_protocol import WebSocketProtocol

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Awaitable, Callable

    from starlette.types import ASGIApp
    from uvicorn.server import ServerState

    from labthings_fastapi.server.address import ListenAddress

    from .connection_limits import ConnectionSlot
    from .limits import Limits
    from .tls import Tls

# The log that uvicorn shows also where nobody has set up logging, as in a script.
UVICORN_LOGGER = logging.getLogger("uvicorn.error")


class UvicornServer(uvicorn.Server):
    """A uvicorn server that says where it listens, and closes the app if it cannot."""

    def __init__(
        self,
        config: uvicorn.Config,
        bound: ListenAddress,
        listening: Callable[[ListenAddress], Awaitable[None]],
    ) -> None:
        """Serve at a place for which `run` is given the sockets.

        `listening` is called on the server's event loop, once; it must not raise.
        """
        super().__init__(config)
        self._bound = bound
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the app, then listen.

        Raises:
            AddressError: another server was faster; the app was shut down.
        """
        try:
            await super().startup(sockets)
        except OSError as error:
            await self.lifespan.shutdown()
            reason = error.strerror or str(error)
            raise AddressError(self._bound.host, self._bound.port, reason) from error
        if self.started:
            UVICORN_LOGGER.info("Listening on %s (Ctrl-C stops it)", self._bound.url)
            await self._listening(self._bound)


def uvicorn_server(
    app: ASGIApp,
    bound: ListenAddress,
    limits: Limits,
    tls: Tls | None,
    listening: Callable[[ListenAddress], Awaitable[None]],
) -> UvicornServer:
    """Return a server for the app which keeps the limits; its `run` is given the sockets."""
    connections = Connections(limits)
    make: Callable[..., asyncio.Protocol] = functools.partial(HttpProtocol, connections=connections)
    if tls is not None:
        handshakes = Handshakes(tls.context, limits.header_seconds)
        make = functools.partial(_gate, connections, handshakes, _hint_config())
    return UvicornServer(_config(app, limits, make), bound, listening)


def _config(app: ASGIApp, limits: Limits, make: Callable[..., asyncio.Protocol]) -> uvicorn.Config:
    """Return what uvicorn is told; `make` is called as the class of a protocol would be."""
    return uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", make),
        ws=WebSocketProtocol,
        # A line for each request drowns all others, and costs as much as reading a property.
        server_header=False,  # whoever attacks need not know what we stand on
        access_log=logging.getLogger().isEnabledFor(logging.DEBUG),
        ws_max_size=limits.frame_bytes,
        ws_per_message_deflate=False,  # values are small, and compressing each halves the rate
        ws_ping_interval=limits.ping_seconds,
        ws_ping_timeout=limits.ping_seconds,
        timeout_keep_alive=limits.keep_alive_seconds,
        timeout_graceful_shutdown=1,
    )


def _hint_config() -> uvicorn.Config:
    """Return what uvicorn's protocols need for the app that answers in plain."""
    return uvicorn.Config(
        answer_in_plain, ws="none", lifespan="off", log_config=None, proxy_headers=False
    )


def _gate(
    connections: Connections,
    handshakes: Handshakes,
    plain: uvicorn.Config,
    *,
    config: uvicorn.Config,
    server_state: ServerState,
    app_state: dict[str, Any],
    _loop: asyncio.AbstractEventLoop | None = None,
) -> TlsGate:
    """Make the protocol of a new connection, with what uvicorn gives to each."""

    def http(settings: uvicorn.Config, place: ConnectionSlot) -> HttpProtocol:
        return HttpProtocol(
            settings, server_state, app_state, _loop, connections=connections, place=place
        )

    return TlsGate(
        connections=connections,
        handshakes=handshakes,
        make_http=functools.partial(http, config),
        make_hint=functools.partial(http, plain),
        open_connections=cast("set[Any]", server_state.connections),
    )
