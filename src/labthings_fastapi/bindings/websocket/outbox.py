"""Answers that wait to be sent, kept within bounds."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_WAITING = 256
MOST_CHARACTERS = 4 * 1024 * 1024


class Outbox:
    """Answers in order; used on the server's event loop.

    When too much waits, no more requests are read until the client has taken some: its own answers
    are held back by its own slowness, and by nobody else's.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        """Call `wake` when there is something to send."""
        self._wake = wake
        self._waiting: deque[str] = deque()
        self._size = 0
        self._roomy = asyncio.Event()
        self._roomy.set()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def put(self, text: str) -> None:
        """Add an answer; never waits."""
        self._waiting.append(text)
        self._size += len(text)
        if len(self._waiting) >= MOST_WAITING or self._size >= MOST_CHARACTERS:
            self._roomy.clear()
        self._wake()

    def take(self) -> str:
        """Return the oldest answer."""
        text = self._waiting.popleft()
        self._size -= len(text)
        if len(self._waiting) < MOST_WAITING and self._size < MOST_CHARACTERS:
            self._roomy.set()
        return text

    async def room(self) -> None:
        """Wait until more answers may be added."""
        await self._roomy.wait()
