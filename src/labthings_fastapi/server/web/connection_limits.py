"""How many connections there are, how long they may keep the server waiting, how they are ended."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol

from labthings_fastapi.own_log import own_logger
from labthings_fastapi.problems import PROBLEM_MEDIA_TYPE, Problem, message_problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .limits import Limits

LOGGER = own_logger("server")
LINGER_SECONDS: Final = 2.0
LINGER_BYTES: Final = 1 << 20
MAX_LINGERING: Final = 100
COMPLAINT_SECONDS: Final = 60.0


class Watched(Protocol):
    """A connection that may keep the server waiting."""

    def check(self, now: float) -> None:
        """End it if it has done so for too long; `now` is a time of the event loop."""


class ConnectionSlot:
    """One connection's place among all; belongs to the event loop, as `Connections` does."""

    __slots__ = ("_address", "_connections")

    def __init__(self, connections: Connections, address: str) -> None:
        self._connections: Connections | None = connections
        self._address = address

    def release(self) -> None:
        """Leave it to another connection; harmless twice."""
        if self._connections is not None:
            self._connections.leave(self._address)
            self._connections = None


class Connections:
    """Every connection of a running server. Only its event loop's thread may touch it.

    One sweep looks at all connections that may be waited for, instead of a timer for each request.
    """

    def __init__(self, limits: Limits) -> None:
        """Keep these limits."""
        self.limits = limits
        self.lingering = 0
        self._by_address: Counter[str] = Counter()
        self._total = 0
        self._watched: set[Watched] = set()
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._passed_by = False
        self._complained = float("-inf")

    def __len__(self) -> int:
        return self._total

    def admit(self, transport: asyncio.BaseTransport) -> ConnectionSlot | None:
        """Give a new connection its place; None if there is none left."""
        address = address_of(transport)
        if self._total >= self.limits.connections:
            self._complain("all %d connections are in use", self.limits.connections)
            return None
        if self._by_address[address] >= self.limits.per_address:
            what = "%s has %d connections already, the most that one address may have"
            self._complain(what, address or "a client", self.limits.per_address)
            return None
        self._total += 1
        self._by_address[address] += 1
        return ConnectionSlot(self, address)

    def leave(self, address: str) -> None:
        """Take back a place; called by the place."""
        self._total -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]

    def watch(self, connection: Watched) -> None:
        """Look at this connection from time to time."""
        self._watched.add(connection)
        if self._sweep_timer is None:
            self._schedule()

    def unwatch(self, connection: Watched) -> None:
        """Look at it no more; harmless twice."""
        self._watched.discard(connection)

    def _schedule(self) -> None:
        loop = asyncio.get_running_loop()
        self._due = loop.time() + self.limits.sweep_seconds
        self._sweep_timer = loop.call_at(self._due, self._sweep)

    def _sweep(self) -> None:
        now = asyncio.get_running_loop().time()
        # If the loop was held up, what clients sent meanwhile is not late, but not read yet: it is,
        # before the next sweep. Not twice in a row, or a busy server would wait without end.
        held_up = now - self._due > self.limits.sweep_seconds
        self._passed_by = held_up and not self._passed_by
        if not self._passed_by:
            self._check_all(now)
        self._sweep_timer = None
        if self._watched:
            self._schedule()

    def _check_all(self, now: float) -> None:
        for connection in tuple(self._watched):
            try:
                connection.check(now)
            except Exception:  # one connection must not keep the others from being looked at
                LOGGER.exception("A connection could not be checked.")

    def _complain(self, what: str, *details: object) -> None:
        """Say that a client was refused, but not for each one."""
        now = asyncio.get_running_loop().time()
        if now - self._complained >= COMPLAINT_SECONDS:
            self._complained = now
            LOGGER.warning(
                f"A new connection was refused: {what}. Look for clients that open connections "
                "and do not close them, or raise max_connections.",
                *details,
            )


class WriteStallTimer:
    """How long a connection that is being closed waits for its client to take the rest.

    A transport that is closed sends first what was written; a client that reads nothing would keep
    its place for ever. For the event loop's thread alone.
    """

    __slots__ = ("_left", "_seconds", "_since")

    def __init__(self, seconds: float) -> None:
        """Wait so long without anything being taken."""
        self._seconds = seconds
        self._left = -1
        self._since = 0.0

    def takes_too_long(self, transport: asyncio.Transport, now: float) -> bool:
        """Tell whether it is being closed, and the client has taken nothing for a while."""
        if not transport.is_closing():
            return False
        left = transport.get_write_buffer_size()
        if left != self._left:
            self._left, self._since = left, now
        return now - self._since > self._seconds


def address_of(transport: asyncio.BaseTransport) -> str:
    """Return the IP address of the peer; an empty one if it has none."""
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) and peer else ""


class LingeringClose(asyncio.Protocol):
    """Sends a last answer and closes, but reads on for a moment (RFC 9112, section 9.6).

    If the socket were closed while something that the client sends is unread, the system would
    reset the connection, and the client would see that instead of the answer.
    """

    def __init__(
        self, connections: Connections, transport: asyncio.Transport, place: ConnectionSlot | None
    ) -> None:
        """Take over a connection and, until it is closed, its place."""
        self._connections = connections
        self._transport = transport
        self._place = place
        self._left = LINGER_BYTES
        self.timer: asyncio.TimerHandle | None = None
        """What ends it at the latest."""
        connections.lingering += 1
        transport.set_protocol(self)

    def say(self, answer: bytes) -> None:
        """Send the answer, which may be empty, and close."""
        loop = asyncio.get_running_loop()
        self.timer = loop.call_later(LINGER_SECONDS, self._transport.abort)
        self._transport.write(answer)
        crowded = self._connections.lingering > MAX_LINGERING  # an attack
        # TLS says goodbye itself.
        if crowded or not answer or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._transport.write_eof()
        self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Discard it."""
        self._left -= len(data)
        if self._left < 0:
            self._transport.abort()

    def eof_received(self) -> None:
        """Close, because the client has."""
        self._transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        """Leave the place to another."""
        self._connections.lingering -= 1
        if self.timer is not None:
            self.timer.cancel()
        if self._place is not None:
            self._place.release()


def answer_of(problem: Problem, headers: Sequence[tuple[str, str]] = ()) -> bytes:
    """Write a problem as a whole HTTP/1.1 answer, after which the connection is closed."""
    body = problem.body()
    lines = [
        f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}",
        f"Date: {formatdate(usegmt=True)}",
        f"Content-Type: {PROBLEM_MEDIA_TYPE}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *(f"{name}: {value}" for name, value in (*problem.headers.items(), *headers)),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def too_many_connections() -> Problem:
    """Return what a client is told that finds no place."""
    detail = "The server has as many connections as it takes. Close some, or try again later."
    problem = message_problem("too-many-connections", "Too many connections", 503, detail)
    return replace(problem, headers={"Retry-After": "5"})
