"""The older way to declare a property: the type is an argument, not a hint."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from labthings_fastapi.exceptions import AffordanceDefinitionError

from .base import function_doc
from .property import BaseProperty
from .property_messages import OrderedStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class PropertyDescriptor(BaseProperty[Any]):
    """A property of type `model`: kept by the Thing, or computed by a getter.

    Constraints are written in the type, as `Annotated[int, Field(gt=0)]`. Without an initial value
    it is None until it is set. Setting it is safe from any thread; its functions run in the thread
    that reads or writes.
    """

    def __init__(
        self,
        model: Any,
        initial_value: Any = None,
        readonly: bool = False,
        observable: bool = False,
        description: str | None = None,
        title: str | None = None,
        getter: Callable[[Any], Any] | None = None,
        setter: Callable[[Any, Any], None] | None = None,
    ) -> None:
        """Take the type and either an initial value or a getter."""
        super().__init__(
            readonly=readonly, observable=observable, description=description, title=title
        )
        self.model = model
        self.initial_value = initial_value
        self.getter = getter
        self._setter = setter
        self._store = OrderedStore()
        if getter is not None and setter is None:
            self.readonly = True

    def __set_name__(self, owner: type, name: str) -> None:
        if self._name not in (None, name) and name == getattr(self._setter, "__name__", None):
            # A setter of another name stays what it is: a method.
            setattr(owner, name, self._setter)
            return
        super().__set_name__(owner, name)

    def check(self, namespace: Mapping[str, Any]) -> None:
        """Refuse an initial value that is not valid itself."""
        super().check(namespace)
        try:
            if self.has_default:
                self.make_default()
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise AffordanceDefinitionError(
                f"{self.where}: the initial value {self.initial_value!r} breaks the property's own "
                f"type: {first['msg']}."
            ) from error

    @property
    def value_type(self) -> Any:
        """The type that was given."""
        return self.resolve(self.model)

    @property
    def quick(self) -> bool:
        """True for builtin types without a getter."""
        return self.getter is None and self.schema.is_plain

    @property
    def quick_to_write(self) -> bool:
        """True for builtin types without a getter or setter."""
        return self.quick and self._setter is None

    @property
    def has_default(self) -> bool:
        """Whether it is kept by the Thing and an initial value was given."""
        return self.getter is None and self.initial_value is not None

    def make_default(self) -> Any:
        """Return a copy of the initial value, of the property's own type."""
        return self.schema.validate(copy.deepcopy(self.initial_value))

    @property
    def is_resettable(self) -> bool:
        """Whether clients can ask for the initial value back: whenever they can write."""
        return self.has_default and not self.readonly

    def reset(self, thing: Any) -> None:
        """Give the property its initial value back."""
        if not self.has_default:
            super().reset(thing)
        with self.guard(thing):
            self.set_valid(thing, self.make_default())

    def doc(self) -> str | None:
        """The getter's docstring, or the string after the attribute."""
        return function_doc(self.getter) if self.getter is not None else super().doc()

    def setter(self, func: Callable[[Any, Any], None]) -> PropertyDescriptor:
        """Make the property writable; a decorator, for a method of the same or another name."""
        self._setter = func
        self.readonly = False
        return self

    def __get__(self, obj: Any, owner: type | None = None) -> Any:
        return self if obj is None else self.get(obj)

    def __set__(self, obj: Any, value: Any) -> None:
        self.set(obj, value)

    def get(self, thing: Any) -> Any:
        """Return the value now."""
        if self.getter is not None:
            return self.getter(thing)
        if self.name not in thing.__dict__:
            thing.__dict__.setdefault(self.name, self.make_default() if self.has_default else None)
        return thing.__dict__[self.name]

    def set_valid(self, thing: Any, value: Any) -> None:
        """Set a value that has been checked, and tell observers if they may know."""
        if self._setter is not None:
            self._setter(thing, value)
            if self.is_observable:
                self.publish_reading(thing)
        elif self.getter is not None:
            raise self.read_only_error(thing)
        else:
            message = self.message(thing, value) if self.is_observable else None
            self._store.store(thing, self.name, value, message)
