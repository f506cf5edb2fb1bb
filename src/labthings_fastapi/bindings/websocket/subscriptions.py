"""The subscriptions of one socket, merged into one order of messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic_core import from_json

from labthings_fastapi.exceptions import TooBusyError
from labthings_fastapi.messages.topic import Topic

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from typing import TypeAlias

    from labthings_fastapi.messages.broker import Broker
    from labthings_fastapi.messages.message import Message

    Encoder: TypeAlias = Callable[[Message], str]

MAX_SUBSCRIPTIONS = 1000
"""The most subscriptions of one socket; each keeps a bounded number of messages."""


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
        self.is_active = True
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
        return messages

    def finish(self) -> None:
        """Receive no more messages; those that wait are still sent."""
        self._subscription.close()

    @property
    def is_over(self) -> bool:
        """Whether no message waits and none will follow."""
        return self._subscription.over

    def cancel(self) -> None:
        """Receive and send no more messages, not even those that have been taken."""
        self.is_active = False
        self._subscription.close()


def _is_overflow(message: Message) -> bool:
    return message.kind == "gap" and from_json(message.payload)["reason"] == "closed"


class Subscriptions:
    """All subscriptions of one socket; used on the server's event loop."""

    def __init__(self, broker: Broker, wake: Callable[[], None]) -> None:
        """Start without subscriptions; a publisher's thread calls `wake` for new messages."""
        self._broker = broker
        self._wake = wake
        self._subscriptions: dict[Hashable, SocketSubscription] = {}
        self._created = 0
        # Selects no message. The broker closes it with all others when the server stops.
        self._sentinel = broker.subscribe(Topic(kinds=frozenset()), wake=wake)

    @property
    def is_stopped(self) -> bool:
        """Whether the server has ended its streams."""
        return self._sentinel.closed

    def next_number(self) -> int:
        """Return a new number, which distinguishes the subscriptions of this socket."""
        self._created += 1
        return self._created

    def subscribe(
        self,
        key: Hashable,
        topic: Topic,
        encode: Encoder,
        after: str | None = None,
        *,
        one_invocation: bool = False,
    ) -> SocketSubscription:
        """Subscribe; the new subscription replaces one with the same key.

        Raises:
            TooBusyError: the socket has too many subscriptions.
        """
        if key not in self._subscriptions and len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            raise TooBusyError(
                f"This socket has {MAX_SUBSCRIPTIONS} subscriptions, the most that are allowed: "
                "end some of them, or observe all properties or actions of a Thing at once."
            )
        self.unsubscribe(key)
        subscription = self._subscriptions[key] = SocketSubscription(
            self._broker, topic, encode, self._wake, after, one_invocation=one_invocation
        )
        return subscription

    def unsubscribe(self, key: Hashable) -> None:
        """End a subscription; idempotent."""
        subscription = self._subscriptions.pop(key, None)
        if subscription is not None:
            subscription.cancel()

    def take(self) -> list[tuple[Message, SocketSubscription]]:
        """Return the messages that wait, in the order of their numbers."""
        batch: list[tuple[Message, SocketSubscription]] = []
        for key, subscription in list(self._subscriptions.items()):
            batch += [(message, subscription) for message in subscription.take()]
            if subscription.is_over and not self.is_stopped:
                del self._subscriptions[key]
        batch.sort(key=lambda entry: entry[0].number)
        return batch

    def close(self) -> None:
        """End all subscriptions."""
        self._sentinel.close()
        for key in list(self._subscriptions):
            self.unsubscribe(key)
