"""The order in which the values of a property are published.

The locks here are re-entrant, because the garbage collector may run a finaliser that sets the same
property while this thread holds its lock. What the finaliser does waits in `_waiting`, and comes
after what it interrupted. Nothing under the locks blocks.
"""

from __future__ import annotations

import threading
from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from labthings_fastapi.messages.broker import Broker
    from labthings_fastapi.messages.message import Message

_NUMBERS: Final = frozenset({bool, int, float})


class OrderedStore:
    """Stores the values of a property and publishes them in the same order; for any thread."""

    __slots__ = ("_busy", "_lock", "_waiting")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._waiting: deque[tuple[dict[str, Any], str, Any, Message | None, Broker]] = deque()
        self._busy = False

    def store(
        self,
        attributes: dict[str, Any],
        name: str,
        value: Any,
        message: Message | None,
        broker: Broker,
    ) -> None:
        """Store a value in the attributes of a Thing and, with a message, publish it."""
        with self._lock:
            self._waiting.append((attributes, name, value, message, broker))
            if self._busy:
                return
            self._busy = True
            try:
                while self._waiting:
                    attributes, name, value, message, broker = self._waiting.popleft()
                    attributes[name] = value
                    if message is not None:
                        broker.put(message)
            finally:
                self._busy = False
        if message is None:
            return
        if type(value) in _NUMBERS:
            broker.deliver_soon()
        else:  # the broker must not keep user objects alive
            broker.deliver()


class OrderedPublish:
    """Publishes the readings of one property of one Thing in the order in which they began.

    Any thread may use it. A reading that began before another published one is dropped: the later
    one includes every change that the earlier one could have seen.
    """

    __slots__ = ("_busy", "_lock", "_published", "_waiting", "readings")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._waiting: deque[tuple[int, Message]] = deque()
        self._busy = False
        self.readings = count(1)
        """Gives the number of a reading, before it begins."""
        self._published = 0

    def publish(self, broker: Broker, reading: int, message: Message) -> None:
        """Publish a reading, unless a later one was published."""
        with self._lock:
            self._waiting.append((reading, message))
            if self._busy:
                return
            self._busy = True
            try:
                while self._waiting:
                    reading, message = self._waiting.popleft()
                    if reading > self._published:
                        self._published = reading
                        broker.put(message)
            finally:
                self._busy = False
        broker.deliver()
