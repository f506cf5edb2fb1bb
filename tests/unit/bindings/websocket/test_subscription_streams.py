"""What one socket follows."""

from __future__ import annotations

from uuid import uuid4

import pytest

from labthings_fastapi.bindings.websocket import subscription_streams as module
from labthings_fastapi.bindings.websocket.subscription_streams import SubscriptionStreams
from labthings_fastapi.exceptions import TooBusyError
from labthings_fastapi.messages.broker import Broker
from labthings_fastapi.messages.message import Message
from labthings_fastapi.messages.topic import Topic

EVENTS = Topic("stage", kinds=frozenset({"event"}))


@pytest.fixture
def broker():
    return Broker("here", replay=100_000)


@pytest.fixture
def feeds(broker):
    return SubscriptionStreams(broker, lambda: None)


def tell(broker, payload=b"1", kind="event", **members):
    broker.publish(Message(kind, "stage", "arrived", payload, **members))


def taken(feeds):
    return [message for _, message, _ in feeds.take()]


def write(message):
    return message.payload.decode()


def test_what_several_feeds_follow_comes_in_one_order(broker, feeds):
    feeds.begin("values", Topic("stage", kinds=frozenset({"property"})), write)
    feeds.begin("events", EVENTS, write)
    tell(broker, b"1")
    tell(broker, b"2", "property")
    tell(broker, b"3")
    assert [message.payload for message in taken(feeds)] == [b"1", b"2", b"3"]


def test_a_feed_that_is_begun_again_replaces_the_first(broker, feeds):
    first = feeds.begin("events", EVENTS, write)
    tell(broker)
    second = feeds.begin("events", EVENTS, write)
    tell(broker)
    assert [feed for _, _, feed in feeds.take()] == [second]
    assert not first.open


def test_what_was_taken_is_not_sent_once_the_feed_is_ended(broker, feeds):
    feeds.begin("events", EVENTS, write)
    tell(broker)
    [(_, _, feed)] = feeds.take()
    feeds.end("events")
    assert not feed.open


def test_a_feed_of_one_run_ends_with_it(broker, feeds, monkeypatch):
    monkeypatch.setattr(module, "MAX_FEEDS", 1)
    run = uuid4()
    feeds.begin("run", Topic(invocation=run), write, one_invocation=True)
    with pytest.raises(TooBusyError, match="1 subscriptions"):
        feeds.begin("events", EVENTS, write)
    tell(broker, kind="status", invocation=run, final=True)
    assert len(taken(feeds)) == 1
    feeds.begin("events", EVENTS, write)


def test_no_event_is_lost_even_when_the_broker_ends_a_subscription(broker, feeds):
    """More than ten times the capacity of a mailbox: the feed begins again where it was."""
    feeds.begin("events", EVENTS, write)
    for number in range(25_000):
        tell(broker, b"%d" % number)
    found = []
    while batch := taken(feeds):
        found += batch
    assert [message.kind for message in found if message.kind != "event"] == []
    assert [int(message.payload) for message in found] == list(range(25_000))
    tell(broker, b"more")
    assert [message.payload for message in taken(feeds)] == [b"more"]


def test_what_is_lost_for_good_is_said_to_be():
    broker = Broker("here", replay=100)
    feeds = SubscriptionStreams(broker, lambda: None)
    feeds.begin("events", EVENTS, write)
    for _ in range(25_000):
        tell(broker)
    found = []
    while batch := taken(feeds):
        found += batch
    gaps = [message.payload for message in found if message.kind == "gap"]
    assert gaps == [b'{"missed":null,"reason":"expired"}']
    assert found[-1].number == 25_000


def test_the_end_of_the_server_is_seen_by_a_socket_that_follows_nothing(broker, feeds):
    assert not feeds.stopped
    broker.end_streams()
    assert feeds.stopped
    assert SubscriptionStreams(Broker("other"), lambda: None).stopped is False


def test_a_closed_socket_leaves_nothing_with_the_broker(broker, feeds):
    feeds.begin("events", EVENTS, write)
    feeds.close()
    tell(broker)
    assert taken(feeds) == []
