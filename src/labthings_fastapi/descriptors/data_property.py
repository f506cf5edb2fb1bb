"""A property that is a value kept by the Thing."""

from __future__ import annotations

import copy
import inspect
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from labthings_fastapi.actions.context import touch
from labthings_fastapi.exceptions import (
    AffordanceDefinitionError,
    DeclarationTypeError,
    MissingDefaultError,
    MissingTypeError,
    OverspecifiedDefaultError,
    UnserialisableTypeError,
    describe_exception,
)

from .property import BaseProperty
from .property_messages import OrderedStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

V = TypeVar("V")


class _Missing:
    """Stands where no default was given: None is a value like any other."""

    def __repr__(self) -> str:
        return "<no default>"


MISSING: Any = _Missing()


def default_factory_from_arguments(
    default: Any = MISSING, default_factory: Callable[[], Any] | None = None
) -> Callable[[], Any]:
    """Return a function that makes the default value, from one of both arguments.

    Raises:
        MissingDefaultError, OverspecifiedDefaultError: there is none, or there are both.
    """
    if default is MISSING and default_factory is None:
        raise MissingDefaultError("A default is needed: give `default` or `default_factory`.")
    if default is not MISSING and default_factory is not None:
        raise OverspecifiedDefaultError("Give `default` or `default_factory`, and not both.")
    if default_factory is not None:
        return default_factory
    return lambda: copy.deepcopy(default)


class DataProperty(BaseProperty[V]):
    """A typed attribute that clients can read, write and observe.

    Setting it checks the value, stores it and publishes it, in one order for all threads.
    Reading it takes no lock.
    """

    def __init__(
        self,
        default: Any = MISSING,
        *,
        default_factory: Callable[[], Any] | None = None,
        **options: Any,
    ) -> None:
        """Take either a default value or a function that makes one for each Thing."""
        super().__init__(**options)
        self._default = default
        self._factory = default_factory
        self._store = OrderedStore()

    def check(self, namespace: Mapping[str, Any]) -> None:
        """Refuse a missing hint, both or no default, and a factory that fails."""
        super().check(namespace)
        if (self._default is MISSING) == (self._factory is None):
            found = "neither" if self._factory is None else "both"
            wrong = MissingDefaultError if self._factory is None else OverspecifiedDefaultError
            raise wrong(
                f"{self.where}: a data property needs either `default` or `default_factory`, "
                f"and this one has {found}."
            )
        try:
            if self._factory is not None:
                self._factory()
        except Exception as error:
            raise DeclarationTypeError(
                f"{self.where}: the `default_factory` failed: {describe_exception(error)}"
            ) from error
        try:
            self.schema.compile()
        except UnserialisableTypeError:
            pass  # a class that no server is made of; otherwise `check_types` raises it again
        except MissingTypeError:
            if self.written_hint() is inspect.Parameter.empty:
                raise

    def remarks(self) -> Iterator[str]:
        """Yield a default that the property's own type or constraints do not allow."""
        yield from self.misfit(self._raw_default())

    @property
    def value_type(self) -> Any:
        """The type hint of the attribute."""
        return self.hint()

    @property
    def is_observable(self) -> bool:
        """True unless declared with `observable=False`; of arrays, only with `observable=True`.

        Each change is sent to all followers as JSON, which is long for an image.
        """
        if self.observable is None:
            return not self._has_arrays
        return bool(self.observable)

    @cached_property
    def _has_arrays(self) -> bool:
        try:
            return self.schema.has_arrays
        except AffordanceDefinitionError:
            return False

    @property
    def has_default(self) -> bool:
        """Always true: a data property starts with its default."""
        return True

    @property
    def default(self) -> V:
        """A fresh default value; it may be set, for example in a subclass."""
        return self.make_default()

    @default.setter
    def default(self, value: V) -> None:
        self._default, self._factory = value, None

    @cached_property
    def default_fits(self) -> bool:
        """Whether the default is one that the type and the constraints allow."""
        try:
            self.schema.compile()
        except AffordanceDefinitionError:
            return False
        return not any(self.misfit(self._raw_default()))

    def _raw_default(self) -> Any:
        return self._factory() if self._factory is not None else self._default

    def make_default(self) -> V:
        """Return a fresh default, which no other code has, of the property's own type if it fits.

        Older code has defaults that do not, such as None for an `int` that is set later.
        """
        value = self._raw_default()
        if not self.default_fits:
            unchecked: V = value if self._factory is not None else copy.deepcopy(value)
            return unchecked
        if self._factory is not None or self.schema.immutable:
            return self.schema.validate(value)
        return self.schema.validate(copy.deepcopy(value))

    @property
    def quick(self) -> bool:
        """True for builtin types: no code of a user's model runs."""
        return self.default_fits and self.schema.is_plain

    @property
    def quick_to_write(self) -> bool:
        """True for builtin types, also where the default must be replaced before it is read."""
        return self.schema.is_plain

    @property
    def holds_value(self) -> bool:
        """Always true: it has no setter."""
        return True

    @property
    def is_resettable(self) -> bool:
        """Whether clients can reset it: if they can write it, and the default is valid."""
        return not self.readonly and self.default_fits

    def reset(self, thing: Any) -> None:
        """Give the property a fresh default; one that does not fit is not published."""
        with self.guard(thing):
            touch(thing)
            default = self.make_default()
            if self.default_fits:
                self.set_valid(thing, default)
            else:
                thing.__dict__[self.name] = default

    def prepare(self, thing: Any) -> None:
        """Make the default now: a `default_factory` is user code."""
        self.get(thing)

    @overload
    def __get__(self, obj: None, owner: type | None = None) -> Self: ...

    @overload
    def __get__(self, obj: object, owner: type | None = None) -> V: ...

    def __get__(self, obj: object, owner: type | None = None) -> Self | V:
        return self.seen_from(owner) if obj is None else self.get(obj)

    def __set__(self, obj: Any, value: V) -> None:
        self.set(obj, value)

    def get(self, thing: Any) -> V:
        """Return the value now."""
        attributes: dict[str, V] = thing.__dict__
        try:
            # This class has `__set__`, so Python asks us before it looks here: the entry is ours.
            return attributes[self.name]
        except KeyError:
            return attributes.setdefault(self.name, self.make_default())

    def set_valid(self, thing: Any, value: V) -> None:
        """Store a value that has been checked, and publish it."""
        interface = thing._thing_server_interface
        message = self.message(interface.name, value) if self.is_observable else None
        self._store.store(thing.__dict__, self.name, value, message, interface.broker)
