"""The base class of everything that a server offers."""

from __future__ import annotations

import pytest

import labthings_fastapi as lt
from labthings_fastapi.exceptions import AffordanceDefinitionError, AffordanceNotFoundError
from labthings_fastapi.thing import endpoints_of, slots_of


class Stage(lt.Thing):
    """A stage.

    With three axes.
    """

    speed: float = lt.property(default=1.0, unit="mm/s")
    other: Stage | None = lt.thing_slot()

    @lt.action
    def move(self) -> None: ...

    @lt.endpoint("get")
    def picture(self) -> None: ...


class Silent(Stage):
    def __init__(self):
        self.port = 1


class Titled(Stage):
    title = "Left stage"


def test_without_a_server_it_works_and_has_the_name_of_its_class():
    stage = Stage()
    assert (stage.name, stage.path) == ("Stage", "/Stage/")
    assert stage.logger.name == "labthings_fastapi.things.Stage"
    assert stage.thing_state == {}


def test_a_subclass_need_not_call_our_init():
    silent = Silent()
    silent.speed = 2
    assert (silent.name, silent.speed) == ("Silent", 2.0)


def test_the_title_is_given_or_read_from_the_docstring():
    assert (Stage.title, Silent.title, Titled.title) == ("A stage.", "Silent", "Left stage")


def test_affordances_are_found_by_kind():
    assert list(Stage.properties) == ["speed"]
    assert list(Stage.actions) == ["move"]
    assert list(slots_of(Silent)) == ["other"]
    assert list(endpoints_of(Silent)) == ["picture"]


def test_on_an_instance_properties_are_bound():
    stage = Stage()
    speed = stage.properties["speed"]
    speed.set(3)
    assert (speed.get(), stage.speed) == (3.0, 3.0)
    assert (speed.name, speed.unit, speed.readonly, speed.is_observable) == (
        "speed",
        "mm/s",
        False,
        True,
    )
    assert speed.validate("4") == 4.0
    assert speed.value_type is float


def test_an_unknown_name_says_what_there_is():
    with pytest.raises(AffordanceNotFoundError, match=r"'Stage'.*'sped'.*speed"):
        Stage().properties["sped"]
    with pytest.raises(KeyError):
        Stage.actions["sped"]


@pytest.mark.parametrize("name", ["properties", "actions", "events", "ws"])
def test_what_the_server_serves_below_a_thing_is_no_name_of_an_affordance(name):
    def getter(self) -> int:
        return 1

    with pytest.raises(AffordanceDefinitionError, match=rf"Wrong\.{name}.*another name"):
        type("Wrong", (lt.Thing,), {name: lt.property(getter)})


def test_outside_a_run_there_is_no_log():
    assert Stage().get_current_invocation_logs() == []
