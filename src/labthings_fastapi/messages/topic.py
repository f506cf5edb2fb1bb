"""What a subscriber wants to hear of, and who wants to hear of a message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar, get_args

from .message import MessageKind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from .message import Message

KINDS: frozenset[MessageKind] = frozenset(get_args(MessageKind))
"""Every kind of message."""

_Subscriber = TypeVar("_Subscriber")
_Pattern = tuple[MessageKind, "str | None", "str | None", "UUID | None"]


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
        """Whether the message is part of this selection."""
        return (
            self.thing in (None, message.thing)
            and self.affordance in (None, message.affordance)
            and self.invocation in (None, message.invocation)
            and (self.kinds is None or message.kind in self.kinds)
        )

    def patterns(self) -> Iterator[_Pattern]:
        """Yield the keys under which an index files this topic."""
        for kind in KINDS if self.kinds is None else self.kinds:
            yield kind, self.thing, self.affordance, self.invocation


class TopicIndex(Generic[_Subscriber]):
    """Subscribers by topic: finding those of a message costs the same however many others are.

    Not thread-safe: the owner's lock guards it.
    """

    __slots__ = ("_subscribers",)

    def __init__(self) -> None:
        # Tuples that are replaced, never changed: an iteration survives a change meanwhile.
        self._subscribers: dict[_Pattern, tuple[_Subscriber, ...]] = {}

    def add(self, topic: Topic, subscriber: _Subscriber) -> None:
        """File a subscriber under a topic."""
        for pattern in topic.patterns():
            self._subscribers[pattern] = (*self._subscribers.get(pattern, ()), subscriber)

    def remove(self, topic: Topic, subscriber: _Subscriber) -> None:
        """Take a subscriber out; one that is not there is no error."""
        for pattern in topic.patterns():
            left = tuple(s for s in self._subscribers.get(pattern, ()) if s is not subscriber)
            if left:
                self._subscribers[pattern] = left
            else:
                self._subscribers.pop(pattern, None)

    def matching(self, message: Message) -> list[_Subscriber]:
        """Return those whose topic matches the message."""
        found: list[_Subscriber] = []
        for pattern in _patterns_of(message):
            subscribers = self._subscribers.get(pattern)
            if subscribers:
                found.extend(subscribers)
        return found


def _patterns_of(message: Message) -> tuple[_Pattern, ...]:
    kind, thing, affordance = message.kind, message.thing, message.affordance
    anywhere: tuple[_Pattern, ...] = (
        (kind, thing, affordance, None),
        (kind, thing, None, None),
        (kind, None, affordance, None),
        (kind, None, None, None),
    )
    invocation = message.invocation
    if invocation is None:
        return anywhere
    return (
        *anywhere,
        (kind, thing, affordance, invocation),
        (kind, thing, None, invocation),
        (kind, None, affordance, invocation),
        (kind, None, None, invocation),
    )
