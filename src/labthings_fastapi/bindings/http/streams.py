"""Messages of the broker as a stream of server-sent events (HTML standard, section 9.2)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from labthings_fastapi.concurrency.threadsafe_event import ThreadsafeEvent
from labthings_fastapi.messages.sse import COMMENT, KEEP_ALIVE_SECONDS, encode
from labthings_fastapi.own_log import own_logger

from .request_response import ClientGoneError

if TYPE_CHECKING:
    from collections.abc import Callable

    from labthings_fastapi.messages.broker import Broker
    from labthings_fastapi.messages.message import Message
    from labthings_fastapi.messages.subscription import Subscription
    from labthings_fastapi.messages.topic import Topic

    from .request_response import HttpResponse

LOGGER = own_logger("http")


async def stream(
    exchange: HttpResponse,
    broker: Broker,
    topic: Topic,
    write: Callable[[Message], bytes] = encode,
) -> None:
    """Send what happens, as `write` writes it, until the client goes away or the broker closes.

    A `Last-Event-ID` header replays what was missed; what is lost is said by a `gap` event.
    """
    bell = ThreadsafeEvent()
    with broker.subscribe(
        topic, wake=bell.set, after=exchange.header(b"last-event-id")
    ) as subscription:
        await exchange.begin_stream("text/event-stream")
        if exchange.scope["method"] == "HEAD":
            await exchange.send_part(b"", more=False)
            return
        sending = asyncio.create_task(_send(exchange, subscription, bell, write))
        leaving = asyncio.create_task(exchange.client_left())
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving):
                task.cancel()
            for error in await asyncio.gather(sending, leaving, return_exceptions=True):
                _note(error, exchange.path)


def _note(error: BaseException | None, path: str) -> None:
    """Leave a trace of what ended a stream, unless that was the client or the server."""
    ordinary = (asyncio.CancelledError, ClientGoneError, OSError)
    if error is not None and not isinstance(error, ordinary):
        LOGGER.error("The stream at %s failed, and was cut off.", path, exc_info=error)


async def _send(
    exchange: HttpResponse,
    subscription: Subscription,
    bell: ThreadsafeEvent,
    write: Callable[[Message], bytes],
) -> None:
    while not subscription.over:
        messages = subscription.take()
        if messages:
            await exchange.send_part(b"".join(map(write, messages)))
        elif not await bell.wait(KEEP_ALIVE_SECONDS):
            await exchange.send_part(COMMENT)
    await exchange.send_part(b"", more=False)
