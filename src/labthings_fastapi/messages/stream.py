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

COMMENT = b": keep-alive\n"
"""Keeps proxies and clients from closing a quiet connection.

No empty line follows: some clients take what ends with one for an event.
"""
KEEP_ALIVE_SECONDS = 4.0
"""How long a stream is silent before the comment is sent: common clients give up after 5 s."""
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
    """Write a message as one event, by default named after its affordance or its kind.

    The event of a bare value has a field `time` as well, when it was read or happened; readers
    ignore fields that they do not know (HTML, 9.2.6).
    """
    time = ""
    if event is None:
        event = message.kind
        if event in ("property", "event"):
            event, time = message.affordance, message.time.isoformat()
    if len(message.payload) > _SHORT:
        return render(event, message.payload, message.seq, time)
    return _render_cached(event, message.payload, message.seq, time)


def render(event: str, payload: bytes, id: str = "", time: str = "") -> bytes:
    """Write one event; without an id, `Last-Event-ID` of the client stays."""
    fields = ((b"event", event), (b"id", id), (b"time", time))
    head = b"".join(b"%b: %b\n" % (name, _one_line(text)) for name, text in fields if text)
    return head + b"data: %b\n\n" % _LINE_END.sub(b"\ndata: ", payload)


def _one_line(text: str) -> bytes:
    # A line end in a name must not be able to begin a field of its own.
    return _LINE_END.sub(b" ", text.encode("utf-8", "replace"))


_render_cached = lru_cache(maxsize=256)(render)
