"""A server that cannot listen closes its app; one bad connection does not hide the others."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI

from labthings_fastapi.server.address import (
    AddressError,
    ListenAddress,
    bind,
    close_all,
    listen_address,
)
from labthings_fastapi.server.web.connection_limits import Limits
from labthings_fastapi.server.web.run import ServerHooks, UvicornServer


async def listening(_address: ListenAddress) -> None:
    pytest.fail("It must not listen.")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a port is bound only once")
def test_an_app_is_shut_down_if_another_server_took_the_port_meanwhile():
    events = []

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        events.append("opened")
        yield
        events.append("closed")

    sockets = bind("127.0.0.1", 0)
    address = listen_address(sockets, "127.0.0.1", tls=False)
    server = UvicornServer(
        ServerHooks(FastAPI(lifespan=lifespan), listening), address, Limits(), None
    )
    try:
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", address.port))
            other.listen()
            with pytest.raises(AddressError, match=f"Port {address.port}"):
                asyncio.run(server.serve(sockets))
    finally:
        close_all(sockets)
    assert events == ["opened", "closed"]


def test_a_connection_that_cannot_be_checked_does_not_hide_the_others(caplog):
    class Broken:
        def check(self, now: float, limits: Limits) -> None:
            raise RuntimeError("broken")

    class Sound(Broken):
        checked = 0

        def check(self, now: float, limits: Limits) -> None:
            self.checked += 1

    sound = Sound()
    server = UvicornServer(ServerHooks(FastAPI(), listening), ListenAddress("a", 1), Limits(), None)
    server.config.load()
    connections: set[Any] = server.server_state.connections  # type: ignore[assignment]
    connections |= {Broken(), sound, Broken()}

    async def ticks() -> None:
        for counter in range(20):
            await server.on_tick(counter)

    asyncio.run(ticks())
    assert sound.checked == 2
    assert "time limits of a connection could not be checked" in caplog.text
