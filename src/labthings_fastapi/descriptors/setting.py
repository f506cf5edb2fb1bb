"""A property that is saved, and restored when the server starts again."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from .data_property import DataProperty
from .functional_property import FunctionalProperty

V = TypeVar("V")
OwnerT = TypeVar("OwnerT")


def _as_saved(descriptor: Any, value: Any) -> Any:
    """Return the value as it stands in the settings file."""
    return json.loads(descriptor.to_json(value))


class Setting:
    """What marks a property as saved."""

    kind = "setting"


class DataSetting(DataProperty[V], Setting):
    """A data property that is saved each time it is set.

    The file is written before memory changes: if it cannot be, both keep the old value.
    """

    is_setting = True

    @property
    def quick_to_write(self) -> bool:
        """Never: writing waits for the disk."""
        return False

    def restore(self, thing: Any, saved: Any) -> None:
        """Take a value from the settings file; an error of validation leaves the default."""
        thing.__dict__[self.name] = self.schema.validate_json(json.dumps(saved).encode())

    def saved_form(self, thing: Any) -> Any:
        """Return the value now, as it stands in the file."""
        return _as_saved(self, self.get(thing))

    def set_valid(self, thing: Any, value: V) -> None:
        """Save a value that has been checked, store it, and tell observers."""
        settings = thing._settings_file
        if settings is None:
            super().set_valid(thing, value)
            return
        with settings.lock:
            settings.save({self.name: _as_saved(self, value)})
            super().set_valid(thing, value)


class FunctionalSetting(FunctionalProperty[OwnerT, V], Setting):
    """A property with a getter and a setter whose value is saved each time it is set."""

    is_setting = True

    def restore(self, thing: Any, saved: Any) -> None:
        """Give a value from the settings file to the setter."""
        value = self.schema.validate_json(json.dumps(saved).encode())
        if self._setter is not None:
            self._setter(thing, value)

    def saved_form(self, thing: Any) -> Any:
        """Return the value now, as it stands in the file."""
        return _as_saved(self, self.get(thing))

    def set_valid(self, thing: Any, value: V) -> None:
        """Call the setter and save what the getter says then; if that fails, set it back."""
        settings = thing._settings_file
        if settings is None or self._setter is None:
            super().set_valid(thing, value)
            return
        before = self.get(thing)
        self._setter(thing, value)
        try:
            settings.save({self.name: self.saved_form(thing)})
        except BaseException:
            self._setter(thing, before)
            raise
        self.publish_if_observed(thing)
