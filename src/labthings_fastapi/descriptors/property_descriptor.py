"""The older way to declare a property: the type is an argument, not a hint."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from .base import function_doc
from .property import BaseProperty

if TYPE_CHECKING:
    from collections.abc import Callable


class PropertyDescriptor(BaseProperty[Any]):
    """A property of type `model`: kept by the Thing, or computed by a getter."""

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
        if getter is not None and setter is None:
            self.readonly = True

    @property
    def value_type(self) -> Any:
        """The type that was given."""
        return self.resolve(self.model)

    @property
    def quick(self) -> bool:
        """True for builtin types without a getter or setter."""
        return self.getter is None and self._setter is None and self.schema.is_plain

    def doc(self) -> str | None:
        """The getter's docstring, or the string after the attribute."""
        return function_doc(self.getter) if self.getter is not None else super().doc()

    def setter(self, func: Callable[[Any, Any], None]) -> PropertyDescriptor:
        """Make the property writable; a decorator."""
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
            thing.__dict__.setdefault(self.name, copy.deepcopy(self.initial_value))
        return thing.__dict__[self.name]

    def set_valid(self, thing: Any, value: Any) -> None:
        """Set a value that has been checked, and tell observers if they may know."""
        if self._setter is not None:
            self._setter(thing, value)
        elif self.getter is not None:
            raise self.read_only_error(thing)
        else:
            thing.__dict__[self.name] = value
        if self.observable:
            self.publish(thing, self.get(thing))
