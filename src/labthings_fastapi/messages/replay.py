"""The latest messages, for subscribers that were away for a moment."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .message import Message


class ReplayBuffer:
    """The newest published messages, without their Python values, bounded by number and bytes.

    Not thread-safe: the owner's lock guards it.
    """

    __slots__ = ("_bytes", "_max_bytes", "_max_messages", "_messages", "forgotten")

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._messages: deque[Message] = deque()
        self._bytes = 0  # of payload
        self.forgotten = 0
        """The number of the newest message that is no longer here."""

    def append(self, message: Message) -> None:
        """Remember a message, whose number must follow the one before; forget the oldest."""
        self._messages.append(message.without_value())
        self._bytes += len(message.payload)
        while len(self._messages) > self._max_messages or self._bytes > self._max_bytes:
            oldest = self._messages.popleft()
            self._bytes -= len(oldest.payload)
            self.forgotten = oldest.number

    def since(self, number: int) -> list[Message]:
        """Return what is remembered of the messages after that number, oldest first."""
        return list(islice(self._messages, max(0, number - self.forgotten), None))
