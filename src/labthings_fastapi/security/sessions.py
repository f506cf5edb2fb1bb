"""Browsers that have shown a token once: EventSource, WebSocket and images can send no header."""

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
MOST_OF_ONE: Final = 100
"""Of one credential, so that nobody can end everybody's sessions by beginning many."""


class Sessions:
    """Sessions by the hash of their id, each for one credential; used on one event loop.

    They are kept in memory: a restart of the server ends them.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with none."""
        self._clock = clock
        self._open: OrderedDict[str, tuple[str, float]] = OrderedDict()  # by age, oldest first

    def begin(self, credential_hash: str) -> str:
        """Begin a session and return its id, which only the browser keeps."""
        theirs = [key for key, (owner, _) in self._open.items() if owner == credential_hash]
        if len(theirs) >= MOST_OF_ONE:
            del self._open[theirs[0]]
        id = secrets.token_urlsafe(32)
        self._open[digest(id)] = credential_hash, self._clock() + SESSION_SECONDS
        if len(self._open) > MOST_SESSIONS:
            self._open.popitem(last=False)
        return id

    def find(self, id: str) -> str | None:
        """Return the hash of the credential that the session was begun with, or None."""
        key = digest(id)
        found = self._open.get(key)
        if found is None:
            return None
        credential_hash, ends = found
        if self._clock() >= ends:
            del self._open[key]
            return None
        return credential_hash

    def end(self, id: str) -> None:
        """Forget a session; harmless if there is none."""
        self._open.pop(digest(id), None)
