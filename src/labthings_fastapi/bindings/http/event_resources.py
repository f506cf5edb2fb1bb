"""Events as HTTP resources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic_core import to_json

from labthings_fastapi.messages.sse import encode
from labthings_fastapi.messages.topic import Topic

from .observing import Observed, asks_to_poll
from .property_resources import NO_METHODS
from .streams import stream

if TYPE_CHECKING:
    from labthings_fastapi.descriptors.event import EventDescriptor
    from labthings_fastapi.messages.broker import Broker
    from labthings_fastapi.messages.message import Message
    from labthings_fastapi.thing import Thing

    from .request_response import HttpResponse


class ServerEventsResource:
    """`/events`: all that happens on the server; used on the server's event loop."""

    fallthrough_methods = NO_METHODS
    what = "The events of the server"

    def __init__(self, broker: Broker) -> None:
        """Let clients follow everything with one stream."""
        self._broker = broker
        self.handlers = {"GET": self.get}

    async def get(self, exchange: HttpResponse) -> None:
        """Send changes of runs and properties, events, logs and results as they come."""
        await stream(exchange, self._broker, Topic(), _with_origin)


def _with_origin(message: Message) -> bytes:
    """Write a message so that it says of which Thing, affordance and run it is."""
    origin = to_json(
        {
            "kind": message.kind,
            "thing": message.thing,
            "name": message.affordance,
            "invocation": message.invocation,
            "time": message.time,
        },
        exclude_none=True,
    )
    payload = b'%b,"data":%b}' % (origin[:-1], message.payload)
    return encode(message.with_payload(payload), message.kind)


class EventResource:
    """`/{thing}/{event}`, and without a descriptor `/{thing}/events`; used on the event loop."""

    fallthrough_methods = NO_METHODS

    def __init__(self, thing: Thing, descriptor: EventDescriptor | None, broker: Broker) -> None:
        """Let clients subscribe to one event of one Thing, or to all of them."""
        name = descriptor.name if descriptor is not None else None
        self._observed = Observed(broker, thing.name, "event", name)
        subject = f"Event {name!r}" if name else "The events"
        self.what = f"{subject} of Thing {thing.name!r}"
        self.handlers = {"GET": self.get}

    async def get(self, exchange: HttpResponse) -> None:
        """Send the event, each time that it happens, as `text/event-stream`; or poll for one."""
        exchange.varies = True
        if asks_to_poll(exchange):
            await self._observed.poll(exchange)
        else:
            await self._observed.stream(exchange)
