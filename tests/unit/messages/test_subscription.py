from __future__ import annotations

import threading

import pytest

from labthings_fastapi.messages.broker import Broker
from labthings_fastapi.messages.message import Message
from labthings_fastapi.messages.topic import Topic


@pytest.fixture
def broker() -> Broker:
    return Broker("abc")


def event() -> Message:
    return Message("event", "stage", "homed", b"null")


def test_a_message_is_taken_once(broker: Broker) -> None:
    subscription = broker.subscribe(Topic())
    broker.publish(event())
    assert len(subscription.take()) == 1
    assert subscription.take() == []


def test_after_closing_nothing_more_comes_and_the_rest_can_be_taken(broker: Broker) -> None:
    subscription = broker.subscribe(Topic())
    broker.publish(event())
    subscription.close()
    broker.publish(event())
    assert [message.number for message in subscription.take()] == [1]
    assert subscription.take() == []


def test_leaving_the_context_closes(broker: Broker) -> None:
    with broker.subscribe(Topic()) as subscription:
        assert not subscription.closed
    assert subscription.closed


def test_closing_wakes_a_subscriber_for_whom_nothing_waits(broker: Broker) -> None:
    calls: list[str] = []
    subscription = broker.subscribe(Topic(), wake=lambda: calls.append("wake"))
    subscription.close()
    subscription.close()
    assert calls == ["wake"]


def test_closing_does_not_wake_twice(broker: Broker) -> None:
    calls: list[str] = []
    subscription = broker.subscribe(Topic(), wake=lambda: calls.append("wake"))
    broker.publish(event())
    subscription.close()
    assert calls == ["wake"]


def test_closing_one_leaves_others_with_the_same_topic_alone(broker: Broker) -> None:
    one, other = broker.subscribe(Topic()), broker.subscribe(Topic())
    one.close()
    broker.publish(event())
    assert one.take() == []
    assert len(other.take()) == 1


def test_wait_returns_whether_messages_can_be_taken(broker: Broker) -> None:
    subscription = broker.subscribe(Topic())
    assert not subscription.wait(timeout=0)
    broker.publish(event())
    assert subscription.wait(timeout=0)
    subscription.take()
    assert not subscription.wait(timeout=0)


class Waiter:
    """A thread that waits on a subscription; `found` is what `wait` returned."""

    def __init__(self, broker: Broker) -> None:
        self.subscription = broker.subscribe(Topic())
        self.found: bool | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self.found = self.subscription.wait(timeout=60)

    def result(self) -> bool | None:
        self._thread.join()
        return self.found


def test_publishing_ends_a_wait(broker: Broker) -> None:
    waiter = Waiter(broker)
    broker.publish(event())
    assert waiter.result() is True


def test_closing_ends_a_wait(broker: Broker) -> None:
    waiter = Waiter(broker)
    waiter.subscription.close()
    assert waiter.result() is False


def test_waiting_on_a_closed_subscription_returns_at_once(broker: Broker) -> None:
    subscription = broker.subscribe(Topic())
    subscription.close()
    assert not subscription.wait()
