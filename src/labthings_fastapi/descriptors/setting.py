"""A property that is saved, and restored when the server starts again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic_core import from_json, to_json

from labthings_fastapi.actions.logs import thing_log
from labthings_fastapi.exceptions import UnserialisableValueError, describe_exception

from .data_property import DataProperty
from .functional_property import FunctionalProperty
from .property import BaseProperty

if TYPE_CHECKING:
    from collections.abc import Callable

V = TypeVar("V")
OwnerT = TypeVar("OwnerT")


class Setting(BaseProperty[V]):
    """What data settings and functional settings share: how their value stands in the file."""

    kind = "setting"
    is_setting = True

    def saved_form(self, thing: Any) -> Any:
        """Return the value now, as it stands in the file."""
        return self.to_saved(self.get(thing))

    def to_saved(self, value: V) -> Any:
        """Return a value as it stands in the file: what `from_saved` can read again."""
        try:
            # What a model computes from its fields would be refused when it is read.
            found = self.schema.adapter.dump_python(
                value, mode="json", round_trip=True, warnings=False
            )
            return from_json(to_json(found, inf_nan_mode="strings"))
        except Exception as error:  # Serialisers may be user code.
            reason = describe_exception(error)
            raise UnserialisableValueError(self.where, type(value), reason) from error

    def from_saved(self, saved: Any) -> V:
        """Check a value from the file and return it, or raise `pydantic.ValidationError`."""
        return self.schema.validate_json(json.dumps(saved).encode())

    def restore(self, thing: Any, saved: Any) -> None:
        """Take a value from the file, without saving it again; one that is not valid is refused."""
        raise NotImplementedError


class DataSetting(DataProperty[V], Setting[V]):
    """A data property that is saved each time it is set.

    The file is written before memory changes: if it cannot be, both keep the old value, and nobody
    sees a value that a power cut could take back.
    """

    @property
    def quick_to_write(self) -> bool:
        """Never: writing waits for the disk."""
        return False

    def restore(self, thing: Any, saved: Any) -> None:
        """Take a value from the settings file; an error of validation leaves the default."""
        thing.__dict__[self.name] = self.from_saved(saved)

    def set_valid(self, thing: Any, value: V) -> None:
        """Save a value that has been checked, store it, and tell observers."""
        settings = thing._settings_file
        if settings is None:
            super().set_valid(thing, value)
            return
        saved = self.to_saved(value)
        with settings.lock:
            settings.save({self.name: saved})
            super().set_valid(thing, value)


class FunctionalSetting(FunctionalProperty[OwnerT, V], Setting[V]):
    """A property with a getter and a setter whose value is saved each time it is set."""

    def restore(self, thing: Any, saved: Any) -> None:
        """Give a value from the settings file to the setter."""
        value = self.from_saved(saved)
        if self._setter is not None:
            self._setter(thing, value)

    def change(self, thing: Any, make_change: Callable[[], None]) -> None:
        """Change the value and save what the getter says then; if that fails, set it back."""
        settings = thing._settings_file
        if settings is None:
            super().change(thing, make_change)
            return
        before = self.get(thing)
        make_change()
        try:
            settings.save_latest(lambda: {self.name: self.saved_form(thing)})
        except BaseException:
            self._set_back(thing, before)
            raise
        self.publish_if_observed(thing)

    def _set_back(self, thing: Any, before: V) -> None:
        if self._setter is None:
            return
        try:
            self._setter(thing, before)
        except Exception as error:  # noqa: BLE001 - setters are user code; why it failed is told
            thing_log(thing.name).error(
                "Setting %r could not be saved, and not be set back to %r either: %s",
                self.name,
                before,
                describe_exception(error),
            )
