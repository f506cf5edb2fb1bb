"""The order in which the values of a property are published."""

from __future__ import annotations

import threading
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labthings_fastapi.messages.broker import Broker
    from labthings_fastapi.messages.message import Message


class OrderedStore:
    """Stores the values of a property and publishes them in the same order. Any thread may use it.

    The lock is re-entrant because the garbage collector may run a finaliser that sets a property
    while this thread holds it. Nothing under it blocks, so threads never wait for one another.
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def store(self, thing: Any, name: str, value: Any, message: Message | None) -> None:
        """Store a value as the attribute `name` and, with a message, publish it."""
        broker: Broker = thing._thing_server_interface.broker
        values = thing.__dict__
        with self._lock:
            # Kept until the message is in its place: its finaliser may set this property.
            before = values.get(name)
            values[name] = value
            if message is not None:
                broker.put(message)
        del before
        if message is not None:
            broker.deliver()


class OrderedPublish:
    """Publishes the readings of one property of one Thing in the order in which they began.

    Any thread may use it. A reading that began before another published one is dropped: the later
    one includes every change that the earlier one could have seen.
    """

    __slots__ = ("_lock", "_published", "readings")

    def __init__(self) -> None:
        self._lock = threading.RLock()  # re-entrant, as in `OrderedStore`
        self.readings = count(1)
        """Gives the number of a reading, before it begins."""
        self._published = 0

    def publish(self, broker: Broker, reading: int, message: Message) -> None:
        """Publish a reading, unless a later one was published."""
        with self._lock:
            if reading <= self._published:
                return
            self._published = reading
            broker.put(message)
        broker.deliver()
