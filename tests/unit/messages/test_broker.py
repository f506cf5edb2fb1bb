from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from labthings_fastapi.messages.broker import Broker
from labthings_fastapi.messages.message import Message
from labthings_fastapi.messages.topic import Topic

if TYPE_CHECKING:
    from labthings_fastapi.messages.message import MessageKind

CURRENT_INVOCATION = UUID(int=1)


@pytest.fixture
def broker() -> Broker:
    return Broker("abc")


def message(kind: MessageKind = "event", thing: str = "stage", value: Any = None) -> Message:
    return Message(
        kind, thing, "x", json.dumps(str(value)).encode(), value, invocation=CURRENT_INVOCATION
    )


def numbers(messages: list[Message]) -> list[int]:
    return [each.number for each in messages]


def gap_payload(messages: list[Message]) -> Any:
    assert messages[0].kind == "gap"
    return json.loads(messages[0].payload)


# Publishing


def test_messages_are_numbered_from_one(broker: Broker) -> None:
    assert [broker.publish(message()).seq for _ in range(3)] == ["abc-1", "abc-2", "abc-3"]
    assert broker.position == "abc-3"


def test_two_brokers_have_different_incarnations() -> None:
    assert Broker().boot_id != Broker().boot_id


@pytest.mark.parametrize("boot_id", ["", "a b", "a\nid: 1", "é"])
def test_an_incarnation_must_fit_in_a_header(boot_id: str) -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        Broker(boot_id)


def test_subscribers_get_what_matches_their_topic(broker: Broker) -> None:
    stage = broker.subscribe(Topic(thing="stage"))
    events = broker.subscribe(Topic(kinds=frozenset({"event"})))
    everything = broker.subscribe(Topic())
    broker.publish(message("event", "stage"))
    broker.publish(message("log", "stage"))
    broker.publish(message("event", "camera"))
    assert numbers(stage.take()) == [1, 2]
    assert numbers(events.take()) == [1, 3]
    assert numbers(everything.take()) == [1, 2, 3]


def test_observers_in_the_process_get_the_very_value(broker: Broker) -> None:
    value = object()
    subscription = broker.subscribe(Topic())
    broker.publish(message("property", value=value))
    assert subscription.take()[0].value is value


def test_messages_of_before_the_subscription_are_not_delivered(broker: Broker) -> None:
    broker.publish(message())
    assert broker.subscribe(Topic()).take() == []


def test_a_subscriber_that_never_reads_costs_the_others_nothing(broker: Broker) -> None:
    broker.subscribe(Topic(), capacity=2)
    reader = broker.subscribe(Topic(), capacity=1000)
    for _ in range(500):
        broker.publish(message("event"))
    assert numbers(reader.take()) == list(range(1, 501))


def test_numbers_rise_for_every_subscriber_whatever_thread_publishes(broker: Broker) -> None:
    subscriptions = [broker.subscribe(Topic(), capacity=2000) for _ in range(3)]
    start = threading.Barrier(4)

    def publish_many() -> None:
        start.wait()
        for _ in range(250):
            broker.publish(message())

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(publish_many) for _ in range(4)]:
            future.result()
    for subscription in subscriptions:
        assert numbers(subscription.take()) == list(range(1, 1001))


def test_nothing_is_lost_or_doubled_while_publishing_and_taking_at_once(broker: Broker) -> None:
    subscription = broker.subscribe(Topic(), capacity=5000)
    seen: list[int] = []

    def take_all() -> None:
        while len(seen) < 2000 and subscription.wait(timeout=60):
            seen.extend(numbers(subscription.take()))

    reader = threading.Thread(target=take_all)
    reader.start()
    for _ in range(2000):
        broker.publish(message())
    reader.join()
    assert seen == list(range(1, 2001))


class PublishesWhenHashed(str):
    """Stands for a finaliser that runs in the middle of `publish`: its hash is asked for there."""

    broker: Broker | None = None

    def __eq__(self, other: object) -> bool:
        return str(self) == other

    def __hash__(self) -> int:
        broker, self.broker = self.broker, None
        if broker is not None:
            broker.publish(message("log", "finaliser"))
        return hash(str(self))


def test_publishing_from_within_publish_keeps_the_order(broker: Broker) -> None:
    """A finaliser may run anywhere, and log; that must neither lock up nor upset the numbers."""
    subscription = broker.subscribe(Topic())
    broker.subscribe(Topic(thing="another"))  # or no Thing's name is looked up
    name = PublishesWhenHashed("stage")
    name.broker = broker
    broker.publish(message("event", name))
    assert [(each.number, each.kind) for each in subscription.take()] == [(1, "event"), (2, "log")]
    assert broker.position == "abc-2"


def test_discarded_values_are_let_go_of_outside_the_lock(broker: Broker) -> None:
    """The last reference to a user's object may run the user's code, which may wait for others."""
    published: list[int] = []

    class Frame:
        def __del__(self) -> None:
            other = threading.Thread(
                target=lambda: published.append(broker.publish(message("log", "camera")).number)
            )
            other.start()
            other.join(timeout=10)  # in vain if this thread held the broker's lock

    broker.subscribe(Topic(thing="stage"))
    broker.publish(message("property", value=Frame()))
    broker.publish(message("property", value=2))
    assert published == [3]


# Waking


def test_wake_is_called_once_between_two_takes(broker: Broker) -> None:
    calls: list[str] = []
    subscription = broker.subscribe(Topic(), wake=lambda: calls.append("wake"))
    for _ in range(5):
        broker.publish(message())
    assert calls == ["wake"]
    subscription.take()
    broker.publish(message())
    assert calls == ["wake", "wake"]


def test_wake_may_use_the_broker(broker: Broker) -> None:
    taken: list[Message] = []

    def wake() -> None:
        taken.extend(subscription.take())

    subscription = broker.subscribe(Topic(), wake=wake)
    broker.publish(message())
    broker.publish(message())
    assert numbers(taken) == [1, 2]


def test_a_wake_up_that_fails_is_logged_and_hurts_nobody(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    def wake() -> None:
        raise RuntimeError("the loop is closed")

    broker.subscribe(Topic(thing="stage"), wake=wake)
    other = broker.subscribe(Topic(thing="stage"))
    broker.publish(message())
    assert numbers(other.take()) == [1]
    assert "thing='stage'" in caplog.text
    assert "the loop is closed" in caplog.text


# Replay


def test_a_reconnecting_subscriber_gets_what_it_missed(broker: Broker) -> None:
    for thing in ("stage", "camera", "stage", "stage"):
        broker.publish(message("event", thing))
    subscription = broker.subscribe(Topic(thing="stage"), after="abc-1")
    broker.publish(message("event", "stage"))
    assert numbers(subscription.take()) == [3, 4, 5]


def test_a_replay_wakes_the_subscriber(broker: Broker) -> None:
    calls: list[str] = []
    broker.publish(message())
    broker.subscribe(Topic(), after="abc-0", wake=lambda: calls.append("wake"))
    broker.publish(message())
    assert calls == ["wake"]


def test_nothing_missed_is_nothing_replayed(broker: Broker) -> None:
    broker.publish(message())
    assert broker.subscribe(Topic(), after=broker.position).take() == []
    assert broker.subscribe(Topic(), after="").take() == []


@pytest.mark.parametrize(
    "after",
    ["old-1", "abc-99", "abc", "abc-", "abc--1", "-1", "garbage", "abc-٣", "abc-" + "9" * 50],
)
def test_a_number_that_was_not_given_here_is_answered_with_a_gap(
    broker: Broker, after: str
) -> None:
    broker.publish(message())
    messages = broker.subscribe(Topic(), after=after).take()
    assert gap_payload(messages) == {"missed": None, "reason": "unknown"}
    assert numbers(messages) == [0, 1]


def test_what_fell_out_of_the_buffer_is_a_gap() -> None:
    broker = Broker("abc", replay=3)
    for _ in range(6):
        broker.publish(message())
    assert numbers(broker.subscribe(Topic(), after="abc-3").take()) == [4, 5, 6]
    messages = broker.subscribe(Topic(), after="abc-2").take()
    assert gap_payload(messages) == {"missed": None, "reason": "expired"}
    assert numbers(messages) == [3, 4, 5, 6]


def test_a_gap_with_nothing_to_replay_says_where_to_resume(broker: Broker) -> None:
    broker.publish(message())
    messages = broker.subscribe(Topic(thing="camera"), after="old-7").take()
    assert [each.seq for each in messages] == ["abc-1"]


def test_only_the_latest_value_of_a_property_is_replayed(broker: Broker) -> None:
    for value in range(5):
        broker.publish(message("property", value=value))
    messages = broker.subscribe(Topic(), after="abc-0").take()
    assert [each.payload for each in messages] == [b'"4"']


# Bounds


def test_a_slow_subscriber_is_told_of_the_gap_and_gets_the_events(broker: Broker) -> None:
    subscription = broker.subscribe(Topic(), capacity=3)
    broker.publish(message("event"))
    for _ in range(10):
        broker.publish(message("log"))
    broker.publish(message("status"))
    messages = subscription.take()
    assert gap_payload(messages) == {"missed": 9, "reason": "slow"}
    assert numbers(messages) == [0, 1, 11, 12]
    assert subscription.take() == []


def test_resuming_from_a_gap_brings_back_what_was_dropped(broker: Broker) -> None:
    subscription = broker.subscribe(Topic(), capacity=3)
    for _ in range(10):
        broker.publish(message("log"))
    gap = subscription.take()[0]
    again = broker.subscribe(Topic(), after=gap.seq)
    assert numbers(again.take()) == [8, 9, 10]


def test_a_subscription_ends_when_events_pile_up(broker: Broker) -> None:
    subscription = broker.subscribe(Topic(), capacity=3)
    for _ in range(100):
        broker.publish(message("event"))
    assert subscription.closed
    *messages, last = subscription.take()
    assert numbers(messages) == list(range(1, 32))
    assert json.loads(last.payload) == {"missed": None, "reason": "closed"}
    resumed = broker.subscribe(Topic(), after=last.seq)
    assert numbers(resumed.take()) == list(range(32, 101))


def test_a_subscription_that_is_open_never_says_that_it_ended(broker: Broker) -> None:
    """More than the hard limit may wait for a moment: it is looked at in batches."""
    subscription = broker.subscribe(Topic(), capacity=10)
    for number in range(107):
        broker.publish(message("log" if 95 <= number < 101 else "event"))
    assert not subscription.closed
    assert numbers(subscription.take()) == [0, *range(1, 96), *range(102, 108)]
    broker.publish(message())
    assert len(subscription.take()) == 1


def test_a_replay_that_is_too_long_comes_in_pieces(broker: Broker) -> None:
    for _ in range(35):
        broker.publish(message("event"))
    first = broker.subscribe(Topic(), after="abc-0", capacity=3)
    assert first.closed
    *messages, last = first.take()
    second = broker.subscribe(Topic(), after=last.seq, capacity=3)
    assert numbers(messages) + numbers(second.take()) == list(range(1, 36))


def test_the_last_state_of_a_run_reaches_a_subscriber_flooded_with_its_log(broker: Broker) -> None:
    subscription = broker.subscribe(Topic(invocation=CURRENT_INVOCATION), capacity=5)
    for _ in range(1000):
        broker.publish(message("log"))
    broker.publish(
        Message("status", "stage", "x", b"{}", invocation=CURRENT_INVOCATION, final=True)
    )
    for _ in range(1000):
        broker.publish(message("log"))
    assert [each.number for each in subscription.take() if each.final] == [1001]


def test_a_capacity_must_hold_something(broker: Broker) -> None:
    with pytest.raises(ValueError, match="capacity is 0"):
        broker.subscribe(Topic(), capacity=0)


# Closing


def test_closing_the_broker_ends_every_subscription(broker: Broker) -> None:
    subscriptions = [broker.subscribe(Topic()) for _ in range(3)]
    broker.publish(message())
    broker.close()
    broker.publish(message())
    assert all(subscription.closed for subscription in subscriptions)
    assert [numbers(subscription.take()) for subscription in subscriptions] == [[1]] * 3


def test_a_closed_broker_still_replays(broker: Broker) -> None:
    broker.publish(message())
    broker.close()
    broker.close()
    late = broker.subscribe(Topic(), after="abc-0")
    assert late.closed
    assert numbers(late.take()) == [1]
