"""uvicorn with the limits of a server, and with TLS if it has a certificate."""

from __future__ import annotations

import asyncio
import functools
import logging
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.config import STARTUP_FAILURE

from labthings_fastapi.own_log import own_logger
from labthings_fastapi.server.address import AddressError, ListenAddress

from .connection_limits import ConnectionLimits, Limits
from .protocols import HttpProtocol, WebSocketProtocol
from .tls import Tls

LOGGER = own_logger("server")
UVICORN_LOGGER = logging.getLogger("uvicorn.error")
TLS_CLOSING_SECONDS = 5.0
TICKS = 10  # how many ticks of uvicorn's main loop make one second


class UvicornServer(uvicorn.Server):
    """uvicorn on sockets that are bound already."""

    loop: asyncio.AbstractEventLoop | None = None
    """The event loop; None before the app is started. May be read from any thread."""

    def __init__(
        self,
        app: ASGIApp,
        address: ListenAddress,
        limits: Limits,
        tls: Tls | None,
        listening: Callable[[ListenAddress], Awaitable[None]],
    ) -> None:
        super().__init__(_config(app, limits))
        self._address = address
        self._limits = limits
        self._tls = tls
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(STARTUP_FAILURE)
        try:
            await self._listen(sockets or [])
        except OSError as error:
            await self.lifespan.shutdown()
            reason = error.strerror or str(error)
            raise AddressError(self._address.host, self._address.port, reason) from error
        self.started = True
        UVICORN_LOGGER.info("Listening on %s (Ctrl-C stops it)", self._address.url)
        await self._listening(self._address)

    async def _listen(self, sockets: list[socket.socket]) -> None:
        make_protocol = functools.partial(
            HttpProtocol,
            self.config,
            self.server_state,
            self.lifespan.state,
            limits=ConnectionLimits(self._limits),
        )
        tls: dict[str, Any] = {}
        if self._tls is not None:
            tls = {
                "ssl": self._tls.context,
                "ssl_handshake_timeout": self._limits.header_seconds,
                "ssl_shutdown_timeout": TLS_CLOSING_SECONDS,
            }
        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(make_protocol, sock=each, backlog=self.config.backlog, **tls)
            for each in sockets
        ]

    async def on_tick(self, counter: int) -> bool:
        if counter % TICKS == 0:
            self._check_connections()
        return await super().on_tick(counter)

    def _check_connections(self) -> None:
        now = asyncio.get_running_loop().time()
        for connection in tuple(self.server_state.connections):
            try:
                cast("HttpProtocol | WebSocketProtocol", connection).check(now, self._limits)
            except Exception:  # one connection must not keep the others from being checked
                LOGGER.exception("The time limits of a connection could not be checked.")


def _config(app: ASGIApp, limits: Limits) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        interface="asgi3",
        ws=WebSocketProtocol,
        log_config=None,  # uvicorn's own would close the log files of the program that serves
        # A line for each request drowns all others, and costs as much as reading a property.
        access_log=logging.getLogger().isEnabledFor(logging.DEBUG),
        server_header=False,  # an attacker need not know the versions
        # Tasks outlive their connections: without it, clients that go away during a slow read
        # would leave any number of them behind.
        limit_concurrency=2 * limits.connections + 100,
        ws_max_size=limits.frame_bytes,
        ws_per_message_deflate=False,  # values are small, and compressing each halves the rate
        ws_ping_interval=limits.ping_seconds,
        ws_ping_timeout=limits.ping_seconds,
        timeout_keep_alive=limits.keep_alive_seconds,
        timeout_graceful_shutdown=1,
    )
