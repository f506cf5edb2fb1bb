"""A property that is saved, and restored when the server starts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic_core import from_json, to_json

from labthings_fastapi.actions.logs import thing_log
from labthings_fastapi.actions.turns import run_code
from labthings_fastapi.exceptions import UnserialisableValueError, describe_exception
from labthings_fastapi.thing_description.paths import name_of

from .data_property import DataProperty
from .functional_property import FunctionalProperty
from .property import BaseProperty
from .write_report import not_read_back

if TYPE_CHECKING:
    from collections.abc import Callable

V = TypeVar("V")
OwnerT = TypeVar("OwnerT")


class Setting(BaseProperty[V]):
    """Base of data settings and functional settings: how a value is written to the file."""

    kind = "setting"
    is_setting = True

    def saved_form(self, thing: Any) -> Any:
        """Return the present value in the form that is written to the file."""
        return self.to_saved(self.get(thing))

    def to_saved(self, value: V) -> Any:
        """Return a value in the form that is written to the file; `from_saved` reads it."""
        try:
            # `round_trip` leaves out computed fields, which validation would refuse.
            json_value = self.schema.adapter.dump_python(
                value, mode="json", round_trip=True, warnings=False
            )
            return from_json(to_json(json_value, inf_nan_mode="strings"))
        except Exception as error:  # Serialisers may be user code.
            reason = describe_exception(error)
            raise UnserialisableValueError(self.where, type(value), reason) from error

    def from_saved(self, saved: Any) -> V:
        """Validate a value from the file and return it, or raise `pydantic.ValidationError`."""
        return self.schema.validate_json(json.dumps(saved).encode())

    def restore(self, thing: Any, saved: Any) -> None:
        """Set a value from the file without saving it; `ValidationError` if it is invalid."""
        raise NotImplementedError


class DataSetting(DataProperty[V], Setting[V]):
    """A data property that is saved each time it is set.

    The file is written before memory changes. If that fails, both keep the old value. So a client
    never sees a value that a power cut could undo.
    """

    @property
    def quick_to_write(self) -> bool:
        """False: writing waits for the disk."""
        return False

    def restore(self, thing: Any, saved: Any) -> None:
        """Set a value from the settings file; if it is invalid, the default stays."""
        thing.__dict__[self.name] = self.from_saved(saved)

    def set_valid(self, thing: Any, value: V) -> None:
        """Save a validated value, store it, and publish it."""
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
        """Call the setter with a value from the settings file."""
        value = self.from_saved(saved)
        if self.fset is not None:
            run_code(thing, self.fset, thing, value)

    def change(self, thing: Any, make_change: Callable[[], None]) -> None:
        """Change the value and save what the getter returns; if that fails, undo the change.

        A getter that fails undoes nothing: the value was set. It is not saved, which is a warning.
        """
        settings = thing._settings_file
        if settings is None:
            super().change(thing, make_change)
            return
        before = self.get(thing)
        make_change()
        unread: list[BaseException] = []

        def latest() -> dict[str, Any]:
            try:
                value = self.get(thing)
            except (Exception, SystemExit) as error:
                unread.append(error)
                raise
            return {self.name: self.to_saved(value)}

        try:
            settings.save_latest(latest)
        except BaseException as error:
            if error in unread:
                not_read_back(thing, self.name, error, "so the new value is not saved")
                return
            self._undo(thing, before)
            raise
        self.publish_if_observed(thing)

    def _undo(self, thing: Any, before: V) -> None:
        if self.fset is None:
            return
        try:
            run_code(thing, self.fset, thing, before)
        except Exception as error:  # noqa: BLE001 - setters are user code
            thing_log(name_of(thing)).error(
                "Setting %r could not be saved, and setting the old value %r failed as well: %s",
                self.name,
                before,
                describe_exception(error),
            )
