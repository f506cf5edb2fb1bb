"""Following what changes, at the URL of what changes: as a stream, or by long polling."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from pydantic_core import to_json

from labthings_fastapi.bindings.interaction.failures import not_observable
from labthings_fastapi.concurrency.threadsafe_event import ThreadsafeEvent
from labthings_fastapi.messages.topic import Topic

from .poll_memory import PollMemory
from .request_response import ClientGoneError
from .streams import stream

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from labthings_fastapi.messages.broker import Broker
    from labthings_fastapi.messages.message import Message, MessageKind
    from labthings_fastapi.messages.subscription import Subscription

    from .request_response import HttpResponse

POLL_SECONDS = 60.0
EVENT_STREAM = "text/event-stream"
EVENTS = EVENT_STREAM.encode()
LAST_ID = "Last-Event-ID"


class Observed:
    """A selection of messages that clients may follow; used on the server's event loop."""

    def __init__(
        self, broker: Broker, thing: str, kind: MessageKind, affordance: str | None = None
    ) -> None:
        """Select one affordance of a Thing, or without a name all of them that are of a kind."""
        self._broker = broker
        self._topic = Topic(thing=thing, affordance=affordance, kinds=frozenset({kind}))
        self._polls = PollMemory()

    async def stream(self, exchange: HttpResponse) -> None:
        """Send each message as a server-sent event, until the client leaves or the server stops."""
        await stream(exchange, self._broker, self._topic)

    async def poll(self, exchange: HttpResponse) -> None:
        """Send the next message as soon as it comes, or 204 after a minute without one.

        HEAD is answered at once: clients ask whether the URL is good before they wait at it, and
        what happens from then on is for them. The answer's `Last-Event-ID`, sent with the next
        request, lets nothing fall between the two; for those that do not send it, see `PollMemory`.
        """
        if exchange.scope["method"] == "HEAD":
            self._polls.note(exchange, self._broker.position)
            await exchange.reply(200)
            return
        told = exchange.header(b"last-event-id")
        after = told or self._polls.after(exchange) or self._broker.position
        position = after  # also if the client leaves before there is an answer
        try:
            message, position = await self._next(exchange, after)
        finally:
            if told is None:
                self._polls.note(exchange, position)
        headers = {LAST_ID: position, "Cache-Control": "no-store"}
        if message is None:
            await exchange.reply(204, headers=headers)
        else:
            await exchange.reply(200, self._written(message), headers=headers)

    def _written(self, message: Message) -> bytes:
        if self._topic.affordance is not None:
            return message.payload
        return b"{%b:%b}" % (to_json(message.affordance), message.payload)

    async def _next(self, exchange: HttpResponse, after: str) -> tuple[Message | None, str]:
        """Return the next message, if one comes in time, and the number after which to go on.

        Raises:
            ClientGoneError: whatever came was not received.
        """
        bell = ThreadsafeEvent()
        with self._broker.subscribe(self._topic, wake=bell.set, after=after) as subscription:
            coming = asyncio.create_task(_first(subscription, bell))
            leaving = asyncio.create_task(exchange.client_left())
            try:
                await asyncio.wait(
                    {coming, leaving},
                    timeout=POLL_SECONDS,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if leaving.done():
                    raise ClientGoneError
                # First the position, then a last look: what is not seen here comes after it.
                position = self._broker.position
                message = coming.result() if coming.done() else _taken(subscription)
                return message, position if message is None else message.seq
            finally:
                for task in (coming, leaving):
                    task.cancel()
                await asyncio.gather(coming, leaving, return_exceptions=True)


async def _first(subscription: Subscription, bell: ThreadsafeEvent) -> Message | None:
    """Return the first message that comes, or None when the server stops."""
    while not subscription.over:
        message = _taken(subscription)
        if message is not None:
            return message
        await bell.wait()
    return None


def _taken(subscription: Subscription) -> Message | None:
    """Return the first message that waits; the others are replayed to the next request."""
    return next((message for message in subscription.take() if message.kind != "gap"), None)


def following(
    exchange: HttpResponse, observed: Observed | None, what: str
) -> Coroutine[Any, Any, None] | None:
    """Return what answers a request that asks to follow something; None: it asks for the value.

    What is not observable (None) is refused with 406, so that a client does not wait in vain.
    """
    exchange.varies = observed is not None
    if not exchange.scope.get("query_string") and EVENTS not in exchange.accepted:
        return None  # as most do
    polls, streams = asks_to_poll(exchange), prefers_events(exchange)
    if not (polls or streams):
        return None
    if observed is not None:
        return observed.poll(exchange) if polls else observed.stream(exchange)
    return exchange.refuse(not_observable(what))


def asks_to_poll(exchange: HttpResponse) -> bool:
    """Whether the query says `observe=longpoll`."""
    query: bytes = exchange.scope.get("query_string", b"")
    return bool(query) and "longpoll" in parse_qs(query.decode("latin-1")).get("observe", ())


def prefers_events(exchange: HttpResponse) -> bool:
    """Whether `Accept` asks for server-sent events rather than JSON (RFC 9110, section 12.5.1)."""
    accept = (exchange.header(b"accept") or "").lower()
    if EVENT_STREAM not in accept:
        return False
    qualities = dict(map(_quality, accept.split(",")))
    return qualities.get(EVENT_STREAM, 0.0) > qualities.get("application/json", 0.0)


def _quality(entry: str) -> tuple[str, float]:
    media_type, *parameters = entry.split(";")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return media_type.strip(), float(value)
            except ValueError:
                break
    return media_type.strip(), 1.0
