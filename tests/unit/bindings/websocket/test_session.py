"""One open socket, or one that does not come to be open."""

from __future__ import annotations

import asyncio

import pytest

import labthings_fastapi as lt
from labthings_fastapi.example_things import MyThing


@pytest.mark.parametrize("error", [OSError, asyncio.CancelledError])
def test_a_client_that_leaves_before_it_is_let_in_leaves_no_subscription(error):
    server = lt.ThingServer.from_things({"mine": MyThing})

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        assert message["type"] == "websocket.accept"
        raise error

    async def come():
        scope = {"type": "websocket", "path": "/mine/ws", "headers": [], "subprotocols": []}
        with pytest.raises(error):
            await server.app(scope, receive, send)

    asyncio.run(come())
    assert not server.broker.is_heard
