"""What every broker promises, through its public methods."""

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
    from collections.abc import Callable

    from labthings_fastapi.messages.message import MessageKind

INVOCATION = UUID(int=1)
LOGS = Topic(kinds=frozenset({"log"}))

# An implementation joins by adding a line: a name, and how it is made with a boot id.
BROKERS: dict[str, Callable[..., Broker]] = {"in memory": Broker}


@pytest.fixture(params=BROKERS)
def make_broker(request: pytest.FixtureRequest) -> Callable[..., Broker]:
    return BROKERS[request.param]


@pytest.fixture
def broker(make_broker: Callable[..., Broker]) -> Broker:
    return make_broker("abc")


def message(
    kind: MessageKind = "event", thing: str = "stage", value: Any = None, payload: Any = None
) -> Message:
    json_form = json.dumps(str(value)).encode() if payload is None else payload
    return Message(kind, thing, "x", json_form, value, invocation=INVOCATION)


class Lazy:
    """A payload that is rendered when it is read, and counts how often."""

    def __init__(self, text: bytes = b"1") -> None:
        self.text = text
        self.rendered = 0

    def __call__(self) -> bytes:
        self.rendered += 1
        return self.text


def lazy_message(payload: Lazy, thing: str = "stage", size: int = 1) -> Message:
    return Message("log", thing, "x", payload, invocation=INVOCATION, size=size)


def numbers(messages: list[Message]) -> list[int]:
    return [each.number for each in messages]


def gap_payload(messages: list[Message]) -> Any:
    assert messages[0].kind == "gap"
    return json.loads(messages[0].payload)


class Hooked(str):
    """A name that calls `hook` once when it is compared or hashed, as a finaliser might run there.

    The broker compares and hashes names in the middle of its work.
    """

    hook: Callable[[], object] | None = None

    def _call_hook(self) -> None:
        hook, self.hook = self.hook, None
        if hook is not None:
            hook()

    def __eq__(self, other: object) -> bool:
        self._call_hook()
        return str(self) == other

    def __hash__(self) -> int:
        self._call_hook()
        return hash(str(self))


# --- publishing ---------------------------------------------------------------------------


def test_messages_are_numbered_from_one(broker: Broker) -> None:
    subscription = broker.subscribe(Topic())
    for _ in range(3):
        broker.publish(message())
    assert [each.seq for each in subscription.take()] == ["abc-1", "abc-2", "abc-3"]
    assert broker.position == "abc-3"


def test_messages_are_numbered_also_if_nobody_subscribes(broker: Broker) -> None:
    for _ in range(3):
        broker.publish(message())
    assert broker.position == "abc-3"
    assert numbers(broker.subscribe(Topic(), after="abc-0").take()) == [1, 2, 3]


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


def test_messages_from_before_the_subscription_are_not_delivered(broker: Broker) -> None:
    broker.publish(message())
    broker.put(message())
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


def test_each_publishers_messages_keep_their_order(broker: Broker) -> None:
    subscription = broker.subscribe(Topic(), capacity=2000)

    def publish_many(thing: str) -> None:
        for number in range(250):
            broker.publish(message(thing=thing, value=number))

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(publish_many, f"thing{n}") for n in range(4)]:
            future.result()
    taken = subscription.take()
    for n in range(4):
        assert [m.value for m in taken if m.thing == f"thing{n}"] == list(range(250))


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


def test_messages_published_during_a_subscribe_are_available_at_once(
    make_broker: Callable[..., Broker],
) -> None:
    """Replayed or delivered: a message does not wait for another one to push it along."""
    for _ in range(200):
        broker, ready = make_broker("abc"), threading.Barrier(2)

        def publish(broker: Broker = broker, ready: threading.Barrier = ready) -> None:
            ready.wait()
            for _ in range(3):
                broker.publish(message("log"))

        publisher = threading.Thread(target=publish)
        publisher.start()
        ready.wait()
        subscription = broker.subscribe(LOGS, after="abc-0")
        publisher.join()
        assert numbers(subscription.take()) == [1, 2, 3]


# --- putting and delivering ---------------------------------------------------------------


def test_what_is_put_has_its_place_and_comes_with_the_next_delivery(broker: Broker) -> None:
    woken: list[str] = []
    subscription = broker.subscribe(Topic(), wake=lambda: woken.append("wake"))
    broker.put(message(value="first"))
    broker.put(message(value="second"))
    assert woken == []
    broker.publish(message(value="third"))
    assert woken == ["wake"]
    assert [each.value for each in subscription.take()] == ["first", "second", "third"]


def test_delivering_without_anything_to_deliver_does_nothing(broker: Broker) -> None:
    woken: list[str] = []
    subscription = broker.subscribe(Topic(), wake=lambda: woken.append("wake"))
    broker.deliver()
    broker.put(message())
    broker.deliver()
    broker.deliver()
    assert woken == ["wake"]
    assert numbers(subscription.take()) == [1]


def test_putting_under_a_lock_that_a_subscriber_takes_does_not_deadlock(broker: Broker) -> None:
    """A publisher's own lock decides the order, and a subscriber may need it to wake up."""
    lock, seen = threading.Lock(), []

    def wake() -> None:
        with lock:
            seen.extend(numbers(subscription.take()))

    subscription = broker.subscribe(Topic(), wake=wake)
    with lock:
        broker.put(message())
    broker.deliver()
    assert seen == [1]


# --- finalisers ---------------------------------------------------------------------------


def test_publishing_from_within_publish_keeps_the_order(broker: Broker) -> None:
    """A finaliser may run anywhere and log: that must not deadlock, nor upset the numbers."""
    subscription = broker.subscribe(Topic())
    broker.subscribe(Topic(thing="another"))  # otherwise no Thing's name is looked up
    name = Hooked("stage")
    name.hook = lambda: broker.publish(message("log", "finaliser"))
    broker.publish(message("event", name))
    assert [(each.number, each.kind) for each in subscription.take()] == [(1, "event"), (2, "log")]
    assert broker.position == "abc-2"


def test_what_a_finaliser_publishes_during_a_replay_is_not_lost(broker: Broker) -> None:
    broker.subscribe(LOGS)  # so that messages are delivered at once
    name = Hooked("stage")
    broker.publish(message("event", name))
    name.hook = lambda: broker.publish(message("event", "stage"))
    subscription = broker.subscribe(Topic(thing="stage"), after="abc-0")
    broker.publish(message("event", "stage"))
    assert name.hook is None
    assert numbers(subscription.take()) == [1, 2, 3]


def test_a_finaliser_may_take_while_a_message_is_delivered(broker: Broker) -> None:
    taken: list[int] = []
    subscription = broker.subscribe(Topic())
    name = Hooked("stage")
    broker.publish(message("property", "stage"))
    name.hook = lambda: taken.extend(numbers(subscription.take()))
    broker.publish(message("property", name))
    taken.extend(numbers(subscription.take()))
    assert name.hook is None
    assert taken in ([1, 2], [2])


def test_a_finaliser_may_subscribe_and_close_while_a_message_is_delivered(broker: Broker) -> None:
    closing, name = broker.subscribe(Topic()), Hooked("stage")
    staying = broker.subscribe(Topic(thing="stage"))  # its name is looked up
    late = []

    def finalise() -> None:
        closing.close()
        late.append(broker.subscribe(Topic()))

    name.hook = finalise
    broker.publish(message("event", name))
    broker.publish(message("event"))
    assert closing.closed
    assert numbers(staying.take()) == [1, 2]
    assert numbers(late[0].take())[-1] == 2


def test_discarded_values_are_released_outside_the_lock(broker: Broker) -> None:
    """The last reference to a user's object may run the user's code, which may wait for others."""
    published: list[bool] = []

    class Frame:
        def __del__(self) -> None:
            other = threading.Thread(target=broker.publish, args=(message("log", "camera"),))
            other.start()
            other.join(timeout=10)  # in vain if this thread held the broker's lock
            published.append(not other.is_alive())

    broker.subscribe(Topic(thing="stage"))
    broker.publish(message("property", value=Frame()))
    broker.publish(message("property", value=2))
    assert published == [True]
    assert broker.position == "abc-3"


# --- user objects and laziness ------------------------------------------------------------


def test_without_a_subscriber_no_value_is_kept_alive(broker: Broker) -> None:
    released: list[str] = []

    class Frame:
        def __del__(self) -> None:
            released.append("frame")

    broker.publish(message("property", value=Frame()))
    assert released == ["frame"]
    assert [m.value for m in broker.subscribe(Topic(), after="abc-0").take()] == [None]


def test_a_payload_that_nobody_reads_is_not_rendered(broker: Broker) -> None:
    payload = Lazy()
    with broker.subscribe(Topic(thing="camera")), broker.subscribe(Topic()) as subscription:
        broker.publish(lazy_message(payload))
        assert payload.rendered == 0
        assert [each.payload for each in subscription.take()] == [b"1"]
    assert payload.rendered == 1


def test_many_readers_of_a_payload_render_it_once(broker: Broker) -> None:
    payload = Lazy(b"7")
    subscriptions = [broker.subscribe(LOGS) for _ in range(3)]
    broker.publish(lazy_message(payload))
    assert [s.take()[0].payload for s in subscriptions] == [b"7"] * 3
    assert broker.subscribe(LOGS, after="abc-0").take()[0].payload == b"7"
    assert payload.rendered == 1


def test_only_what_is_read_of_a_replay_is_rendered(broker: Broker) -> None:
    payloads = [Lazy(b"%d" % number) for number in range(4)]
    for number, payload in enumerate(payloads):
        broker.publish(lazy_message(payload, thing="stage" if number % 2 else "camera"))
    replayed = broker.subscribe(Topic(thing="stage"), after="abc-2").take()
    assert [(m.seq, m.payload) for m in replayed] == [("abc-4", b"3")]
    assert [payload.rendered for payload in payloads] == [0, 0, 0, 1]


def test_messages_that_are_dropped_are_never_rendered(broker: Broker) -> None:
    payload = Lazy()
    for _ in range(20):
        broker.publish(lazy_message(payload))
    gap, *rest = broker.subscribe(LOGS, after="abc-0", capacity=5).take()
    assert gap.kind == "gap"
    assert numbers(rest) == [16, 17, 18, 19, 20]
    assert payload.rendered == 0


# --- waking -------------------------------------------------------------------------------


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


def test_wake_may_publish(broker: Broker) -> None:
    def answer() -> None:
        if questions.take():
            broker.publish(message("log"))

    questions = broker.subscribe(Topic(kinds=frozenset({"event"})), wake=answer)
    answers = broker.subscribe(LOGS)
    broker.publish(message("event"))
    assert numbers(answers.take()) == [2]


def test_a_wake_that_fails_is_logged_and_affects_no_other_subscriber(
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


# --- replay -------------------------------------------------------------------------------


def test_a_reconnecting_subscriber_gets_what_it_missed(broker: Broker) -> None:
    for thing in ("stage", "camera", "stage", "stage"):
        broker.publish(message("event", thing))
    subscription = broker.subscribe(Topic(thing="stage"), after="abc-1")
    broker.publish(message("event", "stage"))
    assert numbers(subscription.take()) == [3, 4, 5]


def test_what_was_only_put_is_replayed_in_its_place(broker: Broker) -> None:
    broker.publish(message())
    broker.put(message())
    assert numbers(broker.subscribe(Topic(), after="abc-0").take()) == [1, 2]


def test_a_replay_wakes_the_subscriber(broker: Broker) -> None:
    calls: list[str] = []
    broker.publish(message())
    broker.subscribe(Topic(), after="abc-0", wake=lambda: calls.append("wake"))
    broker.publish(message())
    assert calls == ["wake"]


def test_a_subscriber_that_missed_nothing_gets_no_replay(broker: Broker) -> None:
    broker.publish(message())
    assert broker.subscribe(Topic(), after=broker.position).take() == []
    assert broker.subscribe(Topic(), after="").take() == []


@pytest.mark.parametrize(
    "after",
    ["old-1", "abc-99", "abc", "abc-", "abc--1", "-1", "garbage", "abc-٣", "abc-" + "9" * 50],
)
def test_a_number_that_this_broker_never_gave_is_answered_with_a_gap(
    broker: Broker, after: str
) -> None:
    broker.publish(message())
    messages = broker.subscribe(Topic(), after=after).take()
    assert gap_payload(messages) == {"missed": None, "reason": "unknown"}
    assert numbers(messages) == [0, 1]


def test_what_is_no_longer_kept_is_a_gap(make_broker: Callable[..., Broker]) -> None:
    broker = make_broker("abc", replay=3)
    for _ in range(6):
        broker.publish(message())
    assert numbers(broker.subscribe(Topic(), after="abc-3").take()) == [4, 5, 6]
    messages = broker.subscribe(Topic(), after="abc-2").take()
    assert gap_payload(messages) == {"missed": None, "reason": "expired"}
    assert numbers(messages) == [3, 4, 5, 6]


def test_the_replay_is_bounded_by_the_size_of_payloads_also_unrendered_ones(
    make_broker: Callable[..., Broker],
) -> None:
    broker = make_broker("abc", replay_bytes=100)
    for _ in range(5):
        broker.publish(lazy_message(Lazy(), size=40))
    with broker.subscribe(LOGS, after="abc-3") as subscription:
        assert numbers(subscription.take()) == [4, 5]
    broker.publish(lazy_message(Lazy(), size=101))
    assert [m.kind for m in broker.subscribe(LOGS, after="abc-3").take()] == ["gap"]


def test_a_gap_with_nothing_to_replay_gives_the_number_to_resume_from(broker: Broker) -> None:
    broker.publish(message())
    messages = broker.subscribe(Topic(thing="camera"), after="old-7").take()
    assert [each.seq for each in messages] == ["abc-1"]


def test_only_the_latest_value_of_a_property_is_replayed(broker: Broker) -> None:
    for value in range(5):
        broker.publish(message("property", value=value))
    messages = broker.subscribe(Topic(), after="abc-0").take()
    assert [each.payload for each in messages] == [b'"4"']


# --- bounds -------------------------------------------------------------------------------


def test_a_slow_subscriber_gets_a_gap_notice_and_the_events(broker: Broker) -> None:
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


def test_a_subscription_ends_when_too_many_events_wait(broker: Broker) -> None:
    subscription = broker.subscribe(Topic(), capacity=3)
    for _ in range(100):
        broker.publish(message("event"))
    assert subscription.closed
    *messages, last = subscription.take()
    assert numbers(messages) == list(range(1, 32))
    assert json.loads(last.payload) == {"missed": None, "reason": "closed"}
    resumed = broker.subscribe(Topic(), after=last.seq)
    assert numbers(resumed.take()) == list(range(32, 101))


def test_an_open_subscription_never_reports_its_end(broker: Broker) -> None:
    """More than the hard limit may wait for a moment, because messages are dropped in batches."""
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


def test_the_final_status_reaches_a_subscriber_flooded_with_log_lines(broker: Broker) -> None:
    subscription = broker.subscribe(Topic(invocation=INVOCATION), capacity=5)
    for _ in range(1000):
        broker.publish(message("log"))
    broker.publish(Message("status", "stage", "x", b"{}", invocation=INVOCATION, final=True))
    for _ in range(1000):
        broker.publish(message("log"))
    assert [each.number for each in subscription.take() if each.final] == [1001]


def test_a_capacity_below_one_is_an_error(broker: Broker) -> None:
    with pytest.raises(ValueError, match="capacity is 0"):
        broker.subscribe(Topic(), capacity=0)


# --- closing ------------------------------------------------------------------------------


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
    broker.publish(message())
    late = broker.subscribe(Topic(), after="abc-0")
    assert late.closed
    assert numbers(late.take()) == [1, 2]


def test_ending_the_streams_leaves_the_broker_open(broker: Broker) -> None:
    ended = broker.subscribe(Topic())
    broker.end_streams()
    assert ended.closed
    later = broker.subscribe(Topic())
    broker.publish(message())
    assert (numbers(ended.take()), numbers(later.take())) == ([], [1])
