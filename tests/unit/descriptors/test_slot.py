"""Slots: attributes for other Things."""

from __future__ import annotations

import gc

import pytest

import labthings_fastapi as lt
from labthings_fastapi.descriptors.slot import UNSET, ThingSlot
from labthings_fastapi.exceptions import (
    AffordanceDefinitionError,
    ThingNotConnectedError,
    ThingSlotError,
)


class Stage(lt.Thing):
    pass


class Camera(lt.Thing):
    stage: Stage = lt.thing_slot()
    either: Stage | Later | None = lt.thing_slot(None)


class Later(lt.Thing):
    """Defined after the slot that it fits."""


def test_the_error_of_an_unfilled_slot_explains_when_it_is_filled():
    with pytest.raises(ThingNotConnectedError, match=r"Camera\.stage: .*not connected yet"):
        _ = Camera().stage


def test_a_slot_cannot_be_assigned():
    with pytest.raises(AttributeError, match=r"Camera\.stage is a slot"):
        Camera().stage = Stage()


def test_on_the_class_a_slot_is_the_descriptor():
    assert isinstance(Camera.stage, ThingSlot)


def test_its_hint_may_name_a_class_that_is_defined_later():
    camera, later = Camera(), Later()
    Camera.either.fill(camera, {"later": later}, "later")
    assert camera.either is later
    assert Camera.either.targets(camera) == [later]


def test_a_thing_may_fill_its_own_slot_by_name_only():
    class Selfish(lt.Thing):
        me: Selfish | None = lt.thing_slot()

    selfish = Selfish()
    Selfish.me.fill(selfish, {"me": selfish})
    assert selfish.me is None
    Selfish.me.fill(selfish, {"me": selfish}, "me")
    assert selfish.me is selfish


def test_a_slot_needs_a_type_hint():
    with pytest.raises(AffordanceDefinitionError, match=r"Wrong\.stage.*no type hint"):

        class Wrong(lt.Thing):
            stage = lt.thing_slot()


def test_a_hint_that_is_no_class_is_refused_when_it_is_filled():
    class Wrong(lt.Thing):
        stage: list[Stage] = lt.thing_slot()

    with pytest.raises(AffordanceDefinitionError, match=r"Wrong\.stage.*not a class of Thing"):
        Wrong.stage.fill(Wrong(), {})


def test_the_descriptor_tells_what_fits():
    assert (Camera.stage.thing_type, Camera.either.thing_type) == ((Stage,), (Stage, Later))
    assert (Camera.stage.is_optional, Camera.either.is_optional) == (False, True)
    assert Camera.stage.is_mapping is False
    assert Camera.either.default is None


def test_a_thing_that_is_gone_is_a_reference_error():
    camera, stage = Camera(), Stage()
    Camera.stage.connect(camera, {"stage": stage}, target="stage")
    assert camera.stage is stage
    del stage
    gc.collect()
    with pytest.raises(ReferenceError, match=r"Camera\.stage: .* no longer exists"):
        _ = camera.stage


@pytest.mark.parametrize(
    ("slot", "things", "target", "texts"),
    [
        ("stage", {}, UNSET, ("no matching Thing", "used the default", "Things by type")),
        ("stage", {"a": Stage, "b": Stage}, UNSET, ("multiple Things", "Things by type")),
        ("stage", {"a": Stage}, "b", ("not the name of a Thing", "configured to connect to 'b'")),
        ("stage", {"a": Stage}, 7, ("not the name of a Thing", "configured to connect to 7")),
        ("stage", {"a": Later}, "a", ("wrong type", "configured to connect to 'a'")),
        ("stage", {"a": Stage}, None, ("must be set", "configured to connect to None")),
    ],
)
def test_an_error_says_what_was_wanted_and_who_wanted_it(slot, things, target, texts):
    made = {name: cls() for name, cls in things.items()}
    with pytest.raises(ThingSlotError, match=rf"Camera\.{slot}: ") as caught:
        getattr(Camera, slot).connect(Camera(), made, target)
    for text in texts:
        assert text in str(caught.value)


def test_it_is_read_only():
    with pytest.raises(AttributeError, match="read-only"):
        Camera().stage = Stage()
