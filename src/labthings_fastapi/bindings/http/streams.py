"""Messages of the broker as a stream of server-sent events (HTML standard, section 9.2)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from labthings_fastapi.messages.stream import COMMENT, MessageStream, encode
from labthings_fastapi.own_log import own_logger

from .request_response import ClientGoneError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from labthings_fastapi.messages.broker import Broker
    from labthings_fastapi.messages.message import Message
    from labthings_fastapi.messages.topic import Topic

    from .request_response import HttpResponse

LOGGER = own_logger("http")


async def stream(
    response: HttpResponse,
    broker: Broker,
    topic: Topic,
    encode_message: Callable[[Message], bytes] = encode,
    present: Callable[[], Awaitable[bytes]] | None = None,
) -> None:
    """Send messages until the client leaves or the broker closes.

    A `Last-Event-ID` header replays the messages after it. A `gap` event stands for messages that
    are lost. `present` gives events that come first, if nothing or not all can be replayed.
    """
    last_id = response.header(b"last-event-id")
    with MessageStream(broker, topic, last_id) as messages:
        await response.begin_stream("text/event-stream")
        if response.scope["method"] == "HEAD":
            await response.send_part(b"", more=False)
            return
        missed = messages.subscription.take()
        if last_id and not any(message.kind == "gap" for message in missed):
            present = None
        sending = asyncio.create_task(_send(response, messages, missed, encode_message, present))
        leaving = asyncio.create_task(response.client_left())
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving):
                task.cancel()
            for error in await asyncio.gather(sending, leaving, return_exceptions=True):
                _log_failure(error, response.path)


def _log_failure(error: BaseException | None, path: str) -> None:
    """Log an error that ended a stream; the end by the client or the server is no error."""
    ordinary = (asyncio.CancelledError, ClientGoneError, OSError)
    if error is not None and not isinstance(error, ordinary):
        LOGGER.error("The stream at %s failed and was closed.", path, exc_info=error)


async def _send(
    response: HttpResponse,
    messages: MessageStream,
    missed: list[Message],
    encode_message: Callable[[Message], bytes],
    present: Callable[[], Awaitable[bytes]] | None,
) -> None:
    if missed:
        await response.send_part(b"".join(map(encode_message, missed)))
    if present is not None:
        await response.send_part(await present())
    async for batch in messages:
        await response.send_part(b"".join(map(encode_message, batch)) or COMMENT)
    await response.send_part(b"", more=False)
