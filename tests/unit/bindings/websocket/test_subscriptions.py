"""The subscriptions of one socket."""

from __future__ import annotations

from uuid import uuid4

import pytest

from labthings_fastapi.bindings.websocket import subscriptions as module
from labthings_fastapi.bindings.websocket.subscriptions import Subscriptions
from labthings_fastapi.exceptions import TooBusyError
from labthings_fastapi.messages.broker import Broker
from labthings_fastapi.messages.message import Message
from labthings_fastapi.messages.topic import Topic

EVENTS = Topic("stage", kinds=frozenset({"event"}))


@pytest.fixture
def broker():
    return Broker("here", replay=100_000)


@pytest.fixture
def subscriptions(broker):
    return Subscriptions(broker, lambda: None)


def publish(broker, payload=b"1", kind="event", **members):
    broker.publish(Message(kind, "stage", "arrived", payload, **members))


def taken(subscriptions):
    return [message for message, _ in subscriptions.take()]


def encode(message):
    return message.payload.decode()


def test_the_messages_of_several_subscriptions_come_in_one_order(broker, subscriptions):
    subscriptions.subscribe("values", Topic("stage", kinds=frozenset({"property"})), encode)
    subscriptions.subscribe("events", EVENTS, encode)
    publish(broker, b"1")
    publish(broker, b"2", "property")
    publish(broker, b"3")
    assert [message.payload for message in taken(subscriptions)] == [b"1", b"2", b"3"]


def test_a_subscription_replaces_one_with_the_same_key(broker, subscriptions):
    first = subscriptions.subscribe("events", EVENTS, encode)
    publish(broker)
    second = subscriptions.subscribe("events", EVENTS, encode)
    publish(broker)
    assert [subscription for _, subscription in subscriptions.take()] == [second]
    assert not first.is_active


def test_taken_messages_are_not_sent_after_the_end_of_their_subscription(broker, subscriptions):
    subscriptions.subscribe("events", EVENTS, encode)
    publish(broker)
    [(_, subscription)] = subscriptions.take()
    subscriptions.unsubscribe("events")
    assert not subscription.is_active


def test_a_subscription_to_one_invocation_ends_with_it(broker, subscriptions, monkeypatch):
    monkeypatch.setattr(module, "MAX_SUBSCRIPTIONS", 1)
    run = uuid4()
    subscriptions.subscribe("run", Topic(invocation=run), encode, one_invocation=True)
    with pytest.raises(TooBusyError, match="1 subscriptions"):
        subscriptions.subscribe("events", EVENTS, encode)
    publish(broker, kind="status", invocation=run, final=True)
    assert len(taken(subscriptions)) == 1
    subscriptions.subscribe("events", EVENTS, encode)


def test_no_event_is_lost_when_the_broker_ends_a_subscription(broker, subscriptions):
    """More than ten times the capacity: the socket subscribes again after the last message."""
    subscriptions.subscribe("events", EVENTS, encode)
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
    subscriptions.subscribe("events", EVENTS, encode)
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
    subscriptions.subscribe("events", EVENTS, encode)
    subscriptions.close()
    publish(broker)
    assert taken(subscriptions) == []
