"""HEAD wherever there is GET, also where a FastAPI route answers (RFC 9110, section 9.3.2)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


async def answer_head(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Let an app answer HEAD; if it only knows GET there, send the head of that answer.

    FastAPI refuses HEAD unless a route names it, which would put it into the OpenAPI document.
    """
    attempt = _Attempt(send)
    await app(scope, receive, attempt.send)
    if not attempt.refused:
        return
    cut = _Cut(send)
    answering = asyncio.ensure_future(app({**scope, "method": "GET"}, receive, cut.send))
    ending = asyncio.create_task(cut.endless.wait())
    try:
        await asyncio.wait({answering, ending}, return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            answering.result()
    finally:
        for task in (answering, ending):
            task.cancel()
        await asyncio.gather(answering, ending, return_exceptions=True)


class _Attempt:
    """Passes an answer on, unless it says that GET, but not HEAD, is allowed."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.refused = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 405:
            allowed = b",".join(v for name, v in message["headers"] if name.lower() == b"allow")
            self.refused = b"GET" in allowed.replace(b",", b" ").split()
        if not self.refused:
            await self._send(message)


class _Cut:
    """Passes the head of an answer on, and ends it there."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._ended = False
        self.endless = asyncio.Event()
        """Set when more is to follow, perhaps for ever: whoever makes it may stop."""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._send(message)
        elif message["type"] == "http.response.body":
            if not self._ended:
                self._ended = True
                await self._send({"type": "http.response.body", "body": b""})
            if message.get("more_body", False):
                self.endless.set()
