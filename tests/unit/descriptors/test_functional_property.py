"""A property that is computed by a method."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from pydantic import ValidationError

import labthings_fastapi as lt
from labthings_fastapi.descriptors.property_descriptor import PropertyDescriptor
from labthings_fastapi.exceptions import (
    AffordanceDefinitionError,
    FeatureNotAvailableError,
    PropertyRedefinitionError,
    ReadOnlyPropertyError,
)
from labthings_fastapi.messages.topic import Topic


class Mixin:
    """Not a Thing, but brings affordances to one."""

    @lt.property
    def seen(self) -> int:
        return 1


class Stage(Mixin, lt.Thing):
    def __init__(self):
        self._x = 0

    @lt.property
    def x(self) -> int:
        """Where it is.

        In steps.
        """
        return self._x

    @x.setter
    def _set_x(self, value):
        self._x = value

    x.constraints = {"ge": 0}  # noqa: RUF012 - this is how it is written in a class
    x.default = 3

    @lt.property(unit="mm", observable=True)
    def y(self) -> float:
        return float(self._x)

    @y.setter
    def y(self, value):
        self._x = int(value)

    @lt.property(readonly=True)
    def z(self) -> int:
        return self._x

    @z.setter
    def z(self, value):
        self._x = value

    @lt.property
    def w(self) -> int:
        return 4


def test_a_setter_may_have_any_name():
    stage = Stage()
    stage.x = 2
    stage.y = 3.0
    assert (stage.x, stage.y) == (3, 3.0)


def test_the_first_line_of_the_docstring_is_the_title():
    assert Stage.x.title == "Where it is."
    assert Stage.x.description == "In steps."


def test_constraints_assigned_in_the_class_are_kept():
    stage = Stage()
    with pytest.raises(ValidationError):
        stage.x = -1
    assert stage.x == 0


@pytest.mark.parametrize(("name", "readonly"), [("x", False), ("z", True), ("w", True)])
def test_clients_may_write_a_property_with_a_setter_unless_it_is_readonly(name, readonly):
    assert Stage.properties[name].readonly is readonly


def test_what_a_mixin_brings_without_a_setter_is_read_only():
    assert Stage.seen.readonly is True


def test_a_thing_may_set_what_clients_may_only_read():
    stage = Stage()
    stage.z = 9
    assert stage.z == 9


def test_without_a_setter_even_the_thing_cannot_set_it():
    with pytest.raises(AttributeError, match="read-only"):
        Stage().w = 1


def test_only_an_observable_one_is_published_by_its_setter():
    stage = Stage()
    subscription = stage._thing_server_interface.broker.subscribe(Topic())
    stage.x = 5
    stage.y = 6.0
    assert [(m.affordance, m.payload) for m in subscription.take()] == [("y", b"6.0")]


def test_any_can_be_published_by_hand():
    stage = Stage()
    subscription = stage._thing_server_interface.broker.subscribe(Topic())
    stage.properties["w"].publish()
    assert [message.payload for message in subscription.take()] == [b"4"]


def test_without_a_return_hint_a_value_may_be_anything():
    class Untyped(lt.Thing):
        @lt.property
        def x(self):
            return {"a": [1, None]}

    assert Untyped.x.value_type is Any
    assert Untyped.x.schema.json_schema() == ({}, {})
    assert Untyped.x.read_json(Untyped()) == b'{"a":[1,null]}'


def test_a_constraint_that_does_not_fit_is_found_when_the_class_is_made():
    with pytest.raises(AffordanceDefinitionError, match=r"Wrong\.x.*'gt'"):

        class Wrong(lt.Thing):
            @lt.property(gt=0)
            def x(self) -> str:
                return "a"


def test_a_default_that_breaks_the_constraints_is_found_when_the_class_is_made():
    with pytest.warns(UserWarning, match=r"Wrong\.x: the default -1 breaks"):

        class Wrong(lt.Thing):
            @lt.property(gt=0)
            def x(self) -> int:
                return 1

            x.default = -1

    assert not Wrong.x.is_resettable


class Shared(lt.Thing):
    """Has a value that two threads set; the reader of the first is held up."""

    _value = 0
    held_up: threading.Thread | None = None

    def __init__(self):
        self.has_read, self.go_on = threading.Event(), threading.Event()

    def _read(self):
        value = self._value
        if threading.current_thread() is self.held_up:
            self.has_read.set()
            self.go_on.wait(30)
        return value

    def _write(self, value):
        self._value = value

    @lt.property(observable=True)
    def now(self) -> int:
        return self._read()

    @now.setter
    def _set_now(self, value):
        self._write(value)

    older = PropertyDescriptor(int, getter=_read, setter=_write, observable=True)


@pytest.mark.parametrize("name", ["now", "older"])
def test_a_value_that_was_read_before_another_was_set_is_not_published_after_it(name):
    shared = Shared()
    subscription = shared._thing_server_interface.broker.subscribe(Topic())
    shared.held_up = threading.Thread(target=setattr, args=(shared, name, 1))
    shared.held_up.start()
    shared.has_read.wait(30)
    setattr(shared, name, 2)
    shared.go_on.set()
    shared.held_up.join(30)
    assert [message.value for message in subscription.take()] == [2]
    shared.properties[name].publish()
    assert [message.value for message in subscription.take()] == [2]


class Dial(lt.Thing):
    """Assigns options in the body of the class."""

    angle = 0

    @lt.property
    def value(self) -> int:
        return self.angle

    @value.setter
    def _set_value(self, value: int) -> None:
        self.angle = value

    @lt.property
    def trail(self) -> list[int]:
        return []

    value.default = 3
    value.readonly = False
    value.constraints = {"ge": 0}  # noqa: RUF012 - as it is written
    value.use_global_lock = False
    trail.default_factory = lambda: [1]

    @lt.property
    def plain(self) -> int:
        return 1


def test_options_may_be_assigned_in_the_body_of_the_class():
    dial = Dial()
    dial.value = 5
    dial.properties["value"].reset()
    assert (dial.value, Dial.value.default) == (3, 3)
    assert Dial.value.use_global_lock is False
    with pytest.raises(ValidationError):
        dial.value = -1


def test_default_and_factory_follow_each_other():
    class Later(Dial):
        pass

    assert Dial.trail.default == [1]
    assert Dial.trail.default is not Dial.trail.default
    assert Dial.value.default_factory() == 3
    Later.value.default_factory = lambda: 8
    assert Later.value.default == 8
    Later.value.default = 9
    assert Later.value.default_factory() == 9
    assert Dial.value.default == 3


def test_where_there_is_no_default_it_says_so():
    assert Dial.plain.default_factory is None
    with pytest.raises(FeatureNotAvailableError, match=r"Dial\.plain has no default value"):
        _ = Dial.plain.default
    with pytest.raises(FeatureNotAvailableError, match=r"'plain' of Thing 'Dial' cannot be reset"):
        Dial().properties["plain"].reset()


def test_a_resetter_has_a_name_of_its_own():
    with pytest.raises(PropertyRedefinitionError, match=r"such as `def reset_speed\(self\)`"):

        class Wrong(lt.Thing):
            @lt.property
            def speed(self) -> int:
                return 1

            @speed.resetter
            def speed(self) -> None:
                """Reset."""


class Camera(lt.Thing):
    """Of the older kind: a subclass of the descriptor has the functions."""

    class Control(PropertyDescriptor):
        def _getter(self, thing):
            return thing.kept[self.name]

        def _setter(self, thing, value):
            thing.kept[self.name] = value

    class Reading(PropertyDescriptor):
        def _getter(self, thing):
            return 7

    def __init__(self) -> None:
        self.kept = {"gain": 1, "exposure": 2}

    gain = Control(int)
    exposure = Control(int, observable=True)
    serial = Reading(int)


def test_a_subclass_of_the_older_descriptor_reads_and_writes_by_its_own_methods():
    camera = Camera()
    camera.gain = 5
    assert (camera.gain, camera.exposure, camera.serial) == (5, 2, 7)
    assert camera.kept == {"gain": 5, "exposure": 2}
    assert [Camera.properties[name].readonly for name in ("gain", "serial")] == [False, True]
    assert set(Camera.gain.model.model_fields) == {"root"}
    with pytest.raises(ReadOnlyPropertyError):
        camera.serial = 1
