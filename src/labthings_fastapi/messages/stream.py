"""The messages of a topic for one coroutine: the loop that every stream shares."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Self

from labthings_fastapi.concurrency.threadsafe_event import ThreadsafeEvent

from .broker import Broker
from .message import Message
from .sse import KEEP_ALIVE_SECONDS
from .topic import Topic


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
