"""HEAD for every GET, also where a FastAPI route answers (RFC 9110, section 9.3.2)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


async def answer_head(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Let an app answer HEAD; if it refuses, send the headers of its response to GET.

    FastAPI refuses HEAD unless a route lists it, and then the OpenAPI document lists it as well.
    """
    first_response = _UnlessRefused(send)
    await app(scope, receive, first_response.send)
    if not first_response.refused:
        return
    get_response = _HeadersOnly(send)
    answering = asyncio.ensure_future(app({**scope, "method": "GET"}, receive, get_response.send))
    ending = asyncio.create_task(get_response.has_more.wait())
    try:
        await asyncio.wait({answering, ending}, return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            answering.result()
    finally:
        for task in (answering, ending):
            task.cancel()
        await asyncio.gather(answering, ending, return_exceptions=True)


class _UnlessRefused:
    """Sends a response, unless it is a 405 that allows GET."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.refused = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 405:
            allowed = b",".join(v for name, v in message["headers"] if name.lower() == b"allow")
            self.refused = b"GET" in allowed.replace(b",", b" ").split()
        if not self.refused:
            await self._send(message)


class _HeadersOnly:
    """Sends the headers of a response, and an empty body."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._ended = False
        self.has_more = asyncio.Event()
        """Set when the body has more parts; a stream has no end, so the app is cancelled."""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._send(message)
        elif message["type"] == "http.response.body":
            if not self._ended:
                self._ended = True
                await self._send({"type": "http.response.body", "body": b""})
            if message.get("more_body", False):
                self.has_more.set()
