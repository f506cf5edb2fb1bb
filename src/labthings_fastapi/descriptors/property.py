"""Declare that a value can be read, and perhaps written, by clients."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from labthings_fastapi.actions.logs import thing_log
from labthings_fastapi.exceptions import ReadOnlyPropertyError, UnserialisableValueError
from labthings_fastapi.messages.message import Message
from labthings_fastapi.schemas.values import ValueSchema

from .base import BaseDescriptor
from .property_messages import OrderedPublish

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

V = TypeVar("V")
_ORDERS = "labthings order of readings"  # among a Thing's attributes, where no name can be like it


class BaseProperty(BaseDescriptor, Generic[V]):
    """What data properties and functional properties share."""

    kind = "property"
    is_setting: ClassVar[bool] = False
    """Whether the value is saved."""

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
    ) -> None:
        """Keep the options; the type is read when the class is complete."""
        super().__init__(title, description)
        self.readonly = readonly
        self.observable = observable
        self.unit = unit
        self.use_global_lock = use_global_lock
        self.constraints: Mapping[str, Any] = dict(constraints or {})
        self._schema: ValueSchema[V] | None = None

    @property
    def schema(self) -> ValueSchema[V]:
        """Checks and writes values; built on first use."""
        if self._schema is None:
            self._schema = ValueSchema(self.value_type, self.constraints, where=self.where)
        return self._schema

    @property
    def value_type(self) -> Any:
        """The type hint, resolved."""
        raise NotImplementedError

    @property
    def is_observable(self) -> bool:
        """Whether clients are told of changes."""
        return bool(self.observable)

    @property
    def poll_interval(self) -> float | None:
        """Seconds between two looks of a running server at the value; None: nobody looks."""
        return None

    @property
    def has_default(self) -> bool:
        """Whether there is a value to describe as the default."""
        return False

    def make_default(self) -> V:
        """Return the default value, where `has_default` says that there is one."""
        raise NotImplementedError

    @property
    def is_resettable(self) -> bool:
        """Whether clients can ask for the default value back."""
        return False

    @property
    def quick(self) -> bool:
        """Whether reading runs no user code and waits for nothing.

        Only then may a binding do it on its event loop.
        """
        return False

    @property
    def quick_to_write(self) -> bool:
        """Whether the same holds for writing, as long as there is no global lock."""
        return self.quick

    def prepare(self, thing: Any) -> None:
        """Do now what a first read would do, so that later ones are as quick as `quick` says."""

    def get(self, thing: Any) -> V:
        """Return the value now; runs the Thing's code where it has a getter."""
        raise NotImplementedError

    def set(self, thing: Any, value: Any) -> None:
        """Check a value, then set it and tell observers; invalid: nothing changes.

        Raises:
            pydantic.ValidationError: the value breaks the type or a constraint.
            GlobalLockBusyError: another task holds the server's global lock.
        """
        with self.guard(thing):
            if thing._class_settings.get("validate_properties_on_set", True):
                value = self.schema.validate(value)
            self.set_valid(thing, value)

    def guard(self, thing: Any) -> AbstractContextManager[None]:
        """Hold the server's global lock, where there is one that this property obeys."""
        house = thing._thing_server_interface
        if self.use_global_lock is False or house.global_lock is None:
            return nullcontext()
        held: AbstractContextManager[None] = house.global_lock.held(
            f"Setting property {self.name!r} of Thing {thing.name!r}"
        )
        return held

    def set_json(self, thing: Any, body: bytes) -> None:
        """Set the value that a client sent, straight from its bytes."""
        if self.readonly:
            raise self.read_only_error(thing)
        with self.guard(thing):
            self.set_valid(thing, self.schema.validate_json(body))

    def set_checked(self, thing: Any, value: V) -> None:
        """Set a value that has been checked, under the server's global lock."""
        with self.guard(thing):
            self.set_valid(thing, value)

    def reset(self, thing: Any) -> None:
        """Give the property its default value back.

        Raises:
            ReadOnlyPropertyError: it has none, or cannot be set.
        """
        raise ReadOnlyPropertyError(
            f"Property {self.name!r} of Thing {thing.name!r} has no default to go back to."
        )

    def set_valid(self, thing: Any, value: V) -> None:
        """Set a value that has been checked."""
        raise NotImplementedError

    def read_only_error(self, thing: Any) -> ReadOnlyPropertyError:
        """Return the error for a write that is not allowed."""
        return ReadOnlyPropertyError(
            f"Property {self.name!r} of Thing {thing.name!r} is read-only: it cannot be written."
        )

    def to_json(self, value: V, context: Any = None) -> bytes:
        """Write a value as clients see it."""
        return self.schema.to_json(value, context)

    def read_json(self, thing: Any, context: Any = None) -> bytes:
        """Read the value and write it for a client."""
        return self.to_json(self.get(thing), context)

    def publish(self, thing: Any, value: V) -> None:
        """Publish a value, whether or not it has changed; any thread."""
        message = self.message(thing, value)
        if message is not None:
            thing._thing_server_interface.publish(message)

    def publish_reading(self, thing: Any) -> None:
        """Read the value and publish it; any thread. The reading that began last is the last."""
        orders: dict[BaseProperty[Any], OrderedPublish]
        orders = thing.__dict__.get(_ORDERS) or thing.__dict__.setdefault(_ORDERS, {})
        order = orders.get(self) or orders.setdefault(self, OrderedPublish())
        reading = next(order.readings)
        message = self.message(thing, self.get(thing))
        if message is not None:
            order.publish(thing._thing_server_interface.broker, reading, message)

    def message(self, thing: Any, value: V) -> Message | None:
        """Return the message of a value; a value without a JSON form is logged instead."""
        try:
            payload = self.to_json(value)
        except UnserialisableValueError as error:
            thing_log(thing.name).error("A change could not be published: %s", error)
            return None
        return Message(
            kind="property",
            thing=thing.name,
            affordance=self.name,
            payload=payload,
            value=value,
        )
