"""Callbacks of Python code."""

from __future__ import annotations

import threading

import pytest

import labthings_fastapi as lt
from labthings_fastapi.actions.context import current_invocation
from labthings_fastapi.concurrency.bounded_executor import Workers
from labthings_fastapi.invocation_contexts import fake_invocation_context
from labthings_fastapi.messages.broker import Broker
from labthings_fastapi.messages.message import Message
from labthings_fastapi.messages.topic import Topic
from labthings_fastapi.thing_host.observation import Observation

EVENTS = Topic(thing="oven", affordance="hot", kinds=frozenset({"event"}))
VALUES = Topic(thing="oven", affordance="heat", kinds=frozenset({"property"}))


@pytest.fixture
def broker():
    return Broker(replay=10)


class Listener:
    """A callback that can be held up, and waited for."""

    def __init__(self):
        self.values = []
        self.threads = set()
        self.go_on = threading.Event()
        self.go_on.set()
        self.entered = threading.Event()
        self._changed = threading.Condition()

    def __call__(self, value):
        self.entered.set()
        self.go_on.wait(30)
        with self._changed:
            self.values.append(value)
            self.threads.add(threading.current_thread())
            self._changed.notify_all()

    def has(self, number):
        with self._changed:
            return self._changed.wait_for(lambda: len(self.values) >= number, 30)


@pytest.fixture
def listener():
    listener = Listener()
    yield listener
    listener.go_on.set()


def happen(broker, value, affordance="hot", kind="event"):
    broker.publish(Message(kind, "oven", affordance, b"%d" % value, value))


def test_events_come_in_order_in_another_thread(broker, listener):
    Observation(broker, EVENTS, listener)
    for number in range(100):
        happen(broker, number)
    assert listener.has(100)
    assert listener.values == list(range(100))
    assert threading.current_thread() not in listener.threads


def test_where_no_thread_can_be_started_events_wait_for_one(broker, listener, monkeypatch, caplog):
    start = threading.Thread.start

    def limited(thread):
        if thread.name.startswith("test-callback"):
            raise RuntimeError("can't start new thread")
        start(thread)

    workers = Workers("test-callback")  # none of which waits
    monkeypatch.setattr("labthings_fastapi.thing_host.observation._workers", lambda: workers)
    monkeypatch.setattr("labthings_fastapi.thing_host.observation.RETRY_SECONDS", 0.01)
    Observation(broker, EVENTS, listener)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", limited)
        happen(broker, 1)
    assert "can't start new thread" in caplog.text
    happen(broker, 2)
    assert listener.has(2)
    assert listener.values == [1, 2]


def test_the_sender_never_waits_for_a_slow_callback(broker, listener):
    listener.go_on.clear()
    other = Listener()
    Observation(broker, EVENTS, listener)
    Observation(broker, EVENTS, other)
    for number in range(3):
        happen(broker, number)
    assert other.has(3)  # while the first has got none
    assert listener.values == []
    listener.go_on.set()
    assert listener.has(3)
    assert listener.values == [0, 1, 2]


def test_of_a_property_a_slow_callback_gets_the_latest_value(broker, listener):
    listener.go_on.clear()
    Observation(broker, VALUES, listener)
    happen(broker, 0, "heat", "property")
    listener.entered.wait(30)
    for number in range(1, 10):
        happen(broker, number, "heat", "property")
    listener.go_on.set()
    assert listener.has(2)
    assert listener.values == [0, 9]


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_what_a_callback_raises_is_logged_and_the_next_one_comes(broker, listener, caplog, error):
    def fail(value):
        listener(value)
        raise error("of no interest to the sender")

    Observation(broker, EVENTS, fail)
    happen(broker, 1)
    assert listener.has(1)
    happen(broker, 2)
    assert listener.has(2)
    ended = Listener()
    Observation(broker, EVENTS, ended)
    happen(broker, 3)
    assert ended.has(1)
    assert listener.has(3)  # so the first two failures have been logged
    messages = [record.getMessage() for record in caplog.records if "failed" in record.getMessage()]
    assert len(messages) >= 2
    assert error.__name__ in messages[0]


def test_after_close_nothing_more_comes_not_even_what_waits(broker, listener):
    listener.go_on.clear()
    watch = Observation(broker, EVENTS, listener)
    happen(broker, 0)
    listener.entered.wait(30)
    happen(broker, 1)
    watch.close()
    watch.close()
    listener.go_on.set()
    happen(broker, 2)
    last = Listener()
    Observation(broker, EVENTS, last)
    happen(broker, 3)
    assert last.has(1)
    assert listener.has(1)
    assert listener.values == [0]


def test_a_callback_belongs_to_no_run(broker):
    found = []
    called = threading.Event()

    def look(value):
        found.append(current_invocation())
        called.set()

    with fake_invocation_context():
        Observation(broker, EVENTS, look)
        happen(broker, 1)
        assert called.wait(30)
    assert found == [None]


def test_a_callback_may_make_things_happen(broker, listener):
    Observation(broker, EVENTS, lambda value: happen(broker, value + 1, "heat", "property"))
    Observation(broker, VALUES, listener)
    happen(broker, 1)
    assert listener.has(1)
    assert listener.values == [2]


def test_a_callback_that_falls_far_behind_gets_later_events_again(broker, listener, caplog):
    listener.go_on.clear()
    Observation(broker, EVENTS, listener)
    happen(broker, 0)
    listener.entered.wait(30)
    for number in range(1, 20_001):
        happen(broker, number)
    listener.go_on.set()
    assert listener.has(10_001)
    resumed = threading.Event()
    while not resumed.is_set():  # subscribed again after the gap, some moment soon
        happen(broker, -1)
        if listener.values[-1] == -1:
            resumed.set()
    assert any("too slow" in record.getMessage() for record in caplog.records)
    assert "closed" in caplog.text


def test_messages_that_come_while_it_subscribes_are_not_lost(broker):
    """A publisher goes on while others subscribe; each of them gets the messages that follow."""
    stop = threading.Event()

    def publish():
        while not stop.is_set():
            happen(broker, 1)

    publisher = threading.Thread(target=publish)
    try:
        publisher.start()
        listeners = [Listener() for _ in range(20)]
        watches = [Observation(broker, EVENTS, listener) for listener in listeners]
        assert all(listener.has(1) for listener in listeners)
    finally:
        stop.set()
        publisher.join()
    for watch in watches:
        watch.close()


def test_a_value_that_is_set_as_soon_as_it_has_subscribed_is_delivered(monkeypatch):
    class Oven(lt.Thing):
        heat: int = lt.property(default=0)

    oven, listener, watches = Oven(), Listener(), []
    subscribe = Broker.subscribe

    def subscribe_before_a_number(broker, *args, **options):
        subscription = subscribe(broker, *args, **options)
        writer = threading.Thread(target=setattr, args=(oven, "heat", 7))
        writer.start()
        writer.join(30)  # it must not wait for the observer, which has not begun yet
        return subscription

    def observe():
        watches.append(oven.properties["heat"].observe(listener))

    monkeypatch.setattr(Broker, "subscribe", subscribe_before_a_number)
    observer = threading.Thread(target=observe, daemon=True)
    observer.start()
    observer.join(30)
    assert not observer.is_alive()
    assert listener.has(1)
    assert listener.values == [7]
    watches[0].close()


def test_what_is_closed_while_it_subscribes_again_stays_closed(broker, listener, monkeypatch):
    listener.go_on.clear()
    watch = Observation(broker, EVENTS, listener)
    happen(broker, 0)
    listener.entered.wait(30)
    for number in range(1, 20_001):
        happen(broker, number)
    subscribe, closed, made = broker.subscribe, threading.Event(), []

    def subscribe_as_it_is_closed(*args, **options):
        closer = threading.Thread(target=watch.close)
        closer.start()
        closer.join(30)
        made.append(subscribe(*args, **options))
        closed.set()
        return made[-1]

    monkeypatch.setattr(broker, "subscribe", subscribe_as_it_is_closed)
    listener.go_on.set()
    assert closed.wait(30)
    while not made[0].closed:  # as soon as its worker sees that it was closed
        happen(broker, -1)
    assert -1 not in listener.values
