"""Declare that a Thing uses other Things, which the server connects."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from types import MappingProxyType, NoneType, UnionType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, Union, get_args, get_origin

from labthings_fastapi.exceptions import (
    DeclarationTypeError,
    ThingNotConnectedError,
    ThingSlotError,
)
from labthings_fastapi.thing_description.paths import name_of

from .base import BaseDescriptor

if TYPE_CHECKING:
    from typing import Self

V = TypeVar("V")


class _Unset:
    """The type of `UNSET`, which means that no name is set; None means that no Thing is wanted."""

    def __repr__(self) -> str:
        return "<not set>"


UNSET: Any = _Unset()


class WantedThings(NamedTuple):
    """The Things that fit a slot, from its type hint."""

    classes: tuple[type, ...]
    optional: bool
    """True if the slot may stay empty."""
    many: bool
    """True for a mapping."""

    @property
    def text(self) -> str:
        """The names of the classes, for error messages."""
        return " or ".join(option.__name__ for option in self.classes)


class ThingSlot(BaseDescriptor, Generic[V]):
    """An attribute for another Thing of the server: one, optional (`| None`), or a `Mapping`.

    The server fills it when it is built, before any `__enter__`. It is read-only afterwards, so
    any thread may read it.
    """

    kind = "slot"
    declared_by = "`lt.thing_slot`"

    def __init__(self, default: str | Iterable[str] | None = UNSET) -> None:
        """Set the name or names of the Things; the configuration may set others."""
        super().__init__()
        self.default: Any = default

    def check(self, namespace: Mapping[str, Any]) -> None:
        """Raise `AffordanceDefinitionError` if there is no type hint."""
        super().check(namespace)
        self.hint_text()

    def hint_text(self) -> Any:
        """Return the hint unresolved, because it may name a class that is defined later."""
        annotations = vars(self.owner).get("__annotations__", {})
        if self.name not in annotations:
            raise DeclarationTypeError(
                f"{self.where}: this slot has no type hint. Write `{self.name}: OtherThing = "
                "lt.thing_slot()`, so that the server can find a Thing that fits."
            )
        return annotations[self.name]

    def wanted(self) -> WantedThings:
        """Return which Things fit."""
        hint = self.hint()
        if _is_mapping(get_origin(hint)):
            return WantedThings(self._classes(get_args(hint)[1]), optional=True, many=True)
        optional = get_origin(hint) in (Union, UnionType) and NoneType in get_args(hint)
        return WantedThings(self._classes(hint), optional, many=False)

    def _classes(self, hint: Any) -> tuple[type, ...]:
        hint = self.resolve(hint)
        options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        classes = tuple(self.resolve(option) for option in options if option is not NoneType)
        if not all(isinstance(option, type) for option in classes):
            raise DeclarationTypeError(
                f"{self.where}: {hint!r} is not a class of Thing. The type hint of a slot is "
                "`Class`, `Class | None` or `Mapping[str, Class]`."
            )
        return classes

    def __get__(self, obj: Any, owner: type | None = None) -> Self | V:
        if obj is None:
            return self.seen_from(owner)
        try:
            value: V = _alive(obj.__dict__[self._name], obj, self.name)
        except KeyError:
            raise ThingNotConnectedError(
                name_of(obj),
                self.name,
                "this slot is not connected yet. A server fills slots after `__init__`: use them "
                "in `__enter__` or later. In a test, use `manually_connect_thing_slot`.",
            ) from None
        return value

    def __set__(self, obj: Any, value: Any) -> None:
        raise AttributeError(
            f"{name_of(obj)}.{self.name} is a slot and read-only: the server fills it. "
            "Set the name of the Thing with `thing_slots` in the configuration."
        )

    def fill(self, host: Any, things: Mapping[str, Any], chosen: Any = UNSET) -> None:
        """Connect `host` to the Things named by `chosen`, else by the default, else by class.

        Raises:
            ThingSlotError: a Thing is missing or of the wrong class, or several fit.
        """
        names = self.default if chosen is UNSET else chosen
        wanted = self.wanted()
        fill = self._many if wanted.many else self._one
        try:
            self.put(host, fill(host, things, wanted, names))
        except ThingSlotError as error:
            raise self._error(host, f"{error.reason} {_origin(self.default, chosen)}") from None

    def connect(self, host: Any, things: Mapping[str, Any], target: Any = UNSET) -> None:
        """Connect `host` to the Things named by `target`, as `fill` does."""
        self.fill(host, things, target)

    def put(self, host: Any, value: Any) -> None:
        """Put a Thing, a mapping of Things or None into the slot; each Thing is held weakly."""
        if isinstance(value, Mapping):
            held: Any = MappingProxyType({name: _weakly(each) for name, each in value.items()})
        else:
            held = _weakly(value)
        host.__dict__[self.name] = held

    def targets(self, host: Any) -> list[Any]:
        """Return the Things in this slot."""
        held = host.__dict__.get(self.name)
        value = None if held is None else _alive(held, host, self.name)
        if value is None:
            return []
        return list(value.values()) if isinstance(value, Mapping) else [value]

    @property
    def thing_type(self) -> tuple[type, ...]:
        """The classes of Things that fit."""
        return self.wanted().classes

    @property
    def is_optional(self) -> bool:
        """True if it may be None."""
        wanted = self.wanted()
        return wanted.optional and not wanted.many

    @property
    def is_mapping(self) -> bool:
        """True if it holds a mapping of names and Things."""
        return self.wanted().many

    def _one(self, host: Any, things: Mapping[str, Any], wanted: WantedThings, name: Any) -> Any:
        if name is None:
            if wanted.optional:
                return None
            raise self._error(host, f"it must be set: it needs a {wanted.text}, and not None.")
        if name is not UNSET:
            if not isinstance(name, str):
                raise self._error(host, f"{name!r} is not the name of a Thing: it takes one name.")
            return self._named(host, things, wanted, name)
        fitting = _fitting(host, things, wanted.classes)
        if len(fitting) == 1:
            return next(iter(fitting.values()))
        if fitting:
            raise self._error(
                host,
                f"multiple Things could fill it: {', '.join(fitting)}. "
                "Choose one by name in `thing_slots`.",
            )
        if wanted.optional:
            return None
        reason = f"no matching Thing: it needs a {wanted.text}, and the server has none."
        raise self._error(host, reason)

    def _many(
        self, host: Any, things: Mapping[str, Any], wanted: WantedThings, names: Any
    ) -> Mapping[str, Any]:
        if names is UNSET:
            return MappingProxyType(_fitting(host, things, wanted.classes))
        listed = [] if names is None else [names] if isinstance(names, str) else list(names)
        return MappingProxyType({name: self._named(host, things, wanted, name) for name in listed})

    def _named(self, host: Any, things: Mapping[str, Any], wanted: WantedThings, name: str) -> Any:
        if name not in things:
            known = ", ".join(things) or "none"
            raise self._error(host, f"{name!r} is not the name of a Thing; there are: {known}.")
        thing = things[name]
        if not isinstance(thing, wanted.classes):
            raise self._error(
                host,
                f"{name!r} is a {type(thing).__name__}, which is the wrong type: the slot needs a "
                f"{wanted.text}.",
            )
        return thing

    def _error(self, host: Any, reason: str) -> ThingSlotError:
        return ThingSlotError(host.name, self.name, reason)


def _origin(default: Any, chosen: Any) -> str:
    """Say where the target of a slot comes from."""
    if chosen is not UNSET:
        return f"The slot is configured to connect to {chosen!r}."
    if default is UNSET:
        return "The slot is not configured, and used the default: Things by type."
    return f"The slot is not configured, and used the default: {default!r}."


def _weakly(value: Any) -> Any:
    """Return a weak reference to a Thing; a stand-in of a test, or None, itself."""
    is_thing = hasattr(type(value), "_affordances")
    return weakref.ref(value) if is_thing else value


def _alive(held: Any, host: Any, slot: str) -> Any:
    """Return what is held.

    Raises:
        ReferenceError: a Thing no longer exists.
    """
    if isinstance(held, weakref.ref):
        thing = held()
        if thing is None:
            raise ReferenceError(
                f"{name_of(host)}.{slot}: the Thing in this slot no longer exists. Keep it, as a "
                "server keeps its Things."
            )
        return thing
    if isinstance(held, Mapping):
        return MappingProxyType({name: _alive(each, host, slot) for name, each in held.items()})
    return held


def _is_mapping(origin: Any) -> bool:
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _fitting(host: Any, things: Mapping[str, Any], classes: tuple[type, ...]) -> dict[str, Any]:
    return {
        name: thing
        for name, thing in things.items()
        if thing is not host and isinstance(thing, classes)
    }
