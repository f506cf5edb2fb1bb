"""A property that is computed, or fetched from the hardware, by a method."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

from labthings_fastapi.actions.context import touch
from labthings_fastapi.actions.turns import TURN, Turn, run_code
from labthings_fastapi.exceptions import (
    DeclarationTypeError,
    FeatureNotAvailableError,
    MissingTypeError,
    PropertyRedefinitionError,
    UnserialisableTypeError,
)
from labthings_fastapi.schemas.signature import resolved_hints

from .base import function_doc
from .data_property import MISSING
from .functions import Accessor, check_function, require_method
from .property import BaseProperty
from .write_report import call_setter, read_back

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

V = TypeVar("V")
OwnerT = TypeVar("OwnerT")


class FunctionalProperty(BaseProperty[V], Generic[OwnerT, V]):
    """A property with a getter, and optionally a setter and a resetter.

    Its functions run in the thread that reads or writes; bindings use worker threads. As those of
    Python's own `property` they are `fget` and `fset`, and `freset`.
    """

    def __init__(self, getter: Callable[[OwnerT], V], **options: Any) -> None:
        """Wrap a getter; its return hint is the type of the property."""
        require_method(getter, "a property")
        self._readonly = False
        self._constraints: Mapping[str, Any] = {}
        self.fset: Callable[[Any, V], None] | None = None
        super().__init__(**options)
        self.fget = getter
        self.freset: Callable[[Any], None] | None = None
        self._default: Any = MISSING
        self._factory: Callable[[], Any] | None = None
        self.__doc__ = getter.__doc__

    def functions(self) -> tuple[Callable[..., Any], ...]:
        """The getter and, where there are any, the setter and the resetter."""
        return tuple(each for each in (self.fget, self.fset, self.freset) if each is not None)

    def doc(self) -> str | None:
        """The getter's docstring."""
        return function_doc(self.fget)

    def getter(self, func: Callable[[Any], V]) -> Self:
        """Replace the getter; a decorator like `setter`."""
        return self._with("fget", func)

    def setter(self, func: Callable[[Any, V], None]) -> Self:
        """Make the property writable; a decorator, for a method of the same or another name.

        In a subclass, as in `@Base.x.setter`, it makes a new property of the subclass.
        """
        return self._with("fset", func)

    def resetter(self, func: Callable[[Any], None]) -> Self:
        """Declare how the property is reset to its default; a decorator like `setter`.

        Raises:
            PropertyRedefinitionError: the method has the name of the property.
        """
        if getattr(func, "__name__", None) == self.own_name:
            raise PropertyRedefinitionError(
                f"The resetter of property {self.own_name!r} has the name of the property. Give "
                f"it another, such as `def reset_{self.own_name}(self)`."
            )
        return self._with("freset", func)

    @property
    def own_name(self) -> str | None:
        """The name of the property, also before the class is made."""
        return self._name or getattr(self.fget, "__name__", None)

    def _with(self, attribute: str, func: Any) -> Self:
        require_method(func, "the setter or getter of a property")
        own_name = getattr(func, "__name__", None) == self.own_name
        # Type checkers see `Self` in every case, so that the property keeps its type.
        found: Any = self
        if self._owner is not None:  # the body of a subclass
            found = self.for_subclass() if own_name else Accessor(self, attribute, func)
        if not isinstance(found, Accessor):
            setattr(found, attribute, func)
            found = found if own_name else func
        copied: Self = found
        return copied

    def check(self, namespace: Mapping[str, Any]) -> None:
        """Refuse functions that cannot be called, constraints that do not fit, and the like."""
        super().check(namespace)
        check_function(self.fget, self.where, "getter")
        if self.fset is not None:
            check_function(self.fset, self.where, "setter", values=1)
        if self.freset is not None:
            check_function(self.freset, self.where, "resetter")
        try:
            if self.constraints:
                self.schema.compile()
        except (MissingTypeError, UnserialisableTypeError):
            pass  # a class that no server is made of; otherwise `check_types` raises it again
        interval = self.poll_interval
        if interval is not None and not 0 < interval < math.inf:
            raise DeclarationTypeError(
                f"{self.where}: observable={self.observable!r} is not valid. Use a positive "
                "number of seconds between two readings, True or False."
            )

    def remarks(self) -> Iterator[str]:
        """Yield a default that the property's own type or constraints do not allow."""
        if self.has_default:
            yield from self.misfit(self._raw_default())

    @property
    def readonly(self) -> bool:
        """Whether clients may not write it: it is declared so, or it has no setter."""
        return self._readonly or self.fset is None

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
    def is_typed(self) -> bool:
        """Whether the getter has a return type hint."""
        return "return" in getattr(self.fget, "__annotations__", {})

    @property
    def value_type(self) -> Any:
        """The return hint of the getter; without one, values may be anything."""
        if not self.is_typed:
            return Any
        return resolved_hints(self.fget, self.scope)["return"]

    @property
    def default(self) -> V:
        """The value that a reset sets; the body of the class may assign it.

        Raises:
            FeatureNotAvailableError: there is none.
        """
        if not self.has_default:
            raise FeatureNotAvailableError(
                f"{self.where} has no default value: assign one in the body of the class, as in "
                f"`{self.name}.default = …`."
            )
        return self.make_default()

    @default.setter
    def default(self, value: V) -> None:
        self._default, self._factory = value, None

    @property
    def default_factory(self) -> Callable[[], V] | None:
        """A function that makes the default, or None; the body of the class may assign it."""
        return self.make_default if self.has_default else None

    @default_factory.setter
    def default_factory(self, value: Callable[[], V] | None) -> None:
        self._default, self._factory = MISSING, value

    @property
    def has_default(self) -> bool:
        """Whether a default was assigned in the class."""
        return self._default is not MISSING or self._factory is not None

    @property
    def default_fits(self) -> bool:
        """Whether there is a default that the type and the constraints allow."""
        return self.has_default and not any(self.misfit(self._raw_default()))

    def _raw_default(self) -> Any:
        return copy.deepcopy(self._default) if self._factory is None else self._factory()

    def make_default(self) -> V:
        """Return a fresh default, as it was assigned in the class."""
        return self.schema.validate(self._raw_default())

    @overload
    def __get__(self, obj: None, owner: type | None = None) -> Self: ...

    @overload
    def __get__(self, obj: OwnerT, owner: type | None = None) -> V: ...

    def __get__(self, obj: Any, owner: type | None = None) -> Self | V:
        if obj is None:
            return self.seen_from(owner)
        return self.get(obj)

    def __set__(self, obj: Any, value: V) -> None:
        if self.fset is None:
            raise self.read_only_error(obj)
        self.set(obj, value)

    def get(self, thing: Any) -> V:
        """Call the getter; in turn, if the Thing is exclusive."""
        turn: Turn | None = thing.__dict__.get(TURN)
        if turn is None:
            return self.fget(thing)
        return turn.read(f"a reading of {self.name!r}", self.fget, thing)

    def set_valid(self, thing: Any, value: V) -> None:
        """Call the setter with a value that has been checked, then publish it."""
        setter = self.fset
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
        return self.freset is not None or (self.default_fits and not self.readonly)

    def reset(self, thing: Any) -> None:
        """Call the resetter, or the setter with the default."""
        with self.guard(thing):
            touch(thing)
            resetter = self.freset
            if resetter is not None:
                self.change(thing, lambda: run_code(thing, resetter, thing))
            elif self.has_default and self.fset is not None:
                self.set_valid(thing, self.make_default())
            else:
                super().reset(thing)
