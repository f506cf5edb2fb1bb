"""Sessions of browsers: EventSource, WebSocket and images send a cookie, and no token header."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from .credentials import digest

if TYPE_CHECKING:
    from collections.abc import Callable

SESSION_SECONDS: Final = 12 * 60 * 60
MOST_SESSIONS: Final = 2_000
MOST_PER_CREDENTIAL: Final = 100
"""A limit, so that many sessions of one actor do not end the sessions of others."""


class Sessions:
    """Sessions by the hash of their id, each of one credential; used on one event loop.

    They are in memory only: a restart of the server ends them.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start without sessions; `clock` returns seconds."""
        self._clock = clock
        # Hash of the id → (hash of the credential, end time in s), oldest first.
        self._open: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def begin(self, credential_hash: str) -> str:
        """Begin a session and return its id; the server keeps only the hash of the id."""
        same_owner = [key for key, (owner, _) in self._open.items() if owner == credential_hash]
        if len(same_owner) >= MOST_PER_CREDENTIAL:
            del self._open[same_owner[0]]
        id = secrets.token_urlsafe(32)
        self._open[digest(id)] = credential_hash, self._clock() + SESSION_SECONDS
        if len(self._open) > MOST_SESSIONS:
            self._open.popitem(last=False)
        return id

    def find(self, id: str) -> str | None:
        """Return the hash of the session's credential; None if it is unknown or has expired."""
        return self._credential(digest(id))

    def is_open(self, key: str) -> bool:
        """Return True for the hash of the id of a session that has not ended."""
        return self._credential(key) is not None

    def _credential(self, key: str) -> str | None:
        session = self._open.get(key)
        if session is None:
            return None
        credential_hash, end = session
        if self._clock() >= end:
            del self._open[key]
            return None
        return credential_hash

    def end(self, id: str) -> None:
        """End a session; idempotent."""
        self._open.pop(digest(id), None)
