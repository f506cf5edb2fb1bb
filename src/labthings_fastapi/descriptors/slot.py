"""Declare that a Thing needs another Thing, which the server will find for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType, NoneType, UnionType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Union, get_args, get_origin

from labthings_fastapi.exceptions import (
    AffordanceDefinitionError,
    ThingNotConnectedError,
    ThingSlotError,
)

from .base import BaseDescriptor

if TYPE_CHECKING:
    from typing import Self

V = TypeVar("V")


class _Unset:
    """Stands where nobody has chosen a Thing by name."""

    def __repr__(self) -> str:
        return "<not set>"


UNSET: Any = _Unset()


class ThingSlot(BaseDescriptor, Generic[V]):
    """A place for another Thing of the server: one, perhaps one (`| None`), or a `Mapping`.

    Filled when the server is built, before any `__enter__`; read-only afterwards.
    """

    kind = "slot"

    def __init__(self, default: str | Iterable[str] | None = UNSET) -> None:
        """Connect to the Thing or Things of that name unless the configuration says otherwise."""
        super().__init__()
        self.default: Any = default

    def check(self, namespace: Mapping[str, Any]) -> None:
        """Refuse a slot without a type hint."""
        super().check(namespace)
        self.hint_text()

    def hint_text(self) -> Any:
        """Return the hint as it is written: it may name a class that is defined later."""
        annotations = vars(self.owner).get("__annotations__", {})
        if self.name not in annotations:
            raise AffordanceDefinitionError(
                f"{self.where}: this slot has no type hint. Write `{self.name}: OtherThing = "
                "lt.thing_slot()`, so that the server knows what belongs there."
            )
        return annotations[self.name]

    def wanted(self) -> tuple[tuple[type, ...], bool, bool]:
        """Return the classes that fit, whether the slot may stay empty, and whether it is many."""
        hint = self.hint()
        if get_origin(hint) is not None and _is_mapping(get_origin(hint)):
            inner = get_args(hint)[1]
            return self._classes(inner), True, True
        classes = self._classes(hint)
        optional = get_origin(hint) in (Union, UnionType) and NoneType in get_args(hint)
        return classes, optional, False

    def _classes(self, hint: Any) -> tuple[type, ...]:
        hint = self.resolve(hint)
        options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        classes = tuple(self.resolve(option) for option in options if option is not NoneType)
        if not all(isinstance(option, type) for option in classes):
            raise AffordanceDefinitionError(
                f"{self.where}: {hint!r} is not a class of Thing; a slot's type hint is a class, "
                "`Class | None`, or `Mapping[str, Class]`."
            )
        return classes

    def __get__(self, obj: Any, owner: type | None = None) -> Self | V:
        if obj is None:
            return self
        try:
            found: V = obj.__dict__[self._name]
        except KeyError:
            raise ThingNotConnectedError(
                obj.name,
                self.name,
                "this slot is not connected yet. Slots are filled when a server is built: "
                "use them in `__enter__` or later, not in `__init__`.",
            ) from None
        return found

    def __set__(self, obj: Any, value: Any) -> None:
        raise AttributeError(
            f"{obj.name}.{self.name} is a slot: the server fills it. "
            "Choose the Thing by `thing_slots` in the configuration."
        )

    def fill(self, host: Any, things: Mapping[str, Any], chosen: Any = UNSET) -> None:
        """Connect `host` to the Things named by `chosen`, else by the default, else by class.

        Raises:
            ThingSlotError: a name is unknown, of the wrong class, missing or ambiguous.
        """
        names = self.default if chosen is UNSET else chosen
        classes, optional, many = self.wanted()
        if many:
            host.__dict__[self.name] = self._many(host, things, classes, names)
        else:
            host.__dict__[self.name] = self._one(host, things, classes, names, optional)

    def connect(self, host: Any, value: Any) -> None:
        """Put a value in the slot as it is; for tests."""
        host.__dict__[self.name] = value

    def targets(self, host: Any) -> list[Any]:
        """Return the Things in this slot."""
        value = host.__dict__.get(self.name)
        if value is None:
            return []
        return list(value.values()) if isinstance(value, Mapping) else [value]

    def _one(
        self,
        host: Any,
        things: Mapping[str, Any],
        classes: tuple[type, ...],
        name: Any,
        optional: bool,
    ) -> Any:
        expected = " or ".join(option.__name__ for option in classes)
        if name is None:
            if optional:
                return None
            raise self._error(host, f"it is set to None, but needs a {expected}.")
        if name is not UNSET:
            if not isinstance(name, str):
                raise self._error(host, f"it takes one name, not {name!r}.")
            return self._named(host, things, classes, name)
        found = _fitting(host, things, classes)
        if len(found) == 1:
            return next(iter(found.values()))
        if found:
            raise self._error(
                host,
                f"several Things could fill it: {', '.join(found)}. "
                "Choose one by name in `thing_slots`.",
            )
        if optional:
            return None
        raise self._error(host, f"it needs a {expected}, and the server has none.")

    def _many(
        self, host: Any, things: Mapping[str, Any], classes: tuple[type, ...], names: Any
    ) -> Mapping[str, Any]:
        if names is UNSET:
            return MappingProxyType(_fitting(host, things, classes))
        wanted = [] if names is None else [names] if isinstance(names, str) else list(names)
        return MappingProxyType({name: self._named(host, things, classes, name) for name in wanted})

    def _named(
        self, host: Any, things: Mapping[str, Any], classes: tuple[type, ...], name: str
    ) -> Any:
        if name not in things:
            known = ", ".join(things) or "none"
            raise self._error(host, f"there is no Thing called {name!r}; there are: {known}.")
        found = things[name]
        if not isinstance(found, classes):
            expected = " or ".join(option.__name__ for option in classes)
            raise self._error(
                host, f"{name!r} is a {type(found).__name__}, but the slot needs a {expected}."
            )
        return found

    def _error(self, host: Any, reason: str) -> ThingSlotError:
        return ThingSlotError(host.name, self.name, reason)


def _is_mapping(origin: Any) -> bool:
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _fitting(host: Any, things: Mapping[str, Any], classes: tuple[type, ...]) -> dict[str, Any]:
    return {
        name: thing
        for name, thing in things.items()
        if thing is not host and isinstance(thing, classes)
    }
