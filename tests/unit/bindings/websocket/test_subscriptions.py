"""The subscriptions of one socket."""

from __future__ import annotations

from uuid import uuid4

import pytest

from labthings_fastapi.bindings.websocket import subscriptions as module
from labthings_fastapi.bindings.websocket.subscriptions import Key, Subscriptions
from labthings_fastapi.exceptions import TooBusyError
from labthings_fastapi.messages.broker import Broker
from labthings_fastapi.messages.message import Message
from labthings_fastapi.messages.topic import Topic

EVENTS = Key("event", "stage")
VALUES = Key("property", "stage")
RUN = Key("labthings:observeinvocation", name="run")
EVENT_TOPIC = Topic("stage", kinds=frozenset({"event"}))


@pytest.fixture
def broker():
    return Broker("here", replay=100_000)


@pytest.fixture
def subscriptions(broker):
    return Subscriptions(broker, lambda: None)


def publish(broker, payload=b"1", kind="event", **members):
    broker.publish(Message(kind, "stage", "arrived", payload, **members))


def entries(subscriptions):
    subscriptions.take()
    found = []
    while entry := subscriptions.next():
        found.append(entry)
    return found


def taken(subscriptions):
    return [message for message, _ in entries(subscriptions)]


def encode(message):
    return message.payload.decode()


def test_the_messages_of_several_subscriptions_come_in_one_order(broker, subscriptions):
    subscriptions.subscribe(VALUES, Topic("stage", kinds=frozenset({"property"})), encode)
    subscriptions.subscribe(EVENTS, EVENT_TOPIC, encode)
    publish(broker, b"1")
    publish(broker, b"2", "property")
    publish(broker, b"3")
    assert [message.payload for message in taken(subscriptions)] == [b"1", b"2", b"3"]


def one(name):
    return Key("event", "stage", name), Topic("stage", name, kinds=frozenset({"event"}))


def told(subscriptions):
    """The payloads, and the texts by which the subscriptions encode them."""
    return [subscription.encode(message) for message, subscription in entries(subscriptions)]


def by(text):
    return lambda message: f"{text}: {message.affordance} {message.payload.decode()}"


def happen(broker, name, payload=b"1"):
    broker.publish(Message("event", "stage", name, payload))


def test_a_subscription_replaces_one_with_the_same_key_and_sends_what_that_had_not_sent(
    broker, subscriptions
):
    subscriptions.subscribe(*one("a"), by("first"))
    happen(broker, "a", b"1")
    subscriptions.subscribe(*one("a"), by("second"))
    happen(broker, "a", b"2")
    assert told(subscriptions) == ["second: a 1", "second: a 2"]


def test_what_was_collected_already_is_sent_by_the_new_subscription_too(broker, subscriptions):
    subscriptions.subscribe(*one("a"), by("first"))
    happen(broker, "a", b"1")
    subscriptions.take()
    subscriptions.subscribe(*one("a"), by("second"))
    assert told(subscriptions) == ["second: a 1"]


def test_a_subscription_to_all_replaces_those_to_one(broker, subscriptions):
    subscriptions.subscribe(*one("a"), by("one"))
    happen(broker, "a", b"1")
    happen(broker, "b", b"1")  # nobody asked for it yet
    subscriptions.subscribe(EVENTS, EVENT_TOPIC, by("all"))
    happen(broker, "a", b"2")
    happen(broker, "b", b"2")
    assert told(subscriptions) == ["all: a 1", "all: a 2", "all: b 2"]


def test_a_subscription_to_one_takes_it_out_of_the_one_to_all(broker, subscriptions):
    subscriptions.subscribe(EVENTS, EVENT_TOPIC, by("all"))
    happen(broker, "a", b"1")
    happen(broker, "b", b"1")
    subscriptions.subscribe(*one("a"), by("one"))
    happen(broker, "a", b"2")
    happen(broker, "b", b"2")
    assert told(subscriptions) == ["one: a 1", "all: b 1", "one: a 2", "all: b 2"]


def test_the_end_of_one_leaves_the_others_of_a_subscription_to_all(broker, subscriptions):
    subscriptions.subscribe(EVENTS, EVENT_TOPIC, by("all"))
    happen(broker, "a", b"1")
    happen(broker, "b", b"1")
    subscriptions.take()
    subscriptions.unsubscribe(one("a")[0])
    happen(broker, "a", b"2")
    happen(broker, "b", b"2")
    assert told(subscriptions) == ["all: b 1", "all: b 2"]
    subscriptions.subscribe(EVENTS, EVENT_TOPIC, by("again"))
    happen(broker, "a", b"3")
    assert told(subscriptions) == ["again: a 3"]


def test_the_end_of_all_ends_those_to_one_and_no_others(broker, subscriptions):
    subscriptions.subscribe(*one("a"), by("one"))
    subscriptions.subscribe(Key("event", "lamp", "a"), Topic("lamp"), by("lamp"))
    subscriptions.subscribe(Key("property", "stage", "a"), Topic("stage", "a"), by("property"))
    subscriptions.unsubscribe(EVENTS)
    happen(broker, "a", b"2")
    assert told(subscriptions) == ["property: a 2"]
    broker.publish(Message("event", "lamp", "a", b"3"))
    assert told(subscriptions) == ["lamp: a 3"]


def test_a_client_that_asks_for_what_it_missed_gets_nothing_twice(broker, subscriptions):
    subscriptions.subscribe(EVENTS, EVENT_TOPIC, by("all"))
    happen(broker, "a", b"1")
    happen(broker, "a", b"2")
    subscriptions.subscribe(*one("a"), by("one"), after="here-1")
    assert told(subscriptions) == ["one: a 2"]


def test_taken_messages_are_not_sent_after_the_end_of_their_subscription(broker, subscriptions):
    subscriptions.subscribe(EVENTS, EVENT_TOPIC, encode)
    publish(broker)
    subscriptions.take()
    subscriptions.unsubscribe(EVENTS)
    assert told(subscriptions) == []


def test_a_subscription_to_one_invocation_ends_with_it(broker, subscriptions, monkeypatch):
    monkeypatch.setattr(module, "MAX_SUBSCRIPTIONS", 1)
    run = uuid4()
    subscriptions.subscribe(RUN, Topic(invocation=run), encode, one_invocation=True)
    with pytest.raises(TooBusyError, match="1 subscriptions"):
        subscriptions.subscribe(EVENTS, EVENT_TOPIC, encode)
    publish(broker, kind="status", invocation=run, final=True)
    assert len(taken(subscriptions)) == 1
    subscriptions.subscribe(EVENTS, EVENT_TOPIC, encode)


def test_no_event_is_lost_when_the_broker_ends_a_subscription(broker, subscriptions):
    """More than ten times the capacity: the socket subscribes again after the last message."""
    subscriptions.subscribe(EVENTS, EVENT_TOPIC, encode)
    for number in range(25_000):
        publish(broker, b"%d" % number)
    messages = []
    while batch := taken(subscriptions):
        messages += batch
    assert [message.kind for message in messages if message.kind != "event"] == []
    assert [int(message.payload) for message in messages] == list(range(25_000))
    publish(broker, b"more")
    assert [message.payload for message in taken(subscriptions)] == [b"more"]


def test_messages_that_the_broker_has_forgotten_give_a_gap():
    broker = Broker("here", replay=100)
    subscriptions = Subscriptions(broker, lambda: None)
    subscriptions.subscribe(EVENTS, EVENT_TOPIC, encode)
    for _ in range(25_000):
        publish(broker)
    messages = []
    while batch := taken(subscriptions):
        messages += batch
    gaps = [message.payload for message in messages if message.kind == "gap"]
    assert gaps == [b'{"missed":null,"reason":"expired"}']
    assert messages[-1].number == 25_000


def test_a_socket_without_subscriptions_sees_the_stop_of_the_server(broker, subscriptions):
    assert not subscriptions.is_stopped
    broker.end_streams()
    assert subscriptions.is_stopped
    assert Subscriptions(Broker("other"), lambda: None).is_stopped is False


def test_closing_ends_all_subscriptions(broker, subscriptions):
    subscriptions.subscribe(EVENTS, EVENT_TOPIC, encode)
    subscriptions.close()
    publish(broker)
    assert taken(subscriptions) == []
