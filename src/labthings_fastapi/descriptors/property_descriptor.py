"""A property of older code, whose type is an argument and not a hint."""

from __future__ import annotations

import copy
from functools import cached_property
from typing import TYPE_CHECKING, Any

from labthings_fastapi.actions.turns import TURN, Turn

from .base import function_doc
from .functions import Accessor, check_function, require_method
from .property import BaseProperty
from .property_messages import OrderedStore
from .write_report import call_setter, read_back

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class PropertyDescriptor(BaseProperty[Any]):
    """A property of type `model`: kept by the Thing, or computed by a getter.

    Constraints are part of the type, as in `Annotated[int, Field(gt=0)]`. Without an initial value
    the property is None until it is set. Any thread may use it; getter and setter run in the
    thread that reads or writes.
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
        """Set the type, and either an initial value or a getter."""
        super().__init__(
            readonly=readonly, observable=observable, description=description, title=title
        )
        self._hint = model
        self.initial_value = initial_value
        # A subclass may have them as methods, which get the Thing as an argument.
        self.getter = getattr(self, "_getter", None) if getter is None else getter
        self.fset = getattr(self, "_setter", None) if setter is None else setter
        self._store = OrderedStore()
        if self.getter is not None and self.fset is None:
            self.readonly = True

    def __set_name__(self, owner: type, name: str) -> None:
        if self._name not in (None, name) and name == getattr(self.fset, "__name__", None):
            # A setter with another name remains a method.
            setattr(owner, name, self.fset)
            return
        super().__set_name__(owner, name)

    def check(self, namespace: Mapping[str, Any]) -> None:
        """Raise `AffordanceDefinitionError` if the getter or the setter cannot be called."""
        super().check(namespace)
        if self.getter is not None:
            check_function(self.getter, self.where, "getter")
        if self.fset is not None:
            check_function(self.fset, self.where, "setter", values=1)

    def functions(self) -> tuple[Callable[..., Any], ...]:
        """The getter and the setter, where there are any."""
        return tuple(each for each in (self.getter, self.fset) if each is not None)

    def remarks(self) -> Iterator[str]:
        """Yield an initial value that the property's own type does not allow."""
        if self.has_default:
            yield from self.misfit(self.initial_value)

    @cached_property
    def default_fits(self) -> bool:
        """True if there is an initial value that the type allows."""
        return self.has_default and not any(self.misfit(self.initial_value))

    @property
    def value_type(self) -> Any:
        """The type of the value, which is None until it is set if there is no initial value."""
        model = self.resolve(self._hint)
        return model if self.getter is not None or self.initial_value is not None else model | None

    @property
    def quick(self) -> bool:
        """True for builtin types without a getter."""
        return self.getter is None and self.schema.is_plain

    @property
    def quick_to_write(self) -> bool:
        """True for builtin types without a getter or setter."""
        return self.quick and self.fset is None

    @property
    def holds_value(self) -> bool:
        """True without a getter or setter."""
        return self.getter is None and self.fset is None

    @property
    def has_default(self) -> bool:
        """True with an initial value and without a getter."""
        return self.getter is None and self.initial_value is not None

    def make_default(self) -> Any:
        """Return a copy of the initial value, converted to the property's type if it fits."""
        value = copy.deepcopy(self.initial_value)
        return self.schema.validate(value) if self.default_fits else value

    @property
    def is_resettable(self) -> bool:
        """True if there is an initial value and clients can write."""
        return self.default_fits and not self.readonly

    def reset(self, thing: Any) -> None:
        """Set the initial value."""
        if not self.has_default:
            super().reset(thing)
        with self.guard(thing):
            self.set_valid(thing, self.make_default())

    def doc(self) -> str | None:
        """Return the getter's docstring, or the string after the attribute."""
        return function_doc(self.getter) if self.getter is not None else super().doc()

    def setter(self, func: Callable[[Any, Any], None]) -> PropertyDescriptor:
        """Decorate the method that sets the value; its name may differ from the getter's."""
        require_method(func, "a setter")
        if self._owner is not None:  # the body of a subclass
            copied: Any = Accessor(self, "fset", func)
            if func.__name__ == self._name:
                copied = self.for_subclass()
                copied.readonly, copied.fset = False, func
            made: PropertyDescriptor = copied
            return made
        self.fset = func
        self.readonly = False
        return self

    def __get__(self, obj: Any, owner: type | None = None) -> Any:
        return self.seen_from(owner) if obj is None else self.get(obj)

    def __set__(self, obj: Any, value: Any) -> None:
        self.set(obj, value)

    def get(self, thing: Any) -> Any:
        """Return the present value."""
        if self.getter is not None:
            turn: Turn | None = thing.__dict__.get(TURN)
            if turn is None:
                return self.getter(thing)
            return turn.read(f"a reading of {self.name!r}", self.getter, thing)
        if self.name not in thing.__dict__:
            thing.__dict__.setdefault(self.name, self.make_default() if self.has_default else None)
        return thing.__dict__[self.name]

    def set_valid(self, thing: Any, value: Any) -> None:
        """Set a value that has been checked, and publish it if the property is observable."""
        if self.fset is not None:
            call_setter(self.fset, thing, value)
            if self.is_observable:
                read_back(thing, self.name, self.publish_reading)
        elif self.getter is not None:
            raise self.read_only_error(thing)
        else:
            interface = thing._thing_server_interface
            message = self.message(interface.name, value) if self.observable else None
            self._store.store(thing.__dict__, self.name, value, message, interface.broker)
