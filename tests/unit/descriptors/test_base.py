"""What all affordances share: names, hints, texts and order."""

from __future__ import annotations

from typing import List, Optional  # noqa: UP035 - old spellings must work

import pytest

import labthings_fastapi as lt
from labthings_fastapi.descriptors.base import descriptors_of
from labthings_fastapi.exceptions import AffordanceDefinitionError, MissingTypeError


class Base(lt.Thing):
    """A base."""

    first: int = lt.property(default=1)
    """The first one.

    With more to say.
    """

    second: int = lt.property(default=2, title="Two", description="Set explicitly.")
    bare: int = lt.property(default=3)


with pytest.warns(UserWarning, match=r"Derived\.second hides property Base\.second"):

    class Derived(Base):
        second: int = 5
        third: int = lt.property(default=3)


def test_affordances_come_in_the_order_of_their_declaration():
    assert [name for name, _ in descriptors_of(Base)] == ["first", "second", "bare"]


def test_a_plain_attribute_of_a_subclass_takes_an_affordance_away():
    assert list(Derived.properties) == ["bare", "first", "third"]
    assert Derived().second == 5


def test_the_string_after_an_attribute_is_its_documentation():
    assert Base.first.title == "The first one."
    assert Base.first.description == "With more to say."
    assert Base.first.__doc__ == "The first one.\n\nWith more to say."


def test_explicit_texts_win_and_the_name_is_the_last_resort():
    assert (Base.second.title, Base.second.description) == ("Two", "Set explicitly.")
    assert (Base.bare.title, Base.bare.description) == ("bare", None)


def test_a_name_in_the_class_does_not_hide_a_builtin_in_hints():
    class Shadow(lt.Thing):
        list: int = lt.property(default=1)
        values: list[int] = lt.property(default_factory=lambda: [1])

    assert Shadow().values == [1]


def test_a_part_of_a_hint_may_be_a_string():
    class Old(lt.Thing):
        values: List["int"] = lt.property(default=[1])  # noqa: UP006, UP037
        perhaps: Optional["float"] = lt.property(default=None)  # noqa: UP045, UP037

    thing = Old()
    thing.perhaps = 2
    assert (thing.values, thing.perhaps) == ([1], 2.0)


def test_a_hint_may_name_variables_around_a_local_class():
    from pydantic import BaseModel

    class Local(BaseModel):
        n: int = 1

    class Inner(lt.Thing):
        value: Local = lt.property(default=Local())

    assert Inner().value == Local()


def test_a_hint_that_leads_nowhere_is_named():
    class Wrong(lt.Thing):
        value: Nowhere = lt.property(default=1)  # noqa: F821

    with pytest.raises(MissingTypeError, match=r"Wrong\.value.*'Nowhere'"):
        Wrong.value.check_types()


def test_the_error_for_a_descriptor_outside_of_a_class_has_the_remedy():
    with pytest.raises(AffordanceDefinitionError, match="in the body of a class"):
        _ = lt.property(default=1).name
