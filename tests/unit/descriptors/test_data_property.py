"""A property that is a value kept by the Thing."""

from __future__ import annotations

import threading

import pytest
from pydantic import BaseModel, ValidationError

import labthings_fastapi as lt
from labthings_fastapi.descriptors.data_property import DataProperty
from labthings_fastapi.descriptors.property_descriptor import PropertyDescriptor
from labthings_fastapi.exceptions import AffordanceDefinitionError, LabThingsError
from labthings_fastapi.messages.broker import Broker
from labthings_fastapi.messages.topic import Topic


class Point(BaseModel):
    x: int = 0


class Stage(lt.Thing):
    speed: float = lt.property(default=1, gt=0)
    corner: tuple[int, int] = lt.property(default=[1, 2])
    trail: list[int] = lt.property(default=[1])
    point: Point = lt.property(default={"x": 4})
    secret: int = lt.property(default=0, observable=False)
    count: int = lt.property(default=0, readonly=True)


def messages_of(thing):
    return thing._thing_server_interface.broker.subscribe(Topic())


def test_a_value_is_an_attribute_and_the_class_shows_the_descriptor():
    stage = Stage()
    stage.speed = 2
    assert stage.speed == 2.0
    assert isinstance(Stage.speed, DataProperty)


def test_a_default_has_the_type_of_the_property():
    stage = Stage()
    assert isinstance(stage.speed, float)
    assert stage.corner == (1, 2)
    assert stage.point == Point(x=4)


def test_a_mutable_default_is_shared_with_no_other_thing():
    one, other = Stage(), Stage()
    one.trail.append(2)
    assert (one.trail, other.trail) == ([1, 2], [1])


def test_an_invalid_value_changes_nothing_and_is_not_published():
    stage = Stage()
    subscription = messages_of(stage)
    with pytest.raises(ValidationError):
        stage.speed = -1
    assert stage.speed == 1.0
    assert subscription.take() == []


def test_a_change_is_published_with_its_json():
    stage = Stage()
    subscription = messages_of(stage)
    stage.speed = 3
    (message,) = subscription.take()
    assert (message.kind, message.affordance, message.payload) == ("property", "speed", b"3.0")
    assert message.value == 3.0


def test_what_is_not_observable_is_not_published():
    stage = Stage()
    subscription = messages_of(stage)
    stage.secret = 5
    assert (stage.secret, subscription.take()) == (5, [])


def test_the_things_own_code_may_set_what_is_read_only_for_clients():
    stage = Stage()
    stage.count = 7
    assert stage.count == 7
    assert Stage.count.readonly


def test_the_last_published_value_is_the_one_that_is_there():
    """Many threads write; the value that was stored last was published last."""
    stage = Stage()
    subscription = messages_of(stage)
    threads = [
        threading.Thread(
            target=lambda n=n: [setattr(stage, "secret", 0), setattr(stage, "speed", n)]
        )
        for n in range(1, 20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert subscription.take()[-1].value == stage.speed


class Counting(lt.Thing):
    """Counts down, in both styles."""

    left: int = lt.property(default=0)
    older = PropertyDescriptor(int, 0, observable=True)
    noise: lt.Event[None] = lt.event()


def last_published(thing, name, act):
    """Let `act` run in a thread that must end; return the last published value of a property."""
    subscription = thing._thing_server_interface.broker.subscribe(
        Topic(kinds=frozenset({"property"}))
    )
    acting = threading.Thread(target=act, daemon=True)
    acting.start()
    acting.join(30)
    assert not acting.is_alive()
    return [message.value for message in subscription.take() if message.affordance == name][-1]


@pytest.mark.parametrize("step", ["put", "publish", "deliver"])
@pytest.mark.parametrize("name", ["left", "older"])
def test_a_finaliser_may_set_the_property_that_is_being_set(monkeypatch, name, step):
    """The garbage collector calls finalisers anywhere, also between storing and publishing.

    No thread waits for itself, and the last published value is the one that is there.
    """
    thing, real, calls = Counting(), getattr(Broker, step), []

    def with_finaliser(broker, *args):
        calls.append(args)
        if len(calls) == 1:
            setattr(thing, name, 2)
        return real(broker, *args)

    monkeypatch.setattr(Broker, step, with_finaliser)
    last = last_published(thing, name, lambda: setattr(thing, name, 1))
    assert last == getattr(thing, name)


@pytest.mark.parametrize("name", ["left", "older"])
def test_a_finaliser_may_set_the_property_at_any_moment(with_a_finaliser_at_each_moment, name):
    def prepare():
        thing = Counting()
        broker = thing._thing_server_interface.broker
        return thing, broker.subscribe(Topic(affordance=name))

    for thing, subscription in with_a_finaliser_at_each_moment(
        prepare,
        lambda made: setattr(made[0], name, 1),
        lambda made: setattr(made[0], name, 2),
    ):
        assert subscription.take()[-1].value == getattr(thing, name)


@pytest.mark.parametrize("name", ["left", "older"])
def test_a_subscriber_that_is_woken_may_set_what_another_thread_sets(name):
    """Subscribers are woken without a lock, so two properties cannot wait for each other."""
    thing, others = Counting(), []

    def wake():
        if not others and events.take():
            others.append(threading.Thread(target=setattr, args=(thing, name, 1), daemon=True))
            others[0].start()
            others[0].join(30)
            setattr(thing, name, 2)

    events = thing._thing_server_interface.broker.subscribe(
        Topic(kinds=frozenset({"event"})), wake=wake
    )
    last = last_published(thing, name, thing.noise.emit)
    assert (last, getattr(thing, name)) == (2, 2)
    assert not others[0].is_alive()


def define(**options):
    class Wrong(lt.Thing):
        speed: float = lt.property(**options)

    return Wrong


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "neither"),
        ({"default": 1, "default_factory": float}, "both"),
        ({"default_factory": lambda: 1 / 0}, "ZeroDivisionError"),
        ({"default": 1, "max_length": 3}, "max_length"),
        ({"default": 1, "greater": 3}, "greater"),
    ],
)
def test_a_mistake_in_a_declaration_is_found_when_the_class_is_made(options, expected):
    with pytest.raises(AffordanceDefinitionError, match=expected) as caught:
        define(**options)
    if "greater" not in options:
        assert "Wrong.speed" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "value"),
    [
        ({"default": -1, "gt": 0}, -1),
        ({"default": "fast"}, "fast"),
        ({"default": None}, None),
        ({"default_factory": lambda: "fast"}, "fast"),
    ],
)
def test_a_default_that_breaks_its_own_type_is_a_warning_and_the_value_until_it_is_set(
    options, value
):
    with pytest.warns(UserWarning, match=rf"Wrong\.speed: the default {value!r} breaks"):
        stage = define(**options)()
    assert stage.speed == value
    assert not type(stage).speed.is_resettable
    with pytest.raises((ValidationError, LabThingsError)):
        type(stage).speed.read_json(stage)
    stage.speed = 5
    assert type(stage).speed.read_json(stage) == b"5.0"
    stage.properties["speed"].reset()
    assert stage.speed == value


def test_a_default_that_breaks_its_own_type_is_no_default_in_the_description():
    with pytest.warns(UserWarning, match="default None"):
        described = define(default=None)().thing_description_dict()
    assert "default" not in described["properties"]["speed"]


def test_a_missing_type_hint_is_named():
    with pytest.raises(AffordanceDefinitionError, match=r"No type hint was found for Wrong\.speed"):

        class Wrong(lt.Thing):
            speed = lt.property(default=1)


def test_a_descriptor_has_one_name():
    with pytest.raises(AffordanceDefinitionError, match=r"Wrong\.speed.*'pace'"):

        class Wrong(lt.Thing):
            speed: float = lt.property(default=1)
            pace: float = speed
