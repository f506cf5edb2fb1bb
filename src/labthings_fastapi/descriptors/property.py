"""Declare that clients can read, and perhaps write, a value."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from labthings_fastapi.actions.context import touch
from labthings_fastapi.actions.logs import thing_log
from labthings_fastapi.actions.turns import TURN, Turn
from labthings_fastapi.exceptions import (
    AffordanceDefinitionError,
    DeclarationTypeError,
    InvalidReadingError,
    InvalidReturnValueError,
    PropertyNotResettableError,
    ReadOnlyPropertyError,
    UnserialisableTypeError,
    UnserialisableValueError,
)
from labthings_fastapi.messages.message import Message
from labthings_fastapi.schemas.invalid_values import first_error, named, shown
from labthings_fastapi.schemas.values import ValueSchema
from labthings_fastapi.thing_description.paths import name_of

from .base import BaseDescriptor
from .functions import is_surely_json
from .property_messages import OrderedPublish
from .reading_state import ReadingState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from labthings_fastapi.schemas.json_schema import Mode

V = TypeVar("V")
# Among a Thing's attributes, where no name can be like these.
_ORDERS = "labthings order of readings"
_STATES = "labthings states of readings"


class BaseProperty(BaseDescriptor, Generic[V]):
    """Base of data properties and functional properties; any thread may use it."""

    kind = "property"
    declared_by = "`lt.property`"
    is_setting: ClassVar[bool] = False
    """True if the value is saved."""

    def __init__(
        self,
        *,
        readonly: bool = False,
        observable: bool | float | None = None,
        unit: str | None = None,
        use_global_lock: bool | None = None,
        title: str | None = None,
        description: str | None = None,
        constraints: Mapping[str, Any] | None = None,
        shared: bool = True,
    ) -> None:
        """Set the options; `lt.property` describes them."""
        super().__init__(title, description)
        self.shared = shared
        self.readonly = readonly
        self.observable = observable
        self.unit = unit
        self.use_global_lock = use_global_lock
        self.constraints: Mapping[str, Any] = dict(constraints or {})

    @cached_property
    def schema(self) -> ValueSchema[V]:
        """Validates and serialises values; built on first use."""
        mode: Mode = "serialization" if self.readonly else "both"
        return ValueSchema(
            *(self.value_type, self.constraints),
            where=self.where,
            mode=mode,
            keeps_values=self.holds_value,
        )

    @property
    def model(self) -> type[BaseModel]:
        """A pydantic model of the value: the type itself if it is one, else a `RootModel`.

        Constraints are in the metadata of its field `root`, as objects of `annotated_types`.

        Raises:
            AffordanceDefinitionError: the type has no JSON form, or a constraint does not fit it.
        """
        return self.schema.model(f"{self.name.capitalize()}Value")

    def check(self, namespace: Mapping[str, Any]) -> None:
        """Refuse options that have an impossible value."""
        super().check(namespace)
        if not isinstance(self.observable, bool | int | float | None):
            raise DeclarationTypeError(
                f"{self.where}: observable={self.observable!r} is not valid. Use True, False or, "
                "for a getter, the number of seconds between two readings."
            )

    def check_types(self) -> None:
        """Raise an error if the values have no JSON form, or cannot be described."""
        if self.constraints or not is_surely_json(self.value_type):
            self.schema.compile()
            self.schema.data_schema()

    @property
    def value_type(self) -> Any:
        """The type hint, resolved."""
        raise NotImplementedError

    @property
    def is_observable(self) -> bool:
        """True if clients can follow changes."""
        return bool(self.observable)

    @property
    def poll_interval(self) -> float | None:
        """Interval (s) at which a running server reads the value; None: it does not."""
        return None

    @property
    def has_default(self) -> bool:
        """True if there is a default value."""
        return False

    @property
    def default_fits(self) -> bool:
        """True if there is a default value that the type and the constraints allow."""
        return self.has_default

    def make_default(self) -> V:
        """Return a fresh default value, if `has_default` is True."""
        raise NotImplementedError

    def misfit(self, default: Any) -> Iterator[str]:
        """Yield the reason, for people, why a default breaks the type or a constraint."""
        try:
            self.schema.validate(copy.deepcopy(default))
        except ValidationError as error:
            reason = error.errors(include_url=False)[0]["msg"]
            yield (
                f"{self.where}: the default {default!r} breaks the property's own type or "
                f"constraints: {reason}. Clients cannot read the property until it is set: give "
                "it another default, or a type that allows this one."
            )
        except AffordanceDefinitionError:
            pass  # there is no schema: `check_types` says why

    @property
    def is_resettable(self) -> bool:
        """True if clients can reset the value to its default."""
        return False

    @property
    def quick(self) -> bool:
        """True if reading runs no user code and does not block: allowed on an event loop."""
        return False

    @property
    def quick_to_write(self) -> bool:
        """True if writing runs no user code and does not block, without a global lock."""
        return self.quick

    @property
    def holds_value(self) -> bool:
        """True if the value that is set is the value: no setter changes or delays it."""
        return False

    def prepare(self, thing: Any) -> None:
        """Do the work of a first read, so that `quick` is true of all later ones."""

    def get(self, thing: Any) -> V:
        """Return the present value; calls the getter, if there is one."""
        raise NotImplementedError

    def set(self, thing: Any, value: Any) -> None:
        """Validate a value, set it, and publish it to observers.

        Raises:
            pydantic.ValidationError: the value breaks the type or a constraint; nothing changes.
            GlobalLockBusyError: another task holds the server's global lock.
        """
        with self.guard(thing):
            if thing._class_settings.get("validate_properties_on_set", True):
                value = self.validate(thing, value)
            touch(thing)
            self.set_valid(thing, value)

    def validate(self, thing: Any, value: Any) -> V:
        """Return the value converted to the property's type.

        Raises:
            pydantic.ValidationError: the text names the property, the Thing, the value and why.
        """
        try:
            return self.schema.validate(value)
        except ValidationError as error:
            subject = f"Property {self.name!r} of Thing {name_of(thing)!r}"
            raise named(error, subject) from None
        except UnserialisableTypeError:
            unchecked: V = value  # no server can be made of this class, so no client sees it
            return unchecked

    def guard(self, thing: Any) -> AbstractContextManager[None]:
        """Hold what a write needs: the turn of the Thing, and the server's global lock."""
        lock = thing._thing_server_interface.global_lock
        turn: Turn | None = thing.__dict__.get(TURN)
        held: AbstractContextManager[None] = nullcontext()
        if lock is not None and self.use_global_lock is not False:
            held = lock.held(f"Setting property {self.name!r} of Thing {name_of(thing)!r}")
        return held if turn is None else turn.writing(f"a write of {self.name!r}", held)

    def set_checked(self, thing: Any, value: V) -> None:
        """Set a validated value, with what a write must hold."""
        with self.guard(thing):
            self.set_valid(thing, value)

    def reset(self, thing: Any) -> None:
        """Set the default value, or call the resetter.

        Raises:
            PropertyNotResettableError: there is neither a resetter nor a default that can be set.
        """
        raise PropertyNotResettableError(
            f"Property {self.name!r} of Thing {name_of(thing)!r} cannot be reset: it has no "
            "default value and no resetter."
        )

    def set_valid(self, thing: Any, value: V) -> None:
        """Set a validated value, and publish it to observers."""
        raise NotImplementedError

    def invalid_default(
        self, error: ValidationError, value: Any, name: str = "default"
    ) -> AffordanceDefinitionError:
        """Return the error for a default that the type or a constraint does not allow."""
        reason = error.errors(include_url=False)[0]["msg"]
        return DeclarationTypeError(
            f"{self.where}: the {name} {value!r} breaks the property's own type or constraints: "
            f"{reason}."
        )

    def read_only_error(self, thing: Any) -> ReadOnlyPropertyError:
        """Return the error for a write that is not allowed."""
        return ReadOnlyPropertyError(
            f"Property {self.name!r} of Thing {name_of(thing)!r} is read-only: it cannot be "
            "written."
        )

    def to_json(self, value: V, context: Any = None) -> bytes:
        """Serialise a value for clients, after a check that it fits the type.

        Raises:
            InvalidReadingError: it does not.
            UnserialisableValueError: it has no JSON form.
        """
        try:
            return self.schema.serve(value, context)
        except (ValidationError, InvalidReturnValueError) as error:
            raise self._invalid_reading(None, value, error) from error

    def read_json(self, thing: Any, context: Any = None) -> bytes:
        """Read the value and serialise it for clients, after a check that it fits the type.

        Raises:
            InvalidReadingError: it does not.
            UnserialisableValueError: it has no JSON form.
        """
        value = self.get(thing)
        try:  # and not `value_json`: this is the quick path
            return self.schema.serve(value, context)
        except (ValidationError, InvalidReturnValueError) as error:
            raise self._invalid_reading(name_of(thing), value, error) from error

    def checked_reading(self, thing: Any, value: Any) -> V:
        """Return a reading of the property's type.

        Raises:
            InvalidReadingError: it does not fit.
        """
        try:
            return self.schema.validate(value)
        except ValidationError as error:
            raise self._invalid_reading(name_of(thing), value, error) from error

    def value_json(self, thing: Any, value: V, context: Any = None) -> bytes:
        """Serialise a reading for clients; errors as of `read_json`."""
        try:
            return self.schema.serve(value, context)
        except (ValidationError, InvalidReturnValueError) as error:
            raise self._invalid_reading(name_of(thing), value, error) from error

    def _invalid_reading(
        self, thing: str | None, value: Any, error: ValidationError | InvalidReturnValueError
    ) -> InvalidReadingError:
        place = f"{thing}.{self.name}" if thing else self.where
        if isinstance(error, ValidationError):
            return InvalidReadingError(place, shown(value), first_error(error))
        return InvalidReadingError(place, shown(value), str(error))

    def publish(self, thing: Any, value: V) -> None:
        """Publish a value, whether or not it has changed; any thread."""
        interface = thing._thing_server_interface
        message = self.message(interface.name, value)
        if message is not None:
            interface.publish(message)

    def reading_state(self, thing: Any) -> ReadingState:
        """Return whether the property of this Thing can be read; any thread."""
        states: dict[BaseProperty[Any], ReadingState]
        states = thing.__dict__.get(_STATES) or thing.__dict__.setdefault(_STATES, {})
        state = states.get(self)
        if state is None:
            new = ReadingState(thing, self.name, followed=self.is_observable)
            state = states.setdefault(self, new)
        return state

    def publish_reading(self, thing: Any) -> None:
        """Read the value and publish it; any thread. The reading that began last is the last.

        If it cannot be read, those that follow the property are told, and the error is raised.
        """
        orders: dict[BaseProperty[Any], OrderedPublish]
        orders = thing.__dict__.get(_ORDERS) or thing.__dict__.setdefault(_ORDERS, {})
        order = orders.get(self) or orders.setdefault(self, OrderedPublish())
        reading = next(order.readings)
        state, interface = self.reading_state(thing), thing._thing_server_interface
        try:
            value = self.get(thing)
        except BaseException as error:
            state.failed(error)
            raise
        message = self.message(interface.name, value, state)
        if message is not None:
            state.worked()
            order.publish(interface.broker, reading, message)

    def message(self, thing: str, value: V, state: ReadingState | None = None) -> Message | None:
        """Return the message of a value; a value without a JSON form is logged instead.

        With the `state` of a reading, it is noted there as well.
        """
        unfit: Exception
        try:
            payload = self.schema.serve(value)
        except (ValidationError, InvalidReturnValueError) as error:
            unfit = self._invalid_reading(thing, value, error)
        except UnserialisableValueError as error:
            unfit = error
        except UnserialisableTypeError:
            return None  # no server can be made of this class, so nobody follows it
        else:
            return Message("property", thing, self.name, payload, value)
        thing_log(thing).error("A change could not be published: %s", unfit)
        if state is not None:
            state.failed(unfit)
        return None
