"""The words with which a class declares its affordances."""

from __future__ import annotations

import pytest

import labthings_fastapi as lt
from labthings_fastapi import decorators
from labthings_fastapi.descriptors.action import ActionDescriptor
from labthings_fastapi.descriptors.data_property import DataProperty
from labthings_fastapi.descriptors.endpoint import EndpointDescriptor
from labthings_fastapi.descriptors.functional_property import FunctionalProperty
from labthings_fastapi.exceptions import AffordanceDefinitionError


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
def test_each_word_makes_its_kind_of_descriptor(name, kind):
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


def test_an_unknown_option_says_which_there_are():
    with pytest.raises(AffordanceDefinitionError, match=r"'units'.*max_length"):
        lt.property(default=1, units="mm")


def test_an_unknown_method_of_an_endpoint_is_refused():
    with pytest.raises(AffordanceDefinitionError, match=r"'fetch'.*get, post"):
        lt.endpoint("fetch")(lambda self: None)


def test_older_names_are_the_same_words():
    assert decorators.thing_action is lt.action
    assert decorators.thing_property is lt.property
