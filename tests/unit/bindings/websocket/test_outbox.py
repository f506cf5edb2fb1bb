"""Answers that wait to be sent."""

from __future__ import annotations

import asyncio

import pytest

from labthings_fastapi.bindings.websocket import outbox as module
from labthings_fastapi.bindings.websocket.outbox import Outbox


@pytest.mark.parametrize(
    ("limit", "texts"), [("MOST_WAITING", ["a", "b"]), ("MOST_CHARACTERS", ["ab"])]
)
def test_there_is_room_again_when_something_was_taken(monkeypatch, limit, texts):
    monkeypatch.setattr(module, limit, 2)
    rings = []

    async def fill_and_empty():
        outbox = Outbox(lambda: rings.append(1))
        for text in texts:
            await outbox.room()
            outbox.put(text)
        waiting = asyncio.ensure_future(outbox.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        assert outbox.take() == texts[0]
        await waiting
        return outbox

    outbox = asyncio.run(fill_and_empty())
    assert len(rings) == len(texts)
    assert bool(outbox) is (len(texts) > 1)
