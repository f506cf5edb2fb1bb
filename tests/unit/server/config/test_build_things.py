"""Things are made from a configuration, and their slots are connected."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Optional

import pytest

import labthings_fastapi as lt
from labthings_fastapi.exceptions import ServerConfigurationError, ThingSlotError
from labthings_fastapi.server.config.build_things import start_order


class Stage(lt.Thing):
    def __init__(self, axes: int = 3, **kwargs):
        super().__init__(**kwargs)
        self.axes = axes


class Silent(lt.Thing):
    """Never calls `super().__init__()`."""

    def __init__(self, port):
        self.port = port
        self.early_name = self.name


class Camera(lt.Thing):
    stage: Stage = lt.thing_slot()


class Scanner(lt.Thing):
    camera: Camera = lt.thing_slot()
    spare: Stage | None = lt.thing_slot(None)
    stages: Mapping[str, Stage] = lt.thing_slot()


class Ping(lt.Thing):
    pong: Pong = lt.thing_slot()


class Pong(lt.Thing):
    ping: Optional["Ping"] = lt.thing_slot()  # noqa: UP045, UP037 - an old spelling


class Exiting(lt.Thing):
    def __init__(self, **kwargs):
        sys.exit(2)


class Failing(lt.Thing):
    def __init__(self, **kwargs):
        raise TypeError("no such port")


def things_of(config, **options):
    return lt.ThingServer.from_things(config, **options).things


def test_things_have_their_arguments_and_name_from_the_first_line():
    things = things_of(
        {
            "stage": {"cls": Stage, "args": [2]},
            "silent": {"cls": Silent, "kwargs": {"port": "COM1"}},
        }
    )
    assert things["stage"].axes == 2
    assert (things["silent"].early_name, things["silent"].path) == ("silent", "/silent/")


def test_every_thing_whose_arguments_do_not_fit_is_reported():
    with pytest.raises(ServerConfigurationError) as caught:
        things_of(
            {
                "a": {"cls": Silent, "kwargs": {"prot": 1}},
                "b": {"cls": Silent, "args": [1, 2]},
                "c": Exiting,
                "d": {"cls": lt.Thing, "kwargs": {"x": 1}},
            }
        )
    text = str(caught.value)
    assert "3 errors" in text
    assert "things.a.kwargs: Silent(): " in text
    assert "parameters: port" in text
    assert "things.b.args: Silent(): " in text
    assert "things.d.kwargs: Thing(): " in text
    assert "parameters: none" in text


def test_every_thing_that_cannot_be_made_is_reported():
    with pytest.raises(ServerConfigurationError) as caught:
        things_of({"c": Exiting, "d": {"cls": Failing, "kwargs": {"port": 1}}, "e": Stage})
    text = str(caught.value)
    assert "2 errors" in text
    assert "things.c.cls: it could not be made: SystemExit: 2" in text
    assert "things.d.cls: it could not be made: TypeError: no such port" in text
    assert "things.e" not in text


def test_slots_are_filled_by_class():
    things = things_of({"scan": Scanner, "cam": Camera, "stage": Stage})
    assert things["cam"].stage is things["stage"]
    assert things["scan"].camera is things["cam"]
    assert things["scan"].spare is None
    assert dict(things["scan"].stages) == {"stage": things["stage"]}


def test_the_configuration_chooses_by_name():
    config = {
        "scan": {"cls": Scanner, "thing_slots": {"spare": "b", "stages": ["b"]}},
        "cam": {"cls": Camera, "thing_slots": {"stage": "a"}},
        "a": Stage,
        "b": Stage,
    }
    things = things_of(config)
    assert things["cam"].stage is things["a"]
    assert things["scan"].spare is things["b"]
    assert list(things["scan"].stages) == ["b"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"cam": Camera},
            r"cam\.stage: no matching Thing: it needs a Stage, and the server has none",
        ),
        ({"cam": Camera, "a": Stage, "b": Stage}, r"cam\.stage: multiple Things.*a, b"),
        (
            {"cam": {"cls": Camera, "thing_slots": {"stage": "nope"}}, "a": Stage},
            r"cam\.stage: 'nope' is not the name of a Thing; there are: cam, a",
        ),
        (
            {"cam": {"cls": Camera, "thing_slots": {"stage": "cam"}}},
            r"cam\.stage: 'cam' is a Camera, which is the wrong type: the slot needs a Stage",
        ),
        (
            {"cam": {"cls": Camera, "thing_slots": {"stage": None}}, "a": Stage},
            r"cam\.stage: it must be set",
        ),
        (
            {"cam": {"cls": Camera, "thing_slots": {"stage": ["a"]}}, "a": Stage},
            r"cam\.stage: \['a'\] is not the name of a Thing",
        ),
    ],
)
def test_a_slot_that_cannot_be_filled_is_named_with_the_reason(config, message):
    with pytest.raises(ThingSlotError, match=message):
        things_of(config)


def test_all_wrong_slots_are_reported_at_once():
    with pytest.raises(
        ServerConfigurationError,
        match=r"things\.a\.thing_slots: a\.stage: .*things\.b\.thing_slots: b\.stage: ",
    ):
        things_of({"a": Camera, "b": Camera})


def test_a_thing_in_a_slot_starts_before_the_thing_with_the_slot():
    things = things_of({"scan": Scanner, "cam": Camera, "stage": Stage})
    assert [thing.name for thing in start_order(things)] == ["stage", "cam", "scan"]


def test_a_circle_starts_too_and_everything_once():
    things = things_of({"ping": Ping, "pong": Pong, "scan": Scanner, "cam": Camera, "s": Stage})
    assert things["ping"].pong is things["pong"]
    assert things["pong"].ping is things["ping"]
    names = [thing.name for thing in start_order(things)]
    assert sorted(names) == sorted(things)
    assert names.index("s") < names.index("cam") < names.index("scan")
