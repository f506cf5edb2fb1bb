"""The subscriptions of one socket, merged into one order of messages."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from pydantic_core import from_json

from labthings_fastapi.exceptions import TooBusyError
from labthings_fastapi.messages.topic import Topic

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from labthings_fastapi.messages.broker import Broker
    from labthings_fastapi.messages.message import Message

    Encoder: TypeAlias = Callable[[Message], str]

MAX_SUBSCRIPTIONS = 1000
"""The most subscriptions of one socket; each keeps a bounded number of messages."""


class Key(NamedTuple):
    """What a subscription of a socket is about; there is one subscription for each key."""

    subject: str
    """`property` or `event`; for other subscriptions, the operation that began it."""
    thing: str = ""
    name: str | None = None
    """The name of the affordance, or the id of the invocation; None: all of them."""

    @property
    def all(self) -> Key:
        """The key of the subscription to all of the same subject and Thing."""
        return self._replace(name=None)

    def includes(self, other: Key) -> bool:
        """Whether the other key is this one, or one of the names that this one stands for."""
        return other == self or (self.name is None and other.all == self)


class SocketSubscription:
    """One subscription of a socket; used on the server's event loop.

    The broker bounds the messages that wait for a slow client: it keeps only the latest value of
    each property, but every event and the end of every invocation. If these exceed the bound too,
    the broker ends its subscription, and this class subscribes again after the last message that
    it took. So the client misses nothing that the broker remembers, and gets a gap otherwise.
    """

    def __init__(
        self,
        broker: Broker,
        topic: Topic,
        encode: Encoder,
        wake: Callable[[], None],
        after: str | None,
        *,
        one_invocation: bool,
    ) -> None:
        """Subscribe after the sequence number `after`; with `one_invocation`, until its end."""
        self._broker = broker
        self._topic = topic
        self._wake = wake
        self._one_invocation = one_invocation
        self.encode = encode
        self._left_out: set[str] = set()
        self._subscription = broker.subscribe(topic, wake=wake, after=after)

    def take(self) -> list[Message]:
        """Return the messages that wait."""
        messages = self._subscription.take()
        if messages and _is_overflow(messages[-1]):
            messages.pop()
            self._subscription = self._broker.subscribe(
                self._topic, wake=self._wake, after=messages[-1].seq
            )
        if self._one_invocation and any(message.final for message in messages):
            self.finish()
        if self._left_out:
            return [each for each in messages if each.affordance not in self._left_out]
        return messages

    def leave_out(self, name: str) -> None:
        """Return no more messages of this affordance."""
        self._left_out.add(name)

    def finish(self) -> None:
        """Receive no more messages; those that wait are still sent."""
        self._subscription.close()

    @property
    def is_over(self) -> bool:
        """Whether no message waits and none will follow."""
        return self._subscription.over


def _is_overflow(message: Message) -> bool:
    return message.kind == "gap" and from_json(message.payload)["reason"] == "closed"


class Subscriptions:
    """All subscriptions of one socket; used on the server's event loop.

    There is at most one subscription for each affordance, as in the Web Thing Protocol: one change
    makes one notification. A subscription to all properties (or events) of a Thing replaces those
    to single ones, and one to a single property takes it out of the subscription to all.
    """

    def __init__(self, broker: Broker, wake: Callable[[], None]) -> None:
        """Start without subscriptions; a publisher's thread calls `wake` for new messages."""
        self._broker = broker
        self._wake = wake
        self._subscriptions: dict[Key, SocketSubscription] = {}
        self._taken: deque[tuple[Message, SocketSubscription]] = deque()
        # Selects no message. The broker closes it with all others when the server stops.
        self._sentinel = broker.subscribe(Topic(kinds=frozenset()), wake=wake)

    @property
    def is_stopped(self) -> bool:
        """Whether the server has ended its streams."""
        return self._sentinel.closed

    def subscribe(
        self,
        key: Key,
        topic: Topic,
        encode: Encoder,
        after: str | None = None,
        *,
        one_invocation: bool = False,
    ) -> SocketSubscription:
        """Subscribe; the new subscription replaces all that its key includes.

        What the replaced ones have not sent yet, the new one sends. With `after`, it sends
        everything after that sequence number again.

        Raises:
            TooBusyError: the socket has too many subscriptions.
        """
        if sum(not key.includes(other) for other in self._subscriptions) >= MAX_SUBSCRIPTIONS:
            raise TooBusyError(
                f"This socket has {MAX_SUBSCRIPTIONS} subscriptions, the most that are allowed: "
                "end some of them, or observe all properties or actions of a Thing at once."
            )
        position = self._broker.position
        new = SocketSubscription(
            self._broker,
            topic,
            encode,
            self._wake,
            after or position,
            one_invocation=one_invocation,
        )
        self._take_out(key, new, int(position.rpartition("-")[2]) if after is None else -1)
        self._subscriptions[key] = new
        return new

    def unsubscribe(self, key: Key) -> None:
        """Receive and send no more messages of all that the key includes; idempotent."""
        self._take_out(key, None, -1)

    def _take_out(self, key: Key, new: SocketSubscription | None, number: int) -> None:
        """End what `key` includes; `new` sends the rest, up to the message with this number."""
        included = [other for other in self._subscriptions if key.includes(other)]
        ended = [self._subscriptions.pop(other) for other in included]
        cover = self._subscriptions.get(key.all) if key.name is not None else None
        for subscription in (*ended, *([cover] if cover is not None else ())):
            self._drain(subscription, number)
        taken, self._taken = self._taken, deque()
        for message, subscription in taken:
            is_left_out = subscription is cover and message.affordance == key.name
            if subscription not in ended and not is_left_out:
                self._taken.append((message, subscription))
            elif new is not None and message.number <= number:
                self._taken.append((message, new))
        self._sort()
        for subscription in ended:
            subscription.finish()
        if cover is not None and key.name is not None:
            cover.leave_out(key.name)

    def _drain(self, subscription: SocketSubscription, number: int) -> None:
        """Collect what waits; at least up to the message with this number, if there are many."""
        while messages := subscription.take():
            self._taken += [(message, subscription) for message in messages]
            if messages[-1].number >= number:
                break

    def take(self) -> bool:
        """Collect the messages that wait, in order; return whether there are any."""
        for key, subscription in list(self._subscriptions.items()):
            self._taken += [(message, subscription) for message in subscription.take()]
            if subscription.is_over and not self.is_stopped:
                del self._subscriptions[key]
        self._sort()
        return bool(self._taken)

    def _sort(self) -> None:
        self._taken = deque(sorted(self._taken, key=lambda entry: entry[0].number))

    def next(self) -> tuple[Message, SocketSubscription] | None:
        """Remove and return the next of the collected messages; a request may have ended them."""
        return self._taken.popleft() if self._taken else None

    def close(self) -> None:
        """End all subscriptions."""
        self._sentinel.close()
        for key in list(self._subscriptions):
            self.unsubscribe(key)
