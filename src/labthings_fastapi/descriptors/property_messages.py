"""The order in which the values of a property are published."""

from __future__ import annotations

import threading
from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from labthings_fastapi.messages.broker import Broker
    from labthings_fastapi.messages.message import Message


class _InOrder:
    """Does things one after the other. Any thread may use it.

    The lock is re-entrant because the garbage collector may run a finaliser that sets a property
    while this thread holds it; what that does comes after what it interrupted. Nothing under the
    lock blocks.
    """

    __slots__ = ("_busy", "_lock", "_waiting")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._waiting: deque[Callable[[], None]] = deque()
        self._busy = False

    def do(self, step: Callable[[], None]) -> None:
        """Do a step; if this thread is in the middle of another one, after that."""
        with self._lock:
            self._waiting.append(step)
            if self._busy:
                return
            self._busy = True
            try:
                while self._waiting:
                    self._waiting.popleft()()
            finally:
                self._busy = False


class OrderedStore:
    """Stores the values of a property and publishes them in the same order; for any thread."""

    __slots__ = ("_order",)

    def __init__(self) -> None:
        self._order = _InOrder()

    def store(self, thing: Any, name: str, value: Any, message: Message | None) -> None:
        """Store a value as the attribute `name` and, with a message, publish it."""
        broker: Broker = thing._thing_server_interface.broker

        def step() -> None:
            thing.__dict__[name] = value
            if message is not None:
                broker.put(message)

        self._order.do(step)
        if message is not None:
            broker.deliver()


class OrderedPublish:
    """Publishes the readings of one property of one Thing in the order in which they began.

    Any thread may use it. A reading that began before another published one is dropped: the later
    one includes every change that the earlier one could have seen.
    """

    __slots__ = ("_order", "_published", "readings")

    def __init__(self) -> None:
        self._order = _InOrder()
        self.readings = count(1)
        """Gives the number of a reading, before it begins."""
        self._published = 0

    def publish(self, broker: Broker, reading: int, message: Message) -> None:
        """Publish a reading, unless a later one was published."""

        def step() -> None:
            if reading > self._published:
                self._published = reading
                broker.put(message)

        self._order.do(step)
        broker.deliver()
