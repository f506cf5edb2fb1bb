"""The broker against a model that keeps every message in one list."""

from __future__ import annotations

import json
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, rule

from labthings_fastapi.messages.broker import Broker, Subscription
from labthings_fastapi.messages.message import Message
from labthings_fastapi.messages.topic import Topic

REPLAY = 12
SMALL = 3
LARGE = 1000
DROPPED_FIRST = ("log", "result")
NEVER_DROPPED = ("status", "event")

invocations = st.sampled_from([UUID(int=1), UUID(int=2)])
things = st.sampled_from(["stage", "camera"])
affordances = st.sampled_from(["x", "y"])
affordance_messages = st.builds(
    Message, st.sampled_from(["property", "event"]), things, affordances, st.just(b"1")
)
invocation_messages = st.builds(
    Message,
    st.sampled_from(["status", "progress", "log", "result"]),
    things,
    affordances,
    st.just(b"1"),
    invocation=invocations,
)
messages = affordance_messages | invocation_messages
topics = st.just(Topic()) | st.builds(
    Topic,
    thing=st.none() | things,
    affordance=st.none() | affordances,
    invocation=st.none() | invocations,
    kinds=st.none() | st.just(frozenset({"property"})) | st.just(frozenset({"status", "log"})),
)


@dataclass(eq=False)
class Listener:
    """A subscription and what the model knows of it."""

    topic: Topic
    capacity: int
    waiting: list[Message] = field(default_factory=list)  # all that came since the last take
    gap: bool = False  # a gap notice must come, because it was away for too long
    last_number: int = 0  # the newest number taken
    wakes: int = 0  # since the last take
    closed: bool = False
    subscription: Subscription = field(init=False)

    def wake(self) -> None:
        self.wakes += 1

    def hear(self, message: Message) -> None:
        if not self.closed and self.topic.matches(message):
            self.waiting.append(message)

    @property
    def current(self) -> list[Message]:
        """Return what waits, less what was superseded."""
        latest = {supersedes(message): message for message in self.waiting}
        return [message for message in self.waiting if latest[supersedes(message)] is message]


def supersedes(message: Message) -> Hashable:
    match message.kind:
        case "property":
            return message.thing, message.affordance
        case "progress":
            return message.invocation
        case _:
            return message.number


def replaced(message: Message, payload: Any = None, number: int = 0) -> Message:
    """Return a copy that is published, or noted, in the place of a message."""
    return Message(
        message.kind,
        message.thing,
        message.affordance,
        message.payload if payload is None else payload,
        invocation=message.invocation,
        time=message.time,
        number=number,
        boot_id="abc" if number else "",
    )


def of_kinds(some: list[Message], *kinds: str) -> list[Message]:
    return [message for message in some if message.kind in kinds]


class BrokerMachine(RuleBasedStateMachine):
    """Publish, subscribe, take, close and reconnect in any order."""

    listeners = Bundle("listeners")

    def __init__(self) -> None:
        super().__init__()
        self.broker = Broker("abc", replay=REPLAY)
        self.published: list[Message] = []
        self.open: list[Listener] = []
        self.put_messages: list[Message] = []

    def _note(self, message: Message) -> None:
        """Give the model a copy: an example of hypothesis may be published more than once."""
        self.published.append(replaced(message, number=len(self.published) + 1))
        for listener in self.open:
            listener.hear(self.published[-1])

    @rule(message=messages)
    def publish(self, message: Message) -> None:
        self._deliver_put()
        self.broker.publish(replaced(message))
        self._note(message)
        assert self.broker.position == f"abc-{len(self.published)}"

    @rule(message=invocation_messages)
    def publish_lazily(self, message: Message) -> None:
        """A payload that is rendered late is delivered like every other."""
        self._deliver_put()
        self.broker.publish(replaced(message, payload=lambda: message.payload))
        self._note(message)

    @rule(message=messages)
    def put(self, message: Message) -> None:
        """What is put comes with whatever happens next."""
        self.broker.put(replaced(message))
        self.put_messages.append(message)

    @rule()
    def deliver(self) -> None:
        self._deliver_put()
        self.broker.deliver()

    def _deliver_put(self) -> None:
        """Let the model deliver what was put, as the broker does first in each of its methods."""
        waiting, self.put_messages = self.put_messages, []
        for message in waiting:
            self._note(message)

    @rule(some=st.lists(messages, min_size=1, max_size=4), count=st.integers(1, 20))
    def publish_many(self, some: list[Message], count: int) -> None:
        for _ in range(count):
            for message in some:
                self.publish(message)

    def _listen(self, listener: Listener, after: str | None) -> Listener:
        listener.subscription = self.broker.subscribe(
            listener.topic, wake=listener.wake, after=after, capacity=listener.capacity
        )
        assert listener.wakes == bool(listener.waiting or listener.gap)
        self.open.append(listener)
        return listener

    @rule(target=listeners, topic=topics, capacity=st.sampled_from([SMALL, LARGE]))
    def subscribe(self, topic: Topic, capacity: int) -> Listener:
        self._deliver_put()
        listener = Listener(topic, capacity, last_number=len(self.published))
        return self._listen(listener, None)

    @rule(target=listeners, listener=consumes(listeners))
    def reconnect(self, listener: Listener) -> Listener:
        """Lose the connection with whatever waits, and come back with the last number seen."""
        self._deliver_put()
        self.close(listener)
        again = Listener(listener.topic, listener.capacity, last_number=listener.last_number)
        forgotten = max(0, len(self.published) - REPLAY)
        again.gap = listener.last_number < forgotten
        for message in self.published[max(forgotten, listener.last_number) :]:
            again.hear(message)
        return self._listen(again, f"abc-{listener.last_number}")

    @rule(target=listeners, topic=topics, after=st.sampled_from(["old-3", "abc-9999", "?"]))
    def reconnect_with_an_unknown_number(self, topic: Topic, after: str) -> Listener:
        self._deliver_put()
        listener = Listener(topic, LARGE, gap=True)
        for message in self.published[-REPLAY:]:
            listener.hear(message)
        return self._listen(listener, after)

    @rule(listener=listeners)
    def close(self, listener: Listener) -> None:
        self.deliver()
        listener.subscription.close()
        listener.closed = True

    @rule(listener=listeners)
    def take(self, listener: Listener) -> None:
        self.deliver()
        taken = listener.subscription.take()
        assert bool(taken) == bool(listener.waiting or listener.gap)
        assert listener.wakes == 1 or not taken
        gaps, received = of_kinds(taken, "gap"), [m for m in taken if m.kind != "gap"]
        overrun = bool(gaps) and gaps[-1] is taken[-1] and reason(gaps[-1]) == "closed"
        if overrun:
            self._check_overrun(listener, received)
            gaps.pop()
        self._check_received(listener, received, gaps)
        if taken:
            listener.last_number = taken[-1].number
        listener.waiting.clear()
        listener.gap = False
        listener.wakes = 0

    def _check_overrun(self, listener: Listener, received: list[Message]) -> None:
        """A subscription ends by itself only when too much waits that must not be dropped."""
        assert listener.subscription.closed
        assert len(of_kinds(received, *NEVER_DROPPED)) > 10 * listener.capacity
        listener.waiting = [m for m in listener.waiting if m.number <= received[-1].number]
        listener.closed = True

    def _check_received(
        self, listener: Listener, received: list[Message], gaps: list[Message]
    ) -> None:
        expected = listener.current
        numbers = [message.number for message in received]
        assert numbers == sorted(set(numbers))
        assert all(number > listener.last_number for number in numbers)
        assert len(gaps) <= 1
        assert [m for m in expected if m in received] == received, "something was invented"
        # Nothing is dropped in silence, and statuses and events never.
        if listener.gap or received != expected:
            assert gaps
        assert of_kinds(received, *NEVER_DROPPED) == of_kinds(expected, *NEVER_DROPPED)
        # While the rest fits, only logs and results are dropped.
        kept = [m for m in expected if m.kind not in DROPPED_FIRST]
        if len(kept) <= listener.capacity:
            assert [m for m in received if m.kind not in DROPPED_FIRST] == kept
        if len(listener.waiting) <= listener.capacity:
            assert received == expected
            assert bool(gaps) == listener.gap
        # Never more waits than the capacity, save what must not be dropped. The latest values are
        # dropped only where they alone are more than that.
        latest = of_kinds(received, "progress", "property")
        assert len(latest) <= listener.capacity or len(received) <= listener.capacity
        if len(received) > listener.capacity:
            assert not of_kinds(received, *DROPPED_FIRST)


def reason(gap: Message) -> str:
    return str(json.loads(gap.payload)["reason"])


TestBroker = BrokerMachine.TestCase
TestBroker.settings = settings(max_examples=300)
