"""The messages of a topic for one coroutine, and as `text/event-stream` (HTML, section 9.2)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from functools import lru_cache
from typing import Self

from labthings_fastapi.concurrency.threadsafe_event import ThreadsafeEvent

from .broker import Broker
from .message import Message
from .topic import Topic

COMMENT = b": keep-alive\n\n"
"""Keeps proxies from closing a quiet connection."""
KEEP_ALIVE_SECONDS = 15.0
"""How long a stream is silent before the comment is sent."""
_SHORT = 4096
"""Up to how many bytes of payload the rendered event is cached for other subscribers."""
_LINE_END = re.compile(rb"\r\n|\r|\n")


class MessageStream:
    """The messages of a topic, in batches, until the subscription is closed; for one coroutine.

    After `KEEP_ALIVE_SECONDS` without a message, iterating gives an empty list.
    """

    def __init__(
        self, broker: Broker, topic: Topic, after: str | None = None, capacity: int = 1000
    ) -> None:
        self._event = ThreadsafeEvent()
        wake = self._event.set
        self.subscription = broker.subscribe(topic, wake=wake, after=after, capacity=capacity)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.subscription.close()

    async def __aiter__(self) -> AsyncIterator[list[Message]]:
        while not self.subscription.over:
            messages = self.subscription.take()
            if messages:
                yield messages
            elif not await self._event.wait(KEEP_ALIVE_SECONDS):
                yield []


def encode(message: Message, event: str | None = None) -> bytes:
    """Write a message as one event, by default named after its affordance or its kind."""
    if event is None:
        event = message.affordance if message.kind in ("property", "event") else message.kind
    if len(message.payload) > _SHORT:
        return _render(event, message.seq, message.payload)
    return _render_cached(event, message.seq, message.payload)


def _render(event: str, id: str, payload: bytes) -> bytes:
    data = _LINE_END.sub(b"\ndata: ", payload)
    return b"event: %b\nid: %b\ndata: %b\n\n" % (_one_line(event), _one_line(id), data)


def _one_line(text: str) -> bytes:
    # A line end in a name must not be able to begin a field of its own.
    return _LINE_END.sub(b" ", text.encode("utf-8", "replace"))


_render_cached = lru_cache(maxsize=256)(_render)
