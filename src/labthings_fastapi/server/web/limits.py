"""Limits on connections, headers, bodies and WebSocket messages."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Final

from labthings_fastapi.own_log import own_logger
from labthings_fastapi.server.config_model import ThingServerConfig
from labthings_fastapi.thing_host.operating_system import open_files_limit

LOGGER = own_logger("server")
RESERVED_FILES: Final = 200
"""Open files that are left for settings, the journal, drivers and what drivers open."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on the time and the memory that clients can cost the server."""

    connections: int = 2000
    """Open connections of all clients together."""
    header_bytes: int = 64 * 1024
    """Bytes of the request line and the headers together."""
    header_seconds: float = 10.0
    """Seconds for the TLS handshake, and from the first byte of a request to the last header."""
    body_seconds: float = 30.0
    """Seconds without a byte of a body that is not complete."""
    keep_alive_seconds: int = 5
    """Seconds between two requests on one connection."""
    closing_seconds: float = 10.0
    """Seconds in which the client of a closed connection takes none of the remaining bytes."""
    frame_bytes: int = 1 << 20
    """Bytes of one WebSocket message."""
    ping_seconds: float = 20.0
    """Seconds between two WebSocket pings, and for the answer to one."""

    @property
    def per_address(self) -> int:
        """Connections of one address, so that a script that leaks them does not stop others."""
        return max(1, self.connections * 3 // 4)

    def within_open_files(self, level: int = logging.WARNING) -> Limits:
        """Return limits that fit the number of files which this process may open."""
        allowed = open_files_limit()
        if allowed is None or allowed >= self.connections + RESERVED_FILES:
            return self
        connections = max(allowed - RESERVED_FILES, allowed // 2)
        LOGGER.log(
            level,
            "max_connections is reduced from %d to %d, because this process may open only %d "
            "files. Raise that limit to %d (`ulimit -n`, or LimitNOFILE= of systemd).",
            self.connections,
            connections,
            allowed,
            self.connections + RESERVED_FILES,
        )
        return replace(self, connections=connections)


def limits_of(config: ThingServerConfig) -> Limits:
    # Many systems allow fewer files than our default needs: a warning only for a chosen number.
    chosen = "max_connections" in config.model_fields_set
    limits = Limits(connections=config.max_connections)
    return limits.within_open_files(logging.WARNING if chosen else logging.INFO)
