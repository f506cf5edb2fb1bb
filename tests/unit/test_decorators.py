"""The decorators and functions that declare affordances."""

from __future__ import annotations

import inspect
import re

import pytest

import labthings_fastapi as lt
from labthings_fastapi import decorators
from labthings_fastapi.descriptors.action import ActionDescriptor
from labthings_fastapi.descriptors.data_property import DataProperty
from labthings_fastapi.descriptors.endpoint import EndpointDescriptor
from labthings_fastapi.descriptors.functional_property import FunctionalProperty
from labthings_fastapi.exceptions import (
    AffordanceDefinitionError,
    MissingDefaultError,
    OverspecifiedDefaultError,
)
from labthings_fastapi.schemas.constraints import CONSTRAINTS


class Stage(lt.Thing):
    speed: int = lt.property(default=1)
    trail: list[int] = lt.property(default_factory=list)
    nothing: None = lt.property(default=None)

    @lt.property
    def bare(self) -> int:
        return 1

    @lt.property(unit="mm", title="Reach")
    def reach(self) -> int:
        return 2

    @lt.action
    def move(self) -> int:
        return 3

    @lt.action(title="Stop it", stop=True)
    def halt(self) -> int:
        return 4

    @lt.endpoint("put", "a/b", status_code=202)
    def store(self) -> int:
        return 5


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("speed", DataProperty),
        ("trail", DataProperty),
        ("nothing", DataProperty),
        ("bare", FunctionalProperty),
        ("reach", FunctionalProperty),
        ("move", ActionDescriptor),
        ("halt", ActionDescriptor),
        ("store", EndpointDescriptor),
    ],
)
def test_each_declaration_makes_its_kind_of_descriptor(name, kind):
    assert type(getattr(Stage, name)) is kind


def test_options_arrive():
    assert (Stage.reach.unit, Stage.reach.title) == ("mm", "Reach")
    assert (Stage.halt.title, Stage.halt.stop) == ("Stop it", True)
    store = Stage.store
    assert (store.http_method, store.path, store.kwargs) == ("put", "a/b", {"status_code": 202})


def test_in_code_they_are_plain_values_and_methods():
    stage = Stage()
    assert (stage.bare, stage.reach, stage.move(), stage.halt(), stage.store()) == (1, 2, 3, 4, 5)


def test_a_forgotten_default_is_named():
    with pytest.raises(AffordanceDefinitionError, match=r"Wrong\.speed.*neither"):

        class Wrong(lt.Thing):
            speed: int = lt.property(unit="mm")


def test_the_error_for_an_unknown_option_lists_the_known_ones():
    with pytest.raises(AffordanceDefinitionError, match=r"'units'.*max_length"):
        lt.property(default=1, units="mm")


def test_an_unknown_method_of_an_endpoint_is_refused():
    with pytest.raises(AffordanceDefinitionError, match=r"'fetch'.*get, post"):
        lt.endpoint("fetch")(lambda self: None)


def test_names_of_older_code_are_the_same_functions():
    assert decorators.thing_action is lt.action
    assert decorators.thing_property is lt.property
    assert decorators.fastapi_endpoint is lt.endpoint


def test_every_constraint_is_an_option_of_properties():
    assert decorators.PropertyOptions.__annotations__.keys() >= CONSTRAINTS


def option_names(declare):
    """The names that people can write: those of a TypedDict in place of its `**options`."""
    names = {
        name
        for name, parameter in inspect.signature(declare).parameters.items()
        if parameter.annotation != "Unpack[PropertyOptions]"
    }
    if declare in (lt.property, lt.setting):
        names |= decorators.PropertyOptions.__annotations__.keys()
    return names


@pytest.mark.parametrize(
    "declare", [lt.action, lt.property, lt.setting, lt.event, lt.thing_slot, lt.endpoint]
)
def test_help_describes_every_option_with_its_default_and_an_example(declare):
    text = inspect.getdoc(declare).partition("\nArgs:\n")[2].partition("\nRaises:")[0]
    entries = re.split(r"(?m)^    (\w+): ", text)
    described = dict(zip(entries[1::2], entries[2::2], strict=True))
    assert described.keys() == option_names(declare)
    for name, entry in described.items():
        if name not in ("func", "getter"):
            assert "Example: `" in entry, name


def test_help_shows_the_type_of_every_option():
    for declare in (lt.action, lt.property, lt.setting, lt.event, lt.thing_slot):
        for name, parameter in inspect.signature(declare).parameters.items():
            if name != "default":
                assert parameter.annotation not in ("Any", inspect.Parameter.empty), name


def test_an_unknown_option_of_an_action_is_an_error_where_it_is_written():
    with pytest.raises(TypeError, match="retries"):
        lt.action(retries=3)


@pytest.mark.parametrize("declare", [lt.property, lt.setting])
def test_a_value_in_the_place_of_a_getter_is_a_missing_default(declare):
    with pytest.raises(MissingDefaultError, match=r"\(1\): .* write `lt\.\w+\(default=1\)`"):
        declare(1)


@pytest.mark.parametrize("declare", [lt.property, lt.setting])
@pytest.mark.parametrize("given", [{"default": 1}, {"default": None}, {"default_factory": int}])
def test_a_getter_has_no_default_beside_it(declare, given):
    def speed(self) -> int:
        return 1

    with pytest.raises(OverspecifiedDefaultError, match=r"speed is a getter"):
        declare(speed, **given)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({}, MissingDefaultError),
        ({"default": 1, "default_factory": int}, OverspecifiedDefaultError),
    ],
)
def test_a_data_property_has_one_default(given, error):
    with pytest.raises(error, match=r"Wrong\.x: a data property needs either"):
        type("Wrong", (lt.Thing,), {"x": lt.property(**given), "__annotations__": {"x": int}})


def test_none_is_a_default():
    class Lamp(lt.Thing):
        label: str | None = lt.property(default=None)

    assert Lamp().label is None
