"""A property that is computed, or fetched from the hardware, by a method."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

from pydantic import ValidationError

from labthings_fastapi.actions.turns import TURN, Turn, run_code
from labthings_fastapi.exceptions import AffordanceDefinitionError
from labthings_fastapi.schemas.signature import resolved_hints

from .base import function_doc
from .data_property import MISSING
from .property import BaseProperty
from .write_report import call_setter, read_back

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

V = TypeVar("V")
OwnerT = TypeVar("OwnerT")


class FunctionalProperty(BaseProperty[V], Generic[OwnerT, V]):
    """A property with a getter, and optionally a setter and a resetter.

    Its functions run in the thread that reads or writes; bindings use worker threads.
    """

    def __init__(self, getter: Callable[[OwnerT], V], **options: Any) -> None:
        """Wrap a getter; its return hint is the type of the property."""
        self._readonly = False
        self._constraints: Mapping[str, Any] = {}
        self._setter: Callable[[Any, V], None] | None = None
        super().__init__(**options)
        self.getter = getter
        self._resetter: Callable[[Any], None] | None = None
        self.default: Any = MISSING
        self.__doc__ = getter.__doc__

    def doc(self) -> str | None:
        """The getter's docstring."""
        return function_doc(self.getter)

    def setter(self, func: Callable[[OwnerT, V], None]) -> Self:
        """Make the property writable; a decorator, for a method of the same or another name."""
        self._setter = func
        self.__dict__.pop("schema", None)
        found: Self = self._in_place_of(func)
        return found

    def resetter(self, func: Callable[[OwnerT], None]) -> Self:
        """Declare how the property is reset to its default; a decorator like `setter`."""
        self._resetter = func
        found: Self = self._in_place_of(func)
        return found

    def _in_place_of(self, func: Any) -> Any:
        """Return the property if the method has its name; otherwise the method."""
        # Type checkers see `Self` in both cases, so that the property keeps its type.
        return self if func.__name__ == self.getter.__name__ else func

    def check(self, namespace: Mapping[str, Any]) -> None:
        """Refuse a getter without a return type hint, and other mistakes of the declaration."""
        super().check(namespace)
        if "return" not in getattr(self.getter, "__annotations__", {}):
            raise AffordanceDefinitionError(
                f"{self.where}: the getter has no return type hint. Write "
                f"`def {self.getter.__name__}(self) -> <type>:`, so that values can be described."
            )
        if self.constraints:
            self.schema.compile()
        interval = self.poll_interval
        if interval is not None and not 0 < interval < math.inf:
            raise AffordanceDefinitionError(
                f"{self.where}: observable={self.observable!r} is not valid. Use a positive "
                "number of seconds between two readings, True or False."
            )
        if self.has_default:
            self._check_default()

    def _check_default(self) -> None:
        try:
            self.schema.validate(self.default)
        except ValidationError as error:
            raise self.invalid_default(error, self.default) from error

    @property
    def readonly(self) -> bool:
        """Whether clients may not write it: it is declared so, or it has no setter."""
        return self._readonly or self._setter is None

    @readonly.setter
    def readonly(self, value: bool) -> None:
        self._readonly = value
        self.__dict__.pop("schema", None)  # what clients may do decides how it is described

    @property
    def constraints(self) -> Mapping[str, Any]:
        """Constraints of the values beside their type; the body of the class may assign them."""
        return self._constraints

    @constraints.setter
    def constraints(self, value: Mapping[str, Any]) -> None:
        self._constraints = dict(value)
        self.__dict__.pop("schema", None)

    @property
    def value_type(self) -> Any:
        """The return hint of the getter."""
        return resolved_hints(self.getter, self.scope)["return"]

    @property
    def has_default(self) -> bool:
        """Whether `default` was assigned in the class."""
        return self.default is not MISSING

    def make_default(self) -> V:
        """Return a copy of the default that was assigned in the class."""
        return self.schema.validate(copy.deepcopy(self.default))

    @overload
    def __get__(self, obj: None, owner: type | None = None) -> Self: ...

    @overload
    def __get__(self, obj: OwnerT, owner: type | None = None) -> V: ...

    def __get__(self, obj: Any, owner: type | None = None) -> Self | V:
        if obj is None:
            return self
        return self.get(obj)

    def __set__(self, obj: Any, value: V) -> None:
        if self._setter is None:
            raise self.read_only_error(obj)
        self.set(obj, value)

    def get(self, thing: Any) -> V:
        """Call the getter; in turn, if the Thing is exclusive."""
        turn: Turn | None = thing.__dict__.get(TURN)
        if turn is None:
            return self.getter(thing)
        return turn.read(f"a reading of {self.name!r}", self.getter, thing)

    def set_valid(self, thing: Any, value: V) -> None:
        """Call the setter with a value that has been checked, then publish it."""
        setter = self._setter
        if setter is None:
            raise self.read_only_error(thing)
        self.change(thing, lambda: call_setter(setter, thing, value))

    def change(self, thing: Any, make_change: Callable[[], None]) -> None:
        """Call the code that changes the value, then publish the value."""
        make_change()
        self.publish_if_observed(thing)

    def publish_if_observed(self, thing: Any) -> None:
        """Read the value and publish it, if the property is observable.

        A getter that fails does not undo what was set: it is a warning.
        """
        if self.is_observable:
            read_back(thing, self.name, self.publish_reading)

    @property
    def poll_interval(self) -> float | None:
        """Seconds between two readings by the server; None: the server does not read it."""
        if isinstance(self.observable, bool) or self.observable is None:
            return None
        return float(self.observable)

    @property
    def is_resettable(self) -> bool:
        """Whether there is a resetter, or a default and a setter for it."""
        return self._resetter is not None or (self.has_default and not self.readonly)

    def reset(self, thing: Any) -> None:
        """Call the resetter, or the setter with the default."""
        with self.guard(thing):
            resetter = self._resetter
            if resetter is not None:
                self.change(thing, lambda: run_code(thing, resetter, thing))
            elif self.has_default and self._setter is not None:
                self.set_valid(thing, self.make_default())
            else:
                super().reset(thing)
