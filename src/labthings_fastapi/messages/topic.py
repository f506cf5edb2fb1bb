"""Topics: which messages a subscriber receives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar, get_args
from uuid import UUID

from .message import Message, MessageKind

KINDS: frozenset[MessageKind] = frozenset(get_args(MessageKind))
"""Every kind of message."""

_Subscriber = TypeVar("_Subscriber")
_Pattern = tuple[MessageKind, "str | None", "str | None", "UUID | None"]
_Shape = tuple[bool, bool, bool]


@dataclass(frozen=True, slots=True)
class Topic:
    """A selection of messages; a member that is None selects all.

    A gap notice reaches its subscriber whatever the topic.
    """

    thing: str | None = None
    affordance: str | None = None
    invocation: UUID | None = None
    kinds: frozenset[MessageKind] | None = None

    def matches(self, message: Message) -> bool:
        return (
            self.thing in (None, message.thing)
            and self.affordance in (None, message.affordance)
            and self.invocation in (None, message.invocation)
            and (self.kinds is None or message.kind in self.kinds)
        )

    @property
    def shape(self) -> _Shape:
        return self.thing is not None, self.affordance is not None, self.invocation is not None

    def patterns(self) -> Iterator[_Pattern]:
        for kind in KINDS if self.kinds is None else self.kinds:
            yield kind, self.thing, self.affordance, self.invocation


class TopicIndex(Generic[_Subscriber]):
    """Subscribers by topic: finding those of a message costs the same however many others are.

    Not thread-safe: the owner's lock guards it.
    """

    __slots__ = ("_shapes", "_subscribers")

    def __init__(self) -> None:
        # Tuples that are replaced, never changed: an iteration survives a change meanwhile.
        self._subscribers: dict[_Pattern, tuple[_Subscriber, ...]] = {}
        # Which members the patterns name: a message is looked up once for each such shape.
        self._shapes: tuple[_Shape, ...] = ()

    def add(self, topic: Topic, subscriber: _Subscriber) -> None:
        for pattern in topic.patterns():
            self._subscribers[pattern] = (*self._subscribers.get(pattern, ()), subscriber)
        shape = topic.shape
        if shape not in self._shapes:
            self._shapes = (*self._shapes, shape)

    def remove(self, topic: Topic, subscriber: _Subscriber) -> None:
        """Take a subscriber out; one that is not there is no error."""
        for pattern in topic.patterns():
            left = tuple(s for s in self._subscribers.get(pattern, ()) if s is not subscriber)
            if left:
                self._subscribers[pattern] = left
            else:
                self._subscribers.pop(pattern, None)
        if not self._subscribers:
            self._shapes = ()

    def matching(self, message: Message) -> list[_Subscriber]:
        found: list[_Subscriber] = []
        for names_thing, names_affordance, names_invocation in self._shapes:
            if names_invocation and message.invocation is None:
                continue
            thing = message.thing if names_thing else None
            affordance = message.affordance if names_affordance else None
            invocation = message.invocation if names_invocation else None
            found += self._subscribers.get((message.kind, thing, affordance, invocation), ())
        return found
