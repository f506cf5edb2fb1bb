"""Options of a class of Thing: its attribute `_class_settings`."""

from __future__ import annotations

from typing import Any, TypedDict, cast

from labthings_fastapi.exceptions import InvalidClassSettingsError


class ThingClassSettings(TypedDict, total=False):
    """The keys of `Thing._class_settings`."""

    validate_properties_on_set: bool
    """True (the default): values that Python code sets are validated, like those of clients."""


def get_class_settings(cls: type) -> ThingClassSettings:
    """Return the options of a class, its own or inherited; an empty dictionary if it has none.

    Raises:
        TypeError: `_class_settings` is no dictionary.
    """
    settings: Any = getattr(cls, "_class_settings", {})
    if not isinstance(settings, dict):
        raise TypeError(
            f"`{cls.__qualname__}._class_settings` must be a `dict`, and is {settings!r}."
        )
    return cast("ThingClassSettings", settings)


def get_validate_properties_on_set(cls: type) -> bool:
    """Return whether values that Python code sets are validated; True unless the class says no."""
    return get_class_settings(cls).get("validate_properties_on_set", True)


def validate_thing_class_settings(cls: type) -> None:
    """Refuse options that mean nothing.

    Raises:
        TypeError: `_class_settings` is no dictionary.
        InvalidClassSettingsError: a key is unknown, or its value is of the wrong type.
    """
    place = f"{cls.__name__}._class_settings"
    known = ThingClassSettings.__annotations__
    for key, value in get_class_settings(cls).items():
        if key not in known:
            raise InvalidClassSettingsError(
                f"{place}: the key {key!r} is unknown. Known keys: {', '.join(known)}."
            )
        if not isinstance(value, bool):
            raise InvalidClassSettingsError(f"{place}: {key} is {value!r}. Use True or False.")
