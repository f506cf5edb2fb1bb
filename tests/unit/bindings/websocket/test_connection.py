"""A socket that closes before it is open."""

from __future__ import annotations

import asyncio

import pytest

import labthings_fastapi as lt
from labthings_fastapi.example_things import MyThing


@pytest.mark.parametrize("error", [OSError, asyncio.CancelledError])
def test_a_client_that_disconnects_during_the_handshake_leaves_no_subscription(error):
    server = lt.ThingServer.from_things({"mine": MyThing})

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        assert message["type"] == "websocket.accept"
        raise error

    async def connect():
        scope = {"type": "websocket", "path": "/mine/ws", "headers": [], "subprotocols": []}
        with pytest.raises(error):
            await server.app(scope, receive, send)

    asyncio.run(connect())
    assert not server._broker._subscriptions
