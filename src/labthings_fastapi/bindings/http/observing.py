"""Following changes at the URL of a property or event: as a stream, or by long polling."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from pydantic_core import from_json, to_json

from labthings_fastapi.bindings.interaction.failures import interaction_problem, not_observable
from labthings_fastapi.concurrency.threadsafe_event import ThreadsafeEvent
from labthings_fastapi.exceptions import ServerNotRunningError
from labthings_fastapi.messages.stream import render
from labthings_fastapi.messages.topic import Topic
from labthings_fastapi.outputs.negotiation import JSON, qualities
from labthings_fastapi.problems import PROBLEM_MEDIA_TYPE

from .poll_positions import PollPositions
from .request_response import ClientGoneError
from .streams import stream

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from labthings_fastapi.bindings.interaction.properties import PropertyInteraction
    from labthings_fastapi.messages.broker import Broker, Subscription
    from labthings_fastapi.messages.message import Message, MessageKind

    from .request_response import HttpResponse

POLL_SECONDS = 60.0
EVENT_STREAM = "text/event-stream"
LAST_ID = "Last-Event-ID"
_EVENT_STREAM = EVENT_STREAM.encode()


class Observed:
    """A selection of messages that clients may follow; used on the server's event loop."""

    def __init__(
        self,
        broker: Broker,
        thing: str,
        kinds: frozenset[MessageKind],
        affordance: str | None = None,
        properties: Sequence[PropertyInteraction] = (),
    ) -> None:
        """Select one affordance of a Thing, or without a name all affordances of these kinds.

        `properties`: those that are observed; none if these are events.
        """
        self._broker = broker
        self._topic = Topic(thing=thing, affordance=affordance, kinds=kinds)
        self._positions = PollPositions()
        self._properties = properties
        self._is_one_property = bool(properties) and affordance is not None

    async def stream(self, response: HttpResponse) -> None:
        """Send each message as a server-sent event, until the client leaves or the server stops.

        With `?initial=true`, the present values come first, without an id.
        """
        wants = self._properties and _asks(response, "initial", "true")
        present = {one.descriptor.name: partial(present_event, one) for one in self._properties}
        await stream(response, self._broker, self._topic, present=present if wants else None)

    async def poll(self, response: HttpResponse) -> None:
        """Send the next message as soon as it comes; after a minute a property's present value.

        There is no answer without a value, because clients take each one for a message: a poll of
        events, or of all properties, waits on. A failed reading is answered with its problem.

        HEAD is answered at once, and the poll that follows gets what comes after it. A client that
        sends the `Last-Event-ID` of each response with its next request misses no message; for
        other clients see `PollPositions`.
        """
        if response.scope["method"] == "HEAD":
            self._positions.begin(response, self._broker.position)
            await response.send(200)
            return
        last_id = response.header(b"last-event-id")
        if last_id:
            message, position = await self._next(response, last_id)
        else:
            message, position = await self._next_after_position(response)
        headers = {LAST_ID: position, "Cache-Control": "no-store"}
        if message is None:
            await response.send(200, await self._properties[0].read(), headers=headers)
        elif message.kind == "reading-failed":
            problem = from_json(message.payload)["error"]
            await response.send(problem["status"], to_json(problem), PROBLEM_MEDIA_TYPE, headers)
        else:
            await response.send(200, self._body(message), headers=headers)

    async def _next_after_position(self, response: HttpResponse) -> tuple[Message | None, str]:
        kept, persistent = self._positions.take(response)
        after = kept or self._broker.position
        try:
            message, position = await self._next(response, after)
        except BaseException:
            self._positions.gave_up(response, after)
            raise
        self._positions.answered(response, position, persistent=persistent)
        return message, position

    def _body(self, message: Message) -> bytes:
        if self._topic.affordance is not None:
            return message.payload
        return b"{%b:%b}" % (to_json(message.affordance), message.payload)

    async def _next(self, response: HttpResponse, after: str) -> tuple[Message | None, str]:
        """Return the next message, and the number after which to continue.

        None: none came for a minute to the poll of a property.

        Raises:
            ClientGoneError: the client closed the connection before a message came.
            ServerNotRunningError: the server stops, or the client could not follow.
        """
        published = ThreadsafeEvent()
        with self._broker.subscribe(self._topic, wake=published.set, after=after) as subscription:
            waiting = asyncio.create_task(_first(subscription, published))
            leaving = asyncio.create_task(response.client_left())
            try:
                await asyncio.wait(
                    {waiting, leaving},
                    timeout=POLL_SECONDS if self._is_one_property else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if leaving.done():
                    raise ClientGoneError
                # The position is read before the mailbox: a message that comes between the two is
                # found here or has a higher number.
                position = self._broker.position
                message = waiting.result() if waiting.done() else _take_first(subscription)
                if message is None and subscription.over:
                    raise ServerNotRunningError("The server stops: there are no more messages.")
                return message, position if message is None else message.seq
            finally:
                for task in (waiting, leaving):
                    task.cancel()
                await asyncio.gather(waiting, leaving, return_exceptions=True)


async def _first(subscription: Subscription, published: ThreadsafeEvent) -> Message | None:
    """Return the first message that comes, or None when the server stops."""
    while not subscription.over:
        message = _take_first(subscription)
        if message is not None:
            return message
        await published.wait()
    return None


def _take_first(subscription: Subscription) -> Message | None:
    """Return the first message that waits; the next request gets the others from the replay."""
    return next((message for message in subscription.take() if message.kind != "gap"), None)


def follow_request(
    response: HttpResponse, observed: Observed | None, label: str
) -> Coroutine[Any, Any, None] | None:
    """Return the coroutine that serves a stream or a poll; None if the client wants the value.

    Without `observed`, the property is not observable, and a stream or poll is refused with 406.
    """
    response.varies = observed is not None
    if not response.scope.get("query_string") and _EVENT_STREAM not in response.accept:
        return None
    polls, streams = is_poll(response), prefers_events(response)
    if not (polls or streams):
        return None
    if observed is not None:
        return observed.poll(response) if polls else observed.stream(response)
    return response.send_problem(not_observable(label))


def is_poll(response: HttpResponse) -> bool:
    """Return True if the query has `observe=longpoll`."""
    return _asks(response, "observe", "longpoll")


def _asks(response: HttpResponse, name: str, value: str) -> bool:
    query: bytes = response.scope.get("query_string", b"")
    return bool(query) and value in parse_qs(query.decode("latin-1")).get(name, ())


async def present_event(one: PropertyInteraction) -> bytes:
    """Return the present value of a property as an event, or why there is none."""
    name = one.descriptor.name
    try:
        if one.reads_quickly:
            return render(name, await one.read(), time=datetime.now(UTC).isoformat())
        reading = await one.reading()
        json = await one.json_of(reading)
    except Exception as error:  # noqa: BLE001 - told to the client
        problem = interaction_problem(error, one.label, "").members()
        members = {"name": name, "error": problem, "timestamp": datetime.now(UTC).isoformat()}
        return render("reading-failed", to_json(members, inf_nan_mode="strings"))
    return render(name, json, time=reading.time.isoformat())


def prefers_events(response: HttpResponse) -> bool:
    """Return True if `Accept` prefers server-sent events to JSON (RFC 9110, section 12.5.1)."""
    accept = response.accept.decode("latin-1")
    if EVENT_STREAM not in accept:
        return False
    named = qualities(accept)
    return named.get(EVENT_STREAM, 0.0) > named.get(JSON, 0.0)
