"""News of a property's value: written once somebody reads it, and told in order."""

from __future__ import annotations

import threading
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol

from pydantic_core import to_json

from labthings_fastapi.exceptions import UnserialisableValueError
from labthings_fastapi.messages.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from uuid import UUID

    from labthings_fastapi.messages.message import MessageKind

NUMBER_BYTES = 24
"""About how many bytes of JSON a number takes."""
_LARGE = 2**63
PATIENCE_SECONDS = 0.1
"""How long one waits for others that store: far longer than storing takes."""


class Written(Protocol):
    """A property, as far as its values are written."""

    @property
    def name(self) -> str:
        """The name of the property."""

    def to_json(self, value: Any, context: Any = None) -> bytes:
        """Write a value as clients see it."""


def is_number(value: Any) -> bool:
    """Whether this is a plain number, and no larger than any JSON has it."""
    kind = type(value)
    return kind is float or kind is bool or (kind is int and -_LARGE < value < _LARGE)


class NumberMessages:
    """Writes the numbers that a property is set to; any thread may use it.

    A number cannot change, and can always be written: nothing has to be done before somebody
    reads it. It keeps the name of the Thing and not the Thing, which may go before its news does.
    """

    __slots__ = ("_property", "affordance", "thing")

    kind: MessageKind = "property"
    invocation: UUID | None = None

    def __init__(self, thing: str, property: Written) -> None:
        """Tell of a property of this Thing."""
        self._property = property
        self.thing = thing
        self.affordance = property.name

    def write(self, value: Any, time: datetime) -> Message:
        """Return the message that tells of a value."""
        try:
            payload = self._property.to_json(value)
        except UnserialisableValueError:  # set from Python, unchecked, where it has no place
            payload = to_json(value, inf_nan_mode="strings")
        return Message(self.kind, self.thing, self.affordance, payload, value, time=time)


class OrderedStore:
    """Stores the values of a property so that their last news is of the value that is there.

    Any thread may use it, also a finaliser that the garbage collector runs in the middle of it.
    """

    __slots__ = ("_lock", "_teller")

    def __init__(self, teller: Callable[[Any, Any], Callable[[], object] | None]) -> None:
        """Let `teller` return what tells a value of a Thing."""
        self._teller = teller
        self._lock = threading.RLock()

    def store(self, thing: Any, name: str, value: Any, tell: Callable[[], object] | None) -> None:
        """Store a value and, with `tell`, tell it: in one order for all threads.

        A finaliser may come while its own thread publishes, and wait here for one that waits to
        publish: it goes on after a moment. So whoever has told a value looks whether it is still
        there, and tells what has come in its place.
        """
        values = thing.__dict__
        alone = self._lock.acquire(True, PATIENCE_SECONDS)
        try:
            values[name] = value
            while tell is not None:
                tell()
                if values[name] is value:
                    break
                value = values[name]
                tell = self._teller(thing, value)
        finally:
            if alone:
                self._lock.release()


class OrderedPublish:
    """Lets one value of one Thing's property be told after another as they were read.

    Any thread may use it. Who began to read before another whose value is told already has nothing
    to tell: the other has seen all that he could have seen.
    """

    __slots__ = ("_lock", "_told", "readings")

    def __init__(self) -> None:
        """Nothing has been told yet."""
        self._lock = threading.RLock()
        self.readings = count(1)
        """Gives the number of a reading, before it begins."""
        self._told = 0

    def tell(self, reading: int, publish: Callable[[Message], object], news: Message) -> None:
        """Publish what was read, unless a later reading was told."""
        alone = self._lock.acquire(True, PATIENCE_SECONDS)  # as in `OrderedStore`
        try:
            if reading > self._told:
                self._told = reading
                publish(news)
        finally:
            if alone:
                self._lock.release()
