"""Lines in the log for refused hosts and origins, which name the setting that would allow them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from labthings_fastapi.own_log import own_logger

LOGGER = own_logger("security")
SECONDS: Final = 60.0
MOST: Final = 5
"""How many different hosts, and origins, are named in a minute: clients choose what they send."""
LONGEST: Final = 200  # characters


class RefusalLog:
    """Logs each refused host and origin at most once a minute; used on the server's event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = float("-inf")
        self._named: dict[str, set[str]] = {}  # setting → what was named in this minute

    def host(self, host: str, address: str | None) -> None:
        self._note(
            host, "allowed_hosts", "A request for the host name %r from %s was refused.", address
        )

    def origin(self, origin: str | None, address: str | None) -> None:
        page = origin or "unknown (another site)"
        self._note(
            page, "cors_origins", "A request of a web page of %r, from %s, was refused.", address
        )

    def _note(self, value: str, setting: str, text: str, address: str | None) -> None:
        now = self._clock()
        if now - self._began >= SECONDS:
            self._began, self._named = now, {}
        value = value[:LONGEST]
        named = self._named.setdefault(setting, set())
        if value in named or len(named) >= MOST:
            return
        named.add(value)
        LOGGER.warning(
            f"{text} To allow it, add it to `{setting}` in the configuration.",
            *(value, address or "this process"),
        )
