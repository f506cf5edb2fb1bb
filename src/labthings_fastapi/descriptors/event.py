"""Declare an event that a Thing can emit."""

from __future__ import annotations

import inspect
from functools import cached_property
from types import NoneType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, get_args, get_origin, overload

from pydantic import ValidationError

from labthings_fastapi.messages.message import Message
from labthings_fastapi.schemas.invalid_values import named
from labthings_fastapi.schemas.values import ValueSchema
from labthings_fastapi.thing_description.paths import name_of

from .base import BaseDescriptor
from .bound import AffordanceInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from labthings_fastapi.thing_host.observation import Observation

V = TypeVar("V")


class Event(AffordanceInfo["EventDescriptor"], Generic[V]):
    """One event of one Thing: emit it, or subscribe to it; any thread may use it."""

    @property
    def value_type(self) -> Any:
        """The type of the data."""
        return self.descriptor.value_type

    @overload
    def emit(self: Event[None]) -> None: ...

    @overload
    def emit(self, data: V) -> None: ...

    def emit(self, data: Any = None) -> None:
        """Publish the event to all subscribers; never waits for them.

        Raises:
            pydantic.ValidationError: `data` does not fit the event's type; nothing is published.
            UnserialisableValueError: `data` has no JSON form; nothing is published.
        """
        schema = self.descriptor.schema
        try:
            value = schema.validate(data)
        except ValidationError as error:
            subject = f"Event {self.name!r} of Thing {name_of(self._thing)!r}"
            raise named(error, subject) from None
        self._thing._thing_server_interface.publish(
            Message(
                kind="event",
                thing=name_of(self._thing),
                affordance=self.name,
                payload=schema.to_json(value),
                value=value,
            )
        )

    def subscribe(self, callback: Callable[[V], Any]) -> Observation:
        """Call `callback(data)` at each event from now on, in a worker thread, in order.

        Errors of the callback are logged. Call `close()` on the result to end the subscription.
        """
        observation: Observation = self._thing._thing_server_interface.observe(
            "event", self.name, callback
        )
        return observation


class EventDescriptor(BaseDescriptor):
    """An event that a Thing emits; the type hint is the type of its data.

    `name: lt.Event[float]` and `name: float` mean the same; type checkers understand the first.
    `None` declares an event without data.
    """

    kind = "event"
    declared_by = "`lt.event`"

    def __init__(
        self,
        title: str | None = None,
        description: str | None = None,
        unit: str | None = None,
    ) -> None:
        """Set the options; the type hint is read when the class is complete."""
        super().__init__(title, description)
        self.unit = unit

    def check(self, namespace: Mapping[str, Any]) -> None:
        """Raise an error if there is no type hint."""
        super().check(namespace)
        if self.written_hint() is inspect.Parameter.empty:
            self.hint()

    def check_types(self) -> None:
        """Raise an error if the data has no JSON form, or cannot be described."""
        self.schema.compile()
        self.schema.data_schema()

    @property
    def value_type(self) -> Any:
        """The type of the data."""
        hint = self.hint()
        if get_origin(hint) is Event:
            return self.resolve(get_args(hint)[0])
        return NoneType if hint in (None, Event) else hint

    @property
    def has_data(self) -> bool:
        """True unless the event is declared without data."""
        return self.value_type is not NoneType

    @cached_property
    def schema(self) -> ValueSchema[Any]:
        """Validates and serialises the data."""
        return ValueSchema(self.value_type, where=self.where, mode="serialization")

    @overload
    def __get__(self, obj: None, owner: type | None = None) -> Self: ...

    @overload
    def __get__(self, obj: object, owner: type | None = None) -> Event[Any]: ...

    def __get__(self, obj: Any, owner: type | None = None) -> Self | Event[Any]:
        return self.seen_from(owner) if obj is None else Event(self, obj)

    def __set__(self, obj: Any, value: Any) -> None:
        raise AttributeError(
            f"{name_of(obj)}.{self.name} is an event and cannot be assigned. "
            f"To emit it, call self.{self.name}.emit(data)."
        )
