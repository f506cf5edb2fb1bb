"""The latest messages, for subscribers that were disconnected for a moment."""

from __future__ import annotations

from collections import deque
from itertools import islice

from .message import Message


class ReplayBuffer:
    """The newest published messages, without Python values, bounded by number and by bytes.

    Not thread-safe: the owner's lock guards it.
    """

    __slots__ = ("_bytes", "_max_bytes", "_max_messages", "_messages", "forgotten")

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._messages: deque[Message] = deque()  # numbered without holes
        self._bytes = 0  # of payload
        self.forgotten = 0
        """The number of the newest message that is no longer here."""

    def append(self, message: Message) -> None:
        """Keep a message, whose number must follow the one before; drop the oldest."""
        message = message.without_value()
        messages = self._messages
        messages.append(message)
        self._bytes += message.size
        while len(messages) > self._max_messages or self._bytes > self._max_bytes:
            self.forgotten += 1
            self._bytes -= messages.popleft().size

    def since(self, number: int) -> list[Message]:
        return list(islice(self._messages, max(number - self.forgotten, 0), None))
