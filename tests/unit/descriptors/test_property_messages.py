"""The values of a property are published in the order in which they were set or read."""

from __future__ import annotations

import gc
import json
import math
import threading
import weakref

import pytest

import labthings_fastapi as lt
from labthings_fastapi.descriptors.property_messages import OrderedPublish
from labthings_fastapi.messages.broker import Broker
from labthings_fastapi.messages.message import Message
from labthings_fastapi.messages.topic import Topic


class Stage(lt.Thing):
    speed: float = lt.property(default=1.0)
    step: int = lt.property(default=1)
    homed: bool = lt.property(default=False)
    label: str = lt.property(default="")
    trail: list[float] = lt.property(default=[])


class Careless(lt.Thing):
    _class_settings = {"validate_properties_on_set": False}  # noqa: RUF012 - as it is written

    trail: list[float] = lt.property(default=[])
    step: int = lt.property(default=0)


def replayed(thing):
    broker = thing._thing_server_interface.broker
    return broker.subscribe(Topic(), after=f"{broker.boot_id}-0").take()


def test_a_replay_has_the_value_of_every_property_in_order():
    stage = Stage()
    stage.speed, stage.label, stage.step, stage.homed = 2.5, "left", 3, True
    stage.trail = [1.0]
    messages = replayed(stage)
    assert [(m.affordance, json.loads(m.payload)) for m in messages] == [
        *(("speed", 2.5), ("label", "left"), ("step", 3), ("homed", True), ("trail", [1.0]))
    ]
    assert {(m.kind, m.thing, m.invocation) for m in messages} == {("property", "Stage", None)}


def test_a_value_has_the_time_at_which_it_was_set():
    stage = Stage()
    stage.speed = 2
    stage.label = "later"
    first, second = replayed(stage)
    assert first.time <= second.time
    assert first.time.tzinfo is not None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 2**63 - 1, 0.1])
def test_a_replayed_value_is_rendered_as_one_that_a_subscriber_gets(value):
    stage = Stage()
    stage.speed = value
    (late,) = replayed(stage)
    with stage._thing_server_interface.broker.subscribe(Topic()) as subscription:
        stage.speed = value
        (heard,) = subscription.take()
    assert (late.payload, late.kind, late.affordance) == (
        *(heard.payload, heard.kind, heard.affordance),
    )


def test_a_value_that_was_set_unchecked_and_does_not_fit_is_not_published(caplog):
    stage = Careless()
    stage.trail = 5
    stage.step = 2**70
    assert [json.loads(message.payload) for message in replayed(stage)] == [2**70]
    assert "Error validating Careless.trail: the reading is 5" in caplog.text


class Sample(list):
    """A value that can be referred to weakly."""


class Loose(lt.Thing):
    _class_settings = {"validate_properties_on_set": False}  # noqa: RUF012 - as it is written

    sample: list[int] = lt.property(default=[])


def test_no_value_is_kept_alive_for_a_replay():
    thing = Loose()
    thing.sample = Sample([1])
    alive = weakref.ref(thing.sample)
    thing.sample = Sample([2])
    gc.collect()
    assert alive() is None
    assert [json.loads(message.payload) for message in replayed(thing)] == [[2]]


def test_values_that_many_threads_set_are_published_in_the_order_in_which_they_were_set():
    stage, ready = Stage(), threading.Barrier(4)
    subscription = stage._thing_server_interface.broker.subscribe(Topic(affordance="label"))
    stored, published = [], []

    class Recording(dict):
        """In place of the attributes of the Thing: records stored values in their order."""

        def __setitem__(self, name, value):
            super().__setitem__(name, value)
            if name == "step":
                stored.append(value)

    def set_many(thread):
        ready.wait()
        for number in range(200):
            stage.step = thread * 1000 + number

    real_put = Broker.put

    def noting_put(broker, message):
        if message.affordance == "step":
            published.append(message.value)
        real_put(broker, message)

    stage.__dict__ = Recording(stage.__dict__)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Broker, "put", noting_put)
        threads = [threading.Thread(target=set_many, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(stored) == 800
    assert published == stored
    assert subscription.take() == []
    assert replayed(stage)[-1].payload == b"%d" % stage.step


def reading(value):
    return Message("property", "stage", "position", b"%d" % value, value)


def test_readings_are_published_in_the_order_in_which_they_began():
    broker, order = Broker("abc"), OrderedPublish()
    subscription = broker.subscribe(Topic())
    first, second = next(order.readings), next(order.readings)
    order.publish(broker, second, reading(2))
    order.publish(broker, first, reading(1))  # the later one includes what this one saw
    order.publish(broker, next(order.readings), reading(3))
    assert [message.value for message in subscription.take()] == [3]
    assert broker.position == "abc-2"


def test_the_last_published_reading_is_the_latest_whatever_thread_read():
    broker, order = Broker("abc"), OrderedPublish()
    published = []
    subscription = broker.subscribe(Topic(), wake=lambda: published.extend(subscription.take()))
    ready = threading.Barrier(4)

    def read_many():
        ready.wait()
        for _ in range(200):
            number = next(order.readings)
            order.publish(broker, number, reading(number))

    threads = [threading.Thread(target=read_many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    published.extend(subscription.take())
    values = [message.value for message in sorted(published, key=lambda m: m.number)]
    assert values == sorted(values)
    assert values[-1] == 800


def test_a_finaliser_may_publish_a_reading_while_its_thread_publishes_one(monkeypatch):
    broker, order, real_put = Broker("abc"), OrderedPublish(), Broker.put
    subscription = broker.subscribe(Topic())
    calls = []

    def with_finaliser(broker, message):
        calls.append(message)
        if len(calls) == 1:
            order.publish(broker, next(order.readings), reading(2))
        real_put(broker, message)

    monkeypatch.setattr(Broker, "put", with_finaliser)
    publish = threading.Thread(
        target=order.publish, args=(broker, next(order.readings), reading(1)), daemon=True
    )
    publish.start()
    publish.join(30)
    assert [message.value for message in subscription.take()] == [2]
