"""Messages of the broker as a stream of server-sent events (HTML standard, section 9.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from labthings_fastapi.messages.stream import COMMENT, MessageStream, encode
from labthings_fastapi.own_log import own_logger

from .request_response import ClientGoneError

if TYPE_CHECKING:
    from labthings_fastapi.messages.broker import Broker
    from labthings_fastapi.messages.message import Message
    from labthings_fastapi.messages.topic import Topic

    from .request_response import HttpResponse

LOGGER = own_logger("http")
Present = Mapping[str, Callable[[], Awaitable[bytes]]]
"""What gives the event of the present value, by property."""
HEAD_START = 0.5
"""How long (s) messages wait for present values, so that these come first."""


async def stream(
    response: HttpResponse,
    broker: Broker,
    topic: Topic,
    encode_message: Callable[[Message], bytes] = encode,
    present: Present | None = None,
) -> None:
    """Send messages until the client leaves or the broker closes.

    A `Last-Event-ID` header replays the messages after it. A `gap` event stands for messages that
    are lost. The events of `present` come first, if nothing or not all can be replayed; one that
    takes its time delays nothing, and does not come at all if a message is newer.
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
        stream = _Stream(response, messages, encode_message)
        sending = asyncio.create_task(stream.send(missed, present or {}))
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


class _Stream:
    """Sends the events of one stream."""

    def __init__(
        self,
        response: HttpResponse,
        messages: MessageStream,
        encode_message: Callable[[Message], bytes],
    ) -> None:
        self._response = response
        self._messages = messages
        self._encode = encode_message
        self._sent: set[str] = set()  # the affordances whose messages were sent

    async def send(self, missed: list[Message], present: Present) -> None:
        """Send what was missed, what is present, and each message; return at the end."""
        if missed:
            await self._send_messages(missed)
        reading = {
            name: asyncio.create_task(self._send_present(name, event))
            for name, event in present.items()
        }
        try:
            if reading:
                await asyncio.wait(reading.values(), timeout=HEAD_START)
            async for batch in self._messages:
                if batch:
                    self._sent.update(message.affordance for message in batch if reading)
                    await self._send_messages(batch)
                else:
                    await self._response.send_part(COMMENT)
        finally:
            for task in reading.values():
                task.cancel()
            await asyncio.gather(*reading.values(), return_exceptions=True)
        await self._response.send_part(b"", more=False)

    async def _send_messages(self, messages: list[Message]) -> None:
        await self._response.send_part(b"".join(map(self._encode, messages)))

    async def _send_present(self, name: str, event: Callable[[], Awaitable[bytes]]) -> None:
        text = await event()
        if name not in self._sent:
            await self._response.send_part(text)
