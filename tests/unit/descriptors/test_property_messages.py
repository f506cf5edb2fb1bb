"""Numbers that nobody hears of are written for those who come back."""

from __future__ import annotations

import json
import math

import pytest

import labthings_fastapi as lt
from labthings_fastapi.descriptors.property_messages import is_number
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


def test_who_comes_back_is_told_every_value_in_its_order():
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
    stage.label = "written at once"
    drafted, written = replayed(stage)
    assert drafted.time <= written.time
    assert drafted.time.tzinfo is not None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 2**63 - 1, 0.1])
def test_a_value_is_written_as_one_that_somebody_hears(value):
    stage = Stage()
    stage.speed = value
    (late,) = replayed(stage)
    with stage._thing_server_interface.broker.subscribe(Topic()) as subscription:
        stage.speed = value
        (heard,) = subscription.take()
    assert (late.payload, late.kind, late.affordance) == (
        *(heard.payload, heard.kind, heard.affordance),
    )


def test_a_number_set_unchecked_where_it_has_no_place_ends_no_replay():
    stage = Careless()
    stage.trail = 5
    stage.step = 2**70
    assert [json.loads(message.payload) for message in replayed(stage)] == [5, 2**70]


def test_only_plain_numbers_wait_to_be_written():
    class Special(float):
        pass

    assert all(map(is_number, (1, 1.5, True, math.nan, -(2**62))))
    assert not any(map(is_number, ("1", None, [1], Special(1), 2**63, 10**5000)))
