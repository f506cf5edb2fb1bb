"""Who is inside: streams and sockets end when what opened them is revoked, expires or changes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from labthings_fastapi.bindings.http.request_response import ClientGoneError
from labthings_fastapi.own_log import own_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import Message, Receive, Send

    from labthings_fastapi.security.roles import Actor

LOGGER = own_logger("security")
REASON = "The token is not valid any more"


class CredentialRevokedError(ClientGoneError, OSError):
    """The client may not be told more; for whoever tells it something, it has gone."""


class AuthenticatedConnection:
    """One connection of somebody who had to say who it is; used on the server's event loop."""

    __slots__ = ("_kind", "_receive", "_send", "_unfinished", "actor", "over")

    def __init__(self, actor: Actor, kind: str, receive: Receive, send: Send) -> None:
        """Stand between an app and the client; `kind` is that of the ASGI scope."""
        self.actor = actor
        self.over = asyncio.Event()
        self._kind = kind
        self._receive = receive
        self._send = send
        self._unfinished = False

    async def receive(self) -> Message:
        """Return what comes from the client, or that it has gone: when the visit is over."""
        coming = asyncio.ensure_future(self._receive())
        ending = asyncio.ensure_future(self.over.wait())
        try:
            await asyncio.wait({coming, ending}, return_when=asyncio.FIRST_COMPLETED)
            if self.over.is_set():
                return await self._goodbye()
            message = coming.result()
            if message["type"] == "websocket.disconnect":
                self._unfinished = False
            return message
        finally:
            ending.cancel()
            if not coming.done():
                coming.cancel()

    async def send(self, message: Message) -> None:
        """Pass a message to the client, unless the visit is over."""
        if self.over.is_set():
            raise CredentialRevokedError("The token of this client is not valid any more.")
        kind: str = message["type"]
        if kind == "http.response.body":
            self._unfinished = message.get("more_body", False)
        else:
            self._unfinished = kind in ("http.response.start", "websocket.accept", "websocket.send")
        await self._send(message)

    async def finish(self) -> None:
        """End in good order what was cut short: an answer, or a socket that sent all the time."""
        if not self._unfinished:
            return
        if self._kind == "http":
            await self._send({"type": "http.response.body", "body": b""})
            return
        try:
            await self._goodbye()
        except (OSError, RuntimeError):
            return  # the client has gone meanwhile, which servers say in different ways

    async def _goodbye(self) -> Message:
        if self._kind == "http":
            return {"type": "http.disconnect"}
        self._unfinished = False
        await self._send({"type": "websocket.close", "code": 1008, "reason": REASON})
        return {"type": "websocket.disconnect", "code": 1008, "reason": REASON}


class AuthenticatedConnections:
    """All visits of a server; used on its event loop.

    While there are any, the credentials are looked at every few seconds.
    """

    def __init__(
        self,
        refresh: Callable[[], Awaitable[None]],
        is_valid: Callable[[Actor], bool],
        seconds: float,
    ) -> None:
        """Ask `is_valid` for each actor after each `refresh`, every so many seconds."""
        self._refresh = refresh
        self._is_valid = is_valid
        self._seconds = seconds
        self._inside: set[AuthenticatedConnection] = set()
        self._watching: asyncio.Task[None] | None = None

    def begin(self, connection: AuthenticatedConnection) -> None:
        """Watch over a visit."""
        self._inside.add(connection)
        if self._watching is None or self._watching.done():
            self._watching = asyncio.ensure_future(self._watch())

    def still_holds(self, connection: AuthenticatedConnection) -> bool:
        """Look at one visit now, by what is known: before a change is made, say."""
        if not self._is_valid(connection.actor):
            connection.over.set()
        return not connection.over.is_set()

    def end(self, connection: AuthenticatedConnection) -> None:
        """Let go of a visit."""
        self._inside.discard(connection)
        if not self._inside and self._watching is not None:
            self._watching.cancel()
            # It ends a turn of the loop later, and must not be taken for one that watches.
            self._watching = None

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self._look()
            except Exception:
                LOGGER.exception(
                    "Whether the tokens of open streams and sockets are still valid could not be "
                    "found out; it is tried again in %g s.",
                    self._seconds,
                )

    async def _look(self) -> None:
        try:
            await self._refresh()
        finally:  # tokens expire, also while the file of credentials cannot be read
            for connection in self._inside:
                self.still_holds(connection)
