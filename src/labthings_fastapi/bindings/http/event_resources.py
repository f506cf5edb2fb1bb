"""Events as HTTP resources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labthings_fastapi.messages.topic import Topic

from .property_resources import NO_METHODS
from .streams import stream

if TYPE_CHECKING:
    from labthings_fastapi.descriptors.event import EventDescriptor
    from labthings_fastapi.messages.broker import Broker
    from labthings_fastapi.thing import Thing

    from .exchange import Exchange


class EventResource:
    """`/{thing}/{event}`; used on the server's event loop."""

    passes_on = NO_METHODS

    def __init__(self, thing: Thing, descriptor: EventDescriptor, broker: Broker) -> None:
        """Let clients subscribe to one event of one Thing."""
        self._broker = broker
        self._topic = Topic(
            thing=thing.name, affordance=descriptor.name, kinds=frozenset({"event"})
        )
        self.what = f"Event {descriptor.name!r} of Thing {thing.name!r}"
        self.handlers = {"GET": self.get}

    async def get(self, exchange: Exchange) -> None:
        """Send the event, each time that it happens, as `text/event-stream`."""
        await stream(exchange, self._broker, self._topic)
