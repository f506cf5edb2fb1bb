"""Drafts are messages like all others, written only for those who read them."""

from __future__ import annotations

import gc
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from labthings_fastapi.messages.broker import Broker
from labthings_fastapi.messages.message import Message
from labthings_fastapi.messages.topic import Topic

if TYPE_CHECKING:
    from uuid import UUID

    from labthings_fastapi.messages.message import MessageKind

LOGS = Topic(kinds=frozenset({"log"}))


class Clerk:
    """An author that counts what it writes."""

    def __init__(self, thing: str = "stage") -> None:
        self.kind: MessageKind = "log"
        self.thing = thing
        self.affordance = "move"
        self.invocation: UUID | None = None
        self.wrote: list[Any] = []

    def write(self, content: Any) -> Message:
        self.wrote.append(content)
        return Message("log", self.thing, self.affordance, b"%d" % content)


def event() -> Message:
    return Message("event", "stage", "homed", b"0")


def told(messages: list[Message]) -> list[tuple[int, bytes]]:
    return [(message.number, message.payload) for message in messages]


@pytest.fixture
def broker() -> Broker:
    return Broker("abc", replay=10)


def test_a_draft_that_nobody_reads_is_not_written(broker: Broker) -> None:
    clerk = Clerk()
    with broker.subscribe(Topic(thing="camera")), broker.subscribe(Topic(affordance="homed")):
        broker.publish_draft((1, clerk, 1))
    assert clerk.wrote == []
    assert broker.position == "abc-1"


def test_a_subscriber_gets_it_at_once_and_in_its_place(broker: Broker) -> None:
    woken: list[str] = []
    subscription = broker.subscribe(Topic(thing="stage"), wake=lambda: woken.append("wake"))
    broker.publish(event())
    broker.publish_draft((1, Clerk(), 7))
    broker.publish(event())
    assert woken == ["wake"]
    assert told(subscription.take()) == [(1, b"0"), (2, b"7"), (3, b"0")]


def test_who_comes_back_gets_what_was_drafted_meanwhile(broker: Broker) -> None:
    clerk = Clerk()
    for content in (1, 2):
        broker.publish_draft((1, clerk, content))
        broker.publish(event())
    replayed = broker.subscribe(Topic(), after="abc-1").take()
    assert told(replayed) == [(2, b"0"), (3, b"2"), (4, b"0")]
    assert [message.seq for message in replayed] == ["abc-2", "abc-3", "abc-4"]
    assert clerk.wrote == [2]


def test_only_what_a_topic_selects_is_written_for_the_replay(broker: Broker) -> None:
    wanted, other = Clerk(), Clerk("camera")
    broker.publish_draft((1, other, 1))
    broker.publish_draft((1, wanted, 2))
    topic = Topic(thing="stage", kinds=frozenset({"log"}))
    assert told(broker.subscribe(topic, after="abc-0").take()) == [(2, b"2")]
    assert other.wrote == []


def test_forgotten_drafts_are_said_to_be_missing(broker: Broker) -> None:
    for content in range(12):
        broker.publish_draft((1, Clerk(), content))
    gap, *rest = broker.subscribe(LOGS, after="abc-0").take()
    assert gap.kind == "gap"
    assert [message.number for message in rest] == list(range(3, 13))


def test_the_size_of_drafts_counts_towards_what_is_remembered() -> None:
    broker = Broker("abc", replay_bytes=100)
    for content in range(5):
        broker.publish_draft((40, Clerk(), content))
    with broker.subscribe(LOGS, after="abc-3") as subscription:
        assert [m.number for m in subscription.take()] == [4, 5]
    broker.publish_draft((101, Clerk(), 6))
    assert [m.kind for m in broker.subscribe(LOGS, after="abc-3").take()] == ["gap"]


def test_more_drafts_than_fit_are_dropped_unwritten_and_the_gap_is_said() -> None:
    broker, clerk = Broker("abc"), Clerk()
    for content in range(20):
        broker.publish_draft((1, clerk, content))
    gap, *rest = broker.subscribe(LOGS, after="abc-0", capacity=5).take()
    assert gap.kind == "gap"
    assert [message.number for message in rest] == [16, 17, 18, 19, 20]
    assert clerk.wrote == [15, 16, 17, 18, 19]


class DraftsWhenFreed:
    """Publishes in its finaliser, as an object that logs when it is collected."""

    def __init__(self, broker: Broker, clerk: Clerk) -> None:
        self.broker, self.clerk = broker, clerk
        self.itself = self  # only the garbage collector frees it

    def __del__(self) -> None:
        self.broker.publish_draft((1, self.clerk, 9))


class CollectsWhenHashed(str):
    """Has the garbage collector run in the middle of a look-up."""

    def __eq__(self, other: object) -> bool:
        return str(self) == other

    def __hash__(self) -> int:
        gc.collect()
        return hash(str(self))


def test_a_finaliser_may_draft_in_the_middle_of_a_call(broker: Broker) -> None:
    subscription = broker.subscribe(Topic())
    broker.subscribe(Topic(thing="another"))  # or no Thing's name is looked up
    name = CollectsWhenHashed("stage")
    DraftsWhenFreed(broker, Clerk())
    broker.publish(Message("event", name, "homed", b"0"))
    DraftsWhenFreed(broker, Clerk())
    broker.publish_draft((1, Clerk(name), 5))
    got = told(subscription.take())
    assert [number for number, _ in got] == [1, 2, 3, 4]
    assert sorted(payload for _, payload in got) == [b"0", b"5", b"9", b"9"]


def test_a_closed_broker_still_replays_drafts(broker: Broker) -> None:
    broker.publish_draft((1, Clerk(), 3))
    broker.close()
    broker.publish_draft((1, Clerk(), 4))
    assert told(broker.subscribe(LOGS, after="abc-0").take()) == [(1, b"3"), (2, b"4")]


def test_what_is_drafted_while_somebody_subscribes_is_there_at_once() -> None:
    """Either replayed or told: it does not wait for another message to push it along."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(1000):
            broker, ready = Broker("abc"), threading.Barrier(2)

            def draft(broker: Broker = broker, ready: threading.Barrier = ready) -> None:
                ready.wait()
                for content in (1, 2, 3):
                    broker.publish_draft((1, Clerk(), content))

            author = threading.Thread(target=draft)
            author.start()
            ready.wait()
            subscription = broker.subscribe(LOGS, after="abc-0")
            author.join()
            assert told(subscription.take()) == [(1, b"1"), (2, b"2"), (3, b"3")]
    finally:
        sys.setswitchinterval(interval)
