"""What one socket follows: subscriptions of the broker, put into one order."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING

from pydantic_core import from_json

from labthings_fastapi.exceptions import TooBusyError
from labthings_fastapi.messages.topic import Topic

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from labthings_fastapi.messages.broker import Broker
    from labthings_fastapi.messages.message import Message

    Writer = Callable[[Message], str]

MAX_FEEDS = 1000
"""How many subscriptions one socket may have; each keeps a bounded number of messages."""

_number = itemgetter(0)


class SubscriptionStream:
    """One subscription of a socket; used on the server's event loop.

    What waits for a slow client is bounded by the broker, which keeps the latest value of each
    property, and drops no event and no end of a run. Where even these become too many, it ends the
    subscription: then the feed begins again after the last message that it took, so that the
    client misses nothing that is remembered, and is told of a gap otherwise.
    """

    def __init__(
        self,
        broker: Broker,
        topic: Topic,
        write: Writer,
        wake: Callable[[], None],
        after: str | None,
        *,
        one_invocation: bool,
    ) -> None:
        """Follow a topic from the sequence number `after`; `one_invocation` ends with it."""
        self._broker = broker
        self._topic = topic
        self._wake = wake
        self._one_invocation = one_invocation
        self.write = write
        self.open = True
        self._subscription = broker.subscribe(topic, wake=wake, after=after)

    def take(self) -> list[Message]:
        """Return what has come; afterwards the feed may be over."""
        messages = self._subscription.take()
        if messages and _ended_by_overflow(messages[-1]):
            messages.pop()
            self._subscription = self._broker.subscribe(
                self._topic, wake=self._wake, after=messages[-1].seq
            )
        if self._one_invocation and any(message.final for message in messages):
            self.finish()
        return messages

    def finish(self) -> None:
        """Let nothing more come; what was taken or waits is still sent."""
        self._subscription.close()

    @property
    def over(self) -> bool:
        """Whether nothing waits and nothing more will come."""
        return self._subscription.over

    def close(self) -> None:
        """Send nothing more, not even what was taken."""
        self.open = False
        self._subscription.close()


def _ended_by_overflow(message: Message) -> bool:
    return message.kind == "gap" and from_json(message.payload)["reason"] == "closed"


class SubscriptionStreams:
    """All subscriptions of one socket; used on the server's event loop."""

    def __init__(self, broker: Broker, wake: Callable[[], None]) -> None:
        """Follow nothing yet; `wake` is called from any thread when there is something to take."""
        self._broker = broker
        self._wake = wake
        self._feeds: dict[Hashable, SubscriptionStream] = {}
        self._begun = 0
        # Selects nothing: it is there to be closed with all others when the server stops.
        self._lifeline = broker.subscribe(Topic(kinds=frozenset()), wake=wake)

    @property
    def stopped(self) -> bool:
        """Whether the server has ended its streams."""
        return self._lifeline.closed

    def next_number(self) -> int:
        """Return a number for the next subscription, to tell it from the others."""
        self._begun += 1
        return self._begun

    def begin(
        self,
        key: Hashable,
        topic: Topic,
        write: Writer,
        after: str | None = None,
        *,
        one_invocation: bool = False,
    ) -> SubscriptionStream:
        """Begin a subscription; one with the same key is replaced.

        Raises:
            TooBusyError: the socket has as many as it may.
        """
        if key not in self._feeds and len(self._feeds) >= MAX_FEEDS:
            raise TooBusyError(
                f"This socket has {MAX_FEEDS} subscriptions, the most that one may have: end some, "
                "or observe all properties or runs of a Thing at once."
            )
        self.end(key)
        feed = SubscriptionStream(
            self._broker, topic, write, self._wake, after, one_invocation=one_invocation
        )
        self._feeds[key] = feed
        return feed

    def end(self, key: Hashable) -> None:
        """End a subscription; harmless if there is none."""
        feed = self._feeds.pop(key, None)
        if feed is not None:
            feed.close()

    def take(self) -> list[tuple[int, Message, SubscriptionStream]]:
        """Return what has come, in the order in which it happened."""
        found: list[tuple[int, Message, SubscriptionStream]] = []
        for key, feed in list(self._feeds.items()):
            found += [(message.number, message, feed) for message in feed.take()]
            if feed.over and not self.stopped:
                del self._feeds[key]
        if len(self._feeds) > 1:
            found.sort(key=_number)
        return found

    def close(self) -> None:
        """End everything."""
        self._lifeline.close()
        for feed in self._feeds.values():
            feed.close()
        self._feeds.clear()
