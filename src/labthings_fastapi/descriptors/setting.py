"""A property that is saved, and restored when the server starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import ValidationError

from labthings_fastapi.actions.logs import thing_log
from labthings_fastapi.actions.turns import run_code
from labthings_fastapi.exceptions import (
    AffordanceDefinitionError,
    DeclarationTypeError,
    UnserialisableValueError,
    ValueNotSavableError,
    describe_exception,
)
from labthings_fastapi.schemas.saving import (
    from_saved_form,
    is_same,
    saved_form,
    why_type_is_not_savable,
)
from labthings_fastapi.thing_description.paths import name_of

from .data_property import DataProperty
from .functional_property import FunctionalProperty
from .property import BaseProperty
from .write_report import not_read_back

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


V = TypeVar("V")
OwnerT = TypeVar("OwnerT")


class Setting(BaseProperty[V]):
    """Base of data settings and functional settings: how a value is written to the file."""

    kind = "setting"
    is_setting = True

    def check(self, namespace: Mapping[str, Any]) -> None:
        """Refuse, beside other mistakes, a type whose values cannot be read back."""
        super().check(namespace)
        self._check_savable()

    def check_types(self) -> None:
        """Raise an error if the values have no JSON form, or cannot be described or read back."""
        super().check_types()
        self._check_savable()  # once more, because its type may not have been known before

    def _check_savable(self) -> None:
        reason = None
        try:
            if self.schema.immutable:
                return
            reason = why_type_is_not_savable(self.schema)
            if reason is None and self.default_fits:
                self.checked_form(self.make_default())
        except ValueNotSavableError as error:
            reason = str(error).partition(": ")[2]
        except (AffordanceDefinitionError, UnserialisableValueError):
            return  # a type that is not known yet, or has no JSON form, has its own error
        if reason is not None:
            raise DeclarationTypeError(
                f"{self.where}: a setting of type {self.value_type!r} cannot be saved and read "
                f"back: {reason}. Use another type, or `lt.property`, which is not saved."
            )

    def checked_form(self, value: V) -> Any:
        """Return the form of a value in the file; reading it gives the value back.

        Raises:
            ValueNotSavableError: it does not.
            UnserialisableValueError: the value has no JSON form.
        """
        form = self.to_saved(value)
        try:
            restored = self.from_saved(form)
        except ValidationError as error:
            reason = error.errors(include_url=False)[0]["msg"]
            raise self._not_savable(value, form, f"an error ({reason})") from None
        if not is_same(value, restored):
            raise self._not_savable(value, form, repr(restored))
        return form

    def _not_savable(self, value: V, form: Any, result: str) -> ValueNotSavableError:
        return ValueNotSavableError(
            f"{self.where}: the value {value!r} cannot be saved: it would be written as {form!r}, "
            f"which is read back as {result}"
        )

    def to_saved(self, value: V) -> Any:
        """Return a value in the form that is written to the file; `from_saved` reads it."""
        try:
            return saved_form(self.schema, value)
        except Exception as error:  # Serialisers may be user code.
            reason = describe_exception(error)
            raise UnserialisableValueError(self.where, type(value), reason) from error

    def from_saved(self, saved: Any) -> V:
        """Validate a value from the file and return it, or raise `pydantic.ValidationError`."""
        value: V = from_saved_form(self.schema, saved)
        return value

    def restore(self, thing: Any, value: V) -> None:
        """Set a value from the file without saving it."""
        raise NotImplementedError


class DataSetting(Setting[V], DataProperty[V]):
    """A data property that is saved each time it is set.

    The file is written before memory changes. If that fails, both keep the old value. So a client
    never sees a value that a power cut could undo.
    """

    @property
    def quick_to_write(self) -> bool:
        """False: writing waits for the disk."""
        return False

    def restore(self, thing: Any, value: V) -> None:
        """Set a value from the settings file."""
        thing.__dict__[self.name] = value

    def set_valid(self, thing: Any, value: V) -> None:
        """Save a validated value, store it, and publish it."""
        kept = thing._kept_settings
        store = super().set_valid
        if kept is None:
            store(thing, value)
            return
        try:
            form = self.checked_form(value)
        except (ValueNotSavableError, UnserialisableValueError) as error:
            if thing._class_settings.get("validate_properties_on_set", True):
                raise
            # Such a class is promised that its own code can set everything.
            thing_log(name_of(thing)).error("It is set, and not saved: %s", error)
            store(thing, value)
            return
        kept.save(thing, self, form, lambda: store(thing, value))


class FunctionalSetting(Setting[V], FunctionalProperty[OwnerT, V], Generic[OwnerT, V]):
    """A property with a getter and a setter whose value is saved each time it is set."""

    def restore(self, thing: Any, value: V) -> None:
        """Call the setter with a value from the settings file."""
        if self.fset is not None:
            run_code(thing, self.fset, thing, value)

    def set_valid(self, thing: Any, value: V) -> None:
        """Call the setter with a validated value, and save it; refuse first what is not savable."""
        if thing._kept_settings is not None:
            self.checked_form(value)
        super().set_valid(thing, value)

    def change(self, thing: Any, make_change: Callable[[], None]) -> None:
        """Change the value and save what the getter returns; if that fails, undo the change.

        A getter that fails undoes nothing: the value was set. It is not saved, which is a warning.
        """
        kept = thing._kept_settings
        if kept is None:
            super().change(thing, make_change)
            return
        before = self.get(thing)
        make_change()
        unread: list[BaseException] = []

        def latest() -> Any:
            try:
                return self.checked_form(self.get(thing))
            except (Exception, SystemExit) as error:
                unread.append(error)
                raise

        try:
            kept.save_reading(thing, self, latest)
        except BaseException as error:
            if error in unread:
                self.reading_state(thing).failed(error)
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
