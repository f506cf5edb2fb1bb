"""Responses that wait until the client receives them."""

from __future__ import annotations

import asyncio

import pytest

from labthings_fastapi.bindings.websocket import connection as module
from labthings_fastapi.bindings.websocket.connection import Outbox


@pytest.mark.parametrize(
    ("limit", "texts"), [("MAX_RESPONSES", ["a", "b"]), ("MAX_CHARACTERS", ["ab"])]
)
def test_a_full_outbox_has_room_again_after_a_response_was_taken(monkeypatch, limit, texts):
    monkeypatch.setattr(module, limit, 2)
    wakes = []

    async def fill_and_empty():
        outbox = Outbox(lambda: wakes.append(1))
        for text in texts:
            await outbox.wait_for_room()
            outbox.put(text)
        waiting = asyncio.ensure_future(outbox.wait_for_room())
        await asyncio.sleep(0)
        assert not waiting.done()
        assert outbox.take() == texts[0]
        await waiting
        return outbox

    outbox = asyncio.run(fill_and_empty())
    assert len(wakes) == len(texts)
    assert bool(outbox) is (len(texts) > 1)
