"""Limits on connections and requests, and how a connection is closed in bounded time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from dataclasses import dataclass, replace
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Final

from uvicorn.protocols.utils import get_remote_addr

from labthings_fastapi.own_log import own_logger
from labthings_fastapi.problems import PROBLEM_MEDIA_TYPE, Problem, message_problem
from labthings_fastapi.server.config_model import ThingServerConfig
from labthings_fastapi.thing_host.operating_system import open_files_limit

from .refused_requests import RefusedRequests

LOGGER = own_logger("server")
RESERVED_FILES: Final = 200
"""Open files that are left for settings, the journal, drivers and what drivers open."""
LINGER_SECONDS: Final = 2.0
MAX_LINGERING: Final = 100
LOG_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on the time and the memory that clients can cost the server."""

    connections: int = 2000  # open connections of all clients together
    header_bytes: int = 64 * 1024  # bytes of the request line and the headers together
    header_seconds: float = 10.0
    """Seconds for the TLS handshake, and from the first byte of a request to the last header."""
    header_fields: int = 128  # headers of one request: each costs more memory than its bytes
    waiting_requests: int = 16  # requests on one connection without a complete response
    body_seconds: float = 30.0  # seconds without a byte of a body that is not complete
    small_body_bytes: int = 32 * 1024
    small_body_seconds: float = 10.0  # seconds for a whole body of at most `small_body_bytes`
    body_rate: float = 1000.0
    """Bytes of a body in each second, on average, once `body_seconds` have passed."""
    keep_alive_seconds: int = 5  # seconds between two requests on one connection
    closing_seconds: float = 10.0
    """Seconds in which the client of a closed connection takes none of the remaining bytes."""
    frame_bytes: int = 1 << 20  # bytes of one WebSocket message
    ping_seconds: float = 20.0  # seconds between two WebSocket pings, and for the answer to one

    @property
    def per_address(self) -> int:
        """Connections of one address, so that a script that leaks them does not stop others."""
        return max(1, self.connections * 3 // 4)

    def within_open_files(self, level: int = logging.WARNING) -> Limits:
        allowed = open_files_limit()
        if allowed is None or allowed >= self.connections + RESERVED_FILES:
            return self
        connections = max(allowed - RESERVED_FILES, allowed // 2)
        LOGGER.log(
            level,
            "max_connections is reduced from %d to %d, because this process may open only %d "
            "files. Raise that limit to %d (`ulimit -n`, or LimitNOFILE= of systemd).",
            *(self.connections, connections, allowed, self.connections + RESERVED_FILES),
        )
        return replace(self, connections=connections)


def limits_of(config: ThingServerConfig) -> Limits:
    # Many systems allow fewer files than our default needs: a warning only for a chosen number.
    chosen = "max_connections" in config.model_fields_set
    limits = Limits(connections=config.max_connections)
    return limits.within_open_files(logging.WARNING if chosen else logging.INFO)


class ConnectionLimits:
    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.lingering = 0  # refused connections, not counted as connections, that are still open
        self.refused = RefusedRequests()
        self._logged_at = float("-inf")

    def accepts(self, transport: asyncio.Transport, connections: Collection[Any]) -> bool:
        limits = self.limits
        if len(connections) >= limits.connections:
            self._log_refusal(f"all {limits.connections} connections are in use")
            return False
        # Without this first comparison, each connection would cost a count of all others.
        if len(connections) >= limits.per_address:
            client = get_remote_addr(transport)
            address = client[0] if client else None
            same = sum(address == (each.client and each.client[0]) for each in connections)
            if same >= limits.per_address:
                name = address or "a client"
                self._log_refusal(f"{name} has {same} connections, the most for one address")
                return False
        return True

    def _log_refusal(self, reason: str) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._logged_at >= LOG_SECONDS:
            self._logged_at = now
            LOGGER.warning(
                "A new connection was refused: %s. Look for clients that open connections and do "
                "not close them, or raise max_connections.",
                reason,
            )


class WriteStall:
    """Finds a closed connection whose client takes none of the remaining bytes.

    A transport that is closed first sends what was written before. A client that reads nothing
    would keep the connection open for ever.
    """

    __slots__ = ("_left", "_since")

    def __init__(self) -> None:
        self._left = -1
        self._since = 0.0

    def lasts(self, transport: asyncio.Transport, now: float, seconds: float) -> bool:
        if not transport.is_closing():
            return False
        left = transport.get_write_buffer_size()
        if left != self._left:
            self._left, self._since = left, now
        return now - self._since > seconds


def close_after(transport: asyncio.Transport, data: bytes) -> asyncio.TimerHandle | None:
    """Send the last bytes and close, but read on for a moment (RFC 9112, section 9.6).

    If the socket were closed while bytes of the client are unread, the system would reset the
    connection, and the client would see the reset instead of `data`. The protocol must drop what
    it still receives. Returns the timer that ends the connection, if the transport is not closed
    at once.
    """
    transport.write(data)
    if not data or not transport.can_write_eof():  # TLS has a closing message of its own
        transport.close()
        return None
    transport.write_eof()
    transport.resume_reading()
    return asyncio.get_running_loop().call_later(LINGER_SECONDS, transport.abort)


def render_response(problem: Problem) -> bytes:
    body = problem.body()
    lines = [
        f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}",
        f"Date: {formatdate(usegmt=True)}",
        f"Content-Type: {PROBLEM_MEDIA_TYPE}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *(f"{name}: {value}" for name, value in problem.headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def too_many_connections() -> Problem:
    detail = "The server has too many open connections. Close some, or try again later."
    problem = message_problem("too-many-connections", "Too many connections", 503, detail)
    return replace(problem, headers={"Retry-After": "5"})
