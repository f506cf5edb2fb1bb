"""Events, and their subscribers."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

import labthings_fastapi as lt
from labthings_fastapi.descriptors.event import EventDescriptor
from labthings_fastapi.exceptions import (
    AffordanceDefinitionError,
    UnserialisableTypeError,
    UnserialisableValueError,
)
from labthings_fastapi.messages.topic import Topic


class Alarm(BaseModel):
    level: int
    reason: str = "unknown"


class Oven(lt.Thing):
    overheated: lt.Event[float] = lt.event()
    """It is too hot.

    The data is in degrees."""

    plain: float = lt.event(title="Plainly typed")
    done: None = lt.event()
    also_done: lt.Event[None] = lt.event()
    bare: lt.Event = lt.event()
    alarm: lt.Event[Alarm] = lt.event(description="Call the operator.")
    steps: lt.Event[tuple[int, int]] = lt.event()
    odd: lt.Event[dict] = lt.event()


@pytest.fixture
def oven():
    return Oven()


@pytest.fixture
def published(oven):
    with oven._thing_server_interface.broker.subscribe(Topic()) as subscription:
        yield subscription


def test_an_event_is_emitted_with_its_data(oven, published):
    oven.overheated.emit(81.5)
    (message,) = published.take()
    assert (message.kind, message.thing, message.affordance) == ("event", "Oven", "overheated")
    assert (message.payload, message.value) == (b"81.5", 81.5)


@pytest.mark.parametrize("name", ["overheated", "plain"])
def test_data_is_validated_before_it_is_published(oven, published, name):
    oven.events[name].emit("80")
    with pytest.raises(ValidationError) as caught:
        oven.events[name].emit("hot")
    assert str(caught.value).startswith(
        f"Event {name!r} of Thing 'Oven': Input should be a valid n"
    )
    with pytest.raises(ValidationError):
        oven.events[name].emit()
    assert [message.value for message in published.take()] == [80.0]


@pytest.mark.parametrize("name", ["done", "also_done", "bare"])
def test_an_event_without_data_takes_none(oven, published, name):
    oven.events[name].emit()
    assert [message.payload for message in published.take()] == [b"null"]
    with pytest.raises(ValidationError):
        oven.events[name].emit(1)


def test_data_is_converted_to_the_type_of_the_event(oven, published):
    oven.alarm.emit({"level": 3})
    oven.steps.emit([1, 2])
    alarm, steps = published.take()
    assert (alarm.value, steps.value) == (Alarm(level=3), (1, 2))
    assert json.loads(alarm.payload) == {"level": 3, "reason": "unknown"}


def test_data_without_a_json_form_is_an_error_and_is_not_published(oven, published):
    with pytest.raises(UnserialisableValueError, match=r"Oven\.odd"):
        oven.odd.emit({"me": oven})
    assert published.take() == []


@given(value=st.floats())
def test_every_float_has_a_json_form(value):
    oven = Oven()
    with oven._thing_server_interface.broker.subscribe(Topic()) as published:
        oven.overheated.emit(value)
        payload = json.loads(published.take()[0].payload)
    assert float(payload) == value or (payload == "NaN" and math.isnan(value))
    assert isinstance(payload, float) == math.isfinite(value)


def test_on_the_class_it_is_the_declaration_and_on_an_instance_bound(oven):
    assert isinstance(Oven.overheated, EventDescriptor)
    assert isinstance(oven.overheated, lt.Event)
    assert list(Oven.events) == list(oven.events)
    assert oven.events["overheated"].value_type is float
    assert (Oven.plain.title, oven.plain.name) == ("Plainly typed", "plain")
    assert (oven.overheated.title, oven.alarm.description) == (
        "It is too hot.",
        "Call the operator.",
    )


def test_it_is_part_of_the_thing_description(oven):
    events = oven.thing_description_dict()["events"]
    for name in ("overheated", "plain"):
        assert {"type": "number"} in events[name]["data"]["oneOf"]
    assert "data" not in events["done"]
    oven.validate_thing_description()


def test_it_cannot_be_assigned(oven):
    with pytest.raises(AttributeError, match=r"call self\.plain\.emit"):
        oven.plain = 3.0


def test_it_needs_a_type_hint():
    with pytest.raises(AffordanceDefinitionError, match=r"No type hint.*Wrong\.hot"):

        class Wrong(lt.Thing):
            hot = lt.event()


def test_a_type_without_a_json_form_stops_a_server_and_not_the_class():
    class Wrong(lt.Thing):
        hot: lt.Event[threading_lock] = lt.event()

    with pytest.raises(UnserialisableTypeError, match=r"Wrong\.hot"):
        Wrong.hot.check_types()


threading_lock = type("Foreign", (), {})
