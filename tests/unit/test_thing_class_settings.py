"""Options of a class of Thing."""

from __future__ import annotations

import pytest

import labthings_fastapi as lt
from labthings_fastapi.exceptions import InvalidClassSettingsError
from labthings_fastapi.thing_class_settings import (
    get_class_settings,
    get_validate_properties_on_set,
    validate_thing_class_settings,
)


class Loose(lt.Thing):
    _class_settings = {"validate_properties_on_set": False}  # noqa: RUF012 - as it is written


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"validate": True}, r"Wrong\._class_settings: the key 'validate' is unknown"),
        ({"validate_properties_on_set": 1}, r"Wrong\._class_settings: .* is 1\. Use True or False"),
        ({"validate_properties_on_set": None}, r"is None\. Use True or False"),
    ],
)
def test_an_unknown_key_or_a_wrong_value_is_refused_when_the_class_is_made(settings, text):
    with pytest.raises(InvalidClassSettingsError, match=text):
        type("Wrong", (lt.Thing,), {"_class_settings": settings})


def test_what_is_no_dictionary_is_a_type_error():
    class Plain:
        _class_settings = 7

    with pytest.raises(TypeError, match=r"Plain\._class_settings` must be a `dict`"):
        get_class_settings(Plain)
    with pytest.raises(TypeError, match=r"`dict`"):
        validate_thing_class_settings(Plain)


def test_a_class_without_any_validates():
    assert get_class_settings(object) == {}
    assert get_validate_properties_on_set(lt.Thing) is True


def test_a_subclass_has_those_of_its_base():
    class Below(Loose):
        pass

    assert get_class_settings(Below) == {"validate_properties_on_set": False}
    assert get_validate_properties_on_set(Below) is False
