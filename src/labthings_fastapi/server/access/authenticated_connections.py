"""Streams and sockets end when the credential or the session of their client ends."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

from starlette.types import Message, Receive, Send

from labthings_fastapi.bindings.http.request_response import ClientGoneError
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.security.roles import Actor

LOGGER = own_logger("security")
REASON = "The token is not valid any more"


class CredentialRevokedError(ClientGoneError, OSError):
    """The credential of a client is not valid any more; handled like a client that has gone."""


class AuthenticatedConnection:
    """One response or socket of an authenticated client; used on the server's event loop."""

    __slots__ = ("_kind", "_receive", "_send", "_unfinished", "actor", "over")

    def __init__(self, actor: Actor, kind: str, receive: Receive, send: Send) -> None:
        self.actor = actor
        self.over = asyncio.Event()  # set when the credential of the actor is not valid any more
        self._kind = kind
        self._receive = receive
        self._send = send
        self._unfinished = False

    async def receive(self) -> Message:
        """Return the next message of the client; a disconnect if the credential is not valid."""
        receiving = asyncio.ensure_future(self._receive())
        ending = asyncio.ensure_future(self.over.wait())
        try:
            await asyncio.wait({receiving, ending}, return_when=asyncio.FIRST_COMPLETED)
            if self.over.is_set():
                return await self._disconnect()
            message = receiving.result()
            if message["type"] == "websocket.disconnect":
                self._unfinished = False
            return message
        finally:
            ending.cancel()
            if not receiving.done():
                receiving.cancel()

    async def send(self, message: Message) -> None:
        if self.over.is_set():
            raise CredentialRevokedError("The token of this client is not valid any more.")
        kind: str = message["type"]
        if kind == "http.response.body":
            self._unfinished = message.get("more_body", False)
        else:
            self._unfinished = kind in ("http.response.start", "websocket.accept", "websocket.send")
        await self._send(message)

    async def finish(self) -> None:
        """End a response or socket that was interrupted, as its protocol demands; idempotent."""
        if not self._unfinished:
            return
        if self._kind == "http":
            await self._send({"type": "http.response.body", "body": b""})
            return
        with suppress(OSError, RuntimeError):  # what ASGI servers raise if the client has gone
            await self._disconnect()

    async def _disconnect(self) -> Message:
        if self._kind == "http":
            return {"type": "http.disconnect"}
        self._unfinished = False
        await self._send({"type": "websocket.close", "code": 1008, "reason": REASON})
        return {"type": "websocket.disconnect", "code": 1008, "reason": REASON}


class AuthenticatedConnections:
    def __init__(
        self,
        refresh: Callable[[], Awaitable[None]],
        is_valid: Callable[[Actor], bool],
        seconds: float,
    ) -> None:
        self._refresh = refresh
        self._is_valid = is_valid
        self._seconds = seconds
        self._connections: set[AuthenticatedConnection] = set()
        self._of_actor: Counter[str] = Counter()
        self._checking: asyncio.Task[None] | None = None

    def begin(self, connection: AuthenticatedConnection) -> None:
        self._connections.add(connection)
        self._of_actor[connection.actor.name] += 1
        if self._checking is None or self._checking.done():
            self._checking = asyncio.ensure_future(self._check_repeatedly())

    def count_of(self, actor: Actor) -> int:
        """Return how many responses and sockets of an actor are open."""
        return self._of_actor[actor.name]

    def check(self) -> None:
        """End what belongs to credentials and sessions that are not valid any more."""
        for connection in self._connections:
            self.still_holds(connection)

    def still_holds(self, connection: AuthenticatedConnection) -> bool:
        if not self._is_valid(connection.actor):
            connection.over.set()
        return not connection.over.is_set()

    def end(self, connection: AuthenticatedConnection) -> None:
        self._connections.discard(connection)
        name = connection.actor.name
        self._of_actor[name] -= 1
        if self._of_actor[name] <= 0:
            del self._of_actor[name]
        if not self._connections and self._checking is not None:
            self._checking.cancel()
            # The task ends later, and `begin` must not mistake it for one that checks.
            self._checking = None

    async def _check_repeatedly(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            try:
                try:
                    await self._refresh()
                finally:  # tokens expire, also while the file of credentials cannot be read
                    self.check()
            except Exception:
                LOGGER.exception(
                    "The tokens of open streams and sockets could not be checked. "
                    "The next check is in %g s.",
                    self._seconds,
                )
