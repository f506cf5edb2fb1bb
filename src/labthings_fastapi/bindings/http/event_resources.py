"""Events as HTTP resources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic_core import to_json

from labthings_fastapi.messages.stream import encode
from labthings_fastapi.messages.topic import Topic
from labthings_fastapi.thing_description.paths import name_of

from .observing import Observed, is_poll
from .router import NO_METHODS
from .streams import stream

if TYPE_CHECKING:
    from labthings_fastapi.descriptors.event import EventDescriptor
    from labthings_fastapi.messages.broker import Broker
    from labthings_fastapi.messages.message import Message
    from labthings_fastapi.thing import Thing

    from .request_response import HttpResponse


class ServerEventsResource:
    """`/events`: all messages of the server in one stream; used on the server's event loop."""

    fallthrough_methods = NO_METHODS
    label = "The events of the server"

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.handlers = {"GET": self.get}

    async def get(self, response: HttpResponse) -> None:
        """Stream status, log and results of invocations, changes of properties, and events."""
        await stream(response, self._broker, Topic(), _encode_with_origin)


def _encode_with_origin(message: Message) -> bytes:
    """Encode a message with the names of its Thing and affordance, and the invocation's id."""
    origin = to_json(
        {
            "kind": message.kind,
            "thing": message.thing,
            "name": message.affordance,
            "invocation": message.invocation,
            "timestamp": message.time,
            "time": message.time,  # its older name
        },
        exclude_none=True,
    )
    payload = b'%b,"data":%b}' % (origin[:-1], message.payload)
    return encode(message.with_payload(payload), message.kind)


class EventResource:
    """`/{thing}/{event}`, and without a descriptor `/{thing}/events`; used on the event loop."""

    fallthrough_methods = NO_METHODS

    def __init__(self, thing: Thing, descriptor: EventDescriptor | None, broker: Broker) -> None:
        """Serve one event of a Thing; without a descriptor, all of its events."""
        name = descriptor.name if descriptor is not None else None
        self._observed = Observed(broker, name_of(thing), frozenset({"event"}), name)
        subject = f"Event {name!r}" if name else "The events"
        self.label = f"{subject} of Thing {name_of(thing)!r}"
        self.handlers = {"GET": self.get}

    async def get(self, response: HttpResponse) -> None:
        """Stream the event as `text/event-stream`, or send one of them to a long poll."""
        response.varies = True
        if is_poll(response):
            await self._observed.poll(response)
        else:
            await self._observed.stream(response)
