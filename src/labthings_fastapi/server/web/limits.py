"""What clients may ask of a server's patience and memory."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from labthings_fastapi.own_log import own_logger
from labthings_fastapi.thing_host.operating_system import open_files_limit

if TYPE_CHECKING:
    from labthings_fastapi.server.config_model import ThingServerConfig

LOGGER = own_logger("server")
RESERVED_FILES: Final = 200
"""Open files that are left for settings, the journal, drivers and what drivers open."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client, or all of them, may ask of the server's patience and memory.

    None of them concerns a client that waits for its answer: an action may take hours.
    """

    connections: int = 2000
    """In all; of these, at most three quarters come from one address."""
    header_bytes: int = 64 * 1024
    """Of the request's first line and its headers together."""
    header_seconds: float = 10.0
    """From the first byte of a request, or from the connection, to the end of the headers."""
    body_seconds: float = 30.0
    """Without a single byte of a body that has been announced."""
    keep_alive_seconds: int = 5
    """Between two requests."""
    closing_seconds: float = 10.0
    """Without taking anything of what is still to be sent on a connection that is closed."""
    frame_bytes: int = 1 << 20
    """Of one message on a WebSocket."""
    ping_seconds: float = 20.0
    """Between the pings on a WebSocket, and for the answer to one."""

    @property
    def per_address(self) -> int:
        """How many connections one address may have: a script that leaks them harms itself."""
        return max(1, self.connections * 3 // 4)

    @property
    def sweep_seconds(self) -> float:
        """How often connections are looked at."""
        return min(1.0, self.header_seconds / 4, self.body_seconds / 4, self.closing_seconds / 4)

    def within_open_files(self, level: int = logging.WARNING) -> Limits:
        """Return limits that leave files for others, and say at `level` if that is less.

        Each connection is an open file, of which the system allows a process so many. Without
        any left, the journal and drivers could open nothing either.
        """
        allowed = open_files_limit()
        if allowed is None or allowed >= self.connections + RESERVED_FILES:
            return self
        fitting = max(allowed - RESERVED_FILES, allowed // 2)
        LOGGER.log(
            level,
            "At most %d connections are taken and not %d (max_connections), because this process "
            "may open %d files: raise that limit to %d (`ulimit -n`, or LimitNOFILE= of systemd).",
            fitting,
            self.connections,
            allowed,
            self.connections + RESERVED_FILES,
        )
        return replace(self, connections=fitting)


def limits_of(config: ThingServerConfig) -> Limits:
    """Return the limits of a configuration, as far as this process may open files.

    Somebody who has asked for more is warned; many systems allow less than our default.
    """
    asked = "max_connections" in config.model_fields_set
    limits = Limits(connections=config.max_connections)
    return limits.within_open_files(logging.WARNING if asked else logging.INFO)
