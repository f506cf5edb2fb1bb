"""Check all declarations of a class at once: when it is made, and when a server is made of it."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Any

from labthings_fastapi.exceptions import (
    AffordanceDefinitionError,
    DeclarationTypeError,
    describe_exception,
)
from labthings_fastapi.thing_description.paths import RESERVED_AFFORDANCES

from .base import BaseDescriptor, descriptors_of
from .functional_property import FunctionalProperty
from .functions import wrapped_descriptor
from .slot import ThingSlot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_TO_BE_OVERRIDDEN = frozenset({"thing_state"})
_USED_BY_SERVER = frozenset({"property_descriptors", "action_descriptors", "event_descriptors"})


def check_declarations(cls: type, thing: type, namespace: Mapping[str, Any]) -> tuple[str, ...]:
    """Check every affordance of a new class, and return what is allowed but probably wrong.

    `thing` is the base class of all Things. `namespace` holds the names around the class.

    Raises:
        AffordanceDefinitionError: with every mistake of the class.
    """
    affordances = dict(descriptors_of(cls))
    mistakes: list[AffordanceDefinitionError] = []
    for name, descriptor in affordances.items():
        # Those of a Thing above are checked, those of another base class are not.
        if not descriptor.checked:
            _collect(mistakes, partial(descriptor.check, namespace))
        if _is_reserved(name, descriptor, thing):
            mistakes.append(
                DeclarationTypeError(
                    f"{cls.__name__}.{name}: the name {name!r} is used by the server itself. "
                    f"Give this {descriptor.kind} another name."
                )
            )
    remarks = [*_shadows(cls, thing, affordances), *_lost(cls, thing)]
    for text, can_work in _wrapped(cls, thing):
        if can_work:
            remarks.append(text)
        else:
            mistakes.append(DeclarationTypeError(text))
    raise_together(mistakes)
    for name, descriptor in affordances.items():
        if name in vars(cls) or not hasattr(descriptor.owner, "_affordances"):
            remarks += descriptor.remarks()
    return tuple(remarks)


def mistakes_for_server(cls: Any) -> list[AffordanceDefinitionError]:
    """Return every reason why no server can be made of a class of Thing.

    Types are looked at now and not before, because a type hint may name a class that is defined
    later, and because a class with a type of its own is usable without a server.
    """
    mistakes: list[AffordanceDefinitionError] = []
    for descriptor in cls._affordances.values():
        if descriptor.checked or _collect(mistakes, partial(descriptor.check, {})):
            _collect(mistakes, partial(_check_types, descriptor))
        _collect(mistakes, partial(_check_on_cancel, cls, descriptor))
    missing = sorted(getattr(cls, "__abstractmethods__", ()))
    if missing:
        mistakes.append(
            DeclarationTypeError(
                f"{cls.__name__} is abstract: it does not declare {', '.join(missing)}. "
                "Declare what is missing, or serve a subclass that does."
            )
        )
    return mistakes


def remarks_for_server(cls: Any) -> list[str]:
    """Return what is allowed in a class and its bases, and is probably a mistake."""
    found = [text for base in cls.__mro__ for text in vars(base).get("_remarks", ())]
    found += [
        f"{descriptor.where}: the getter has no return type hint, so clients are not told what to "
        f"expect. Write `def {descriptor.name}(self) -> <type>:`."
        for descriptor in cls._affordances.values()
        if isinstance(descriptor, FunctionalProperty) and not descriptor.is_typed
    ]
    return found


def _check_types(descriptor: BaseDescriptor) -> None:
    try:
        descriptor.check_types()
    except AffordanceDefinitionError as error:
        if descriptor.where in str(error):
            raise
        raise type(error)(f"{descriptor.where}: {error}") from error
    except Exception as error:  # the schema of a type may be user code
        raise DeclarationTypeError(
            f"{descriptor.where}: it cannot be described: {describe_exception(error)}"
        ) from error


def _check_on_cancel(cls: type, descriptor: BaseDescriptor) -> None:
    name = getattr(descriptor, "on_cancel", None)
    if name is not None and not callable(getattr(cls, name, None)):
        raise DeclarationTypeError(
            f"{cls.__name__}.{descriptor.name}: on_cancel={name!r} is no method of the class, so "
            "nothing would be done after a cancel. Write the name of a method without parameters."
        )


def _collect(mistakes: list[AffordanceDefinitionError], check: Callable[[], None]) -> bool:
    """Return whether a check has passed; otherwise its mistake is in the list."""
    try:
        check()
    except AffordanceDefinitionError as error:
        mistakes.append(error)
        return False
    return True


def raise_together(mistakes: Sequence[AffordanceDefinitionError]) -> None:
    """Raise one error with the texts of all these, if there are any."""
    if not mistakes:
        return
    if len(mistakes) == 1:
        raise mistakes[0]
    kinds = {type(mistake) for mistake in mistakes}
    kind = kinds.pop() if len(kinds) == 1 else AffordanceDefinitionError
    raise kind("\n".join(str(mistake) for mistake in mistakes)) from mistakes[0]


def _is_reserved(name: str, descriptor: BaseDescriptor, thing: type) -> bool:
    if name in RESERVED_AFFORDANCES - {"events"}:
        return not isinstance(descriptor, ThingSlot)
    return name in _USED_BY_SERVER or (name in vars(thing) and name.startswith("_"))


def _shadows(cls: type, thing: type, affordances: Mapping[str, BaseDescriptor]) -> Iterator[str]:
    """Name the affordances, new in this class, that hide a member of every Thing."""
    known = {name for base in cls.__mro__[1:] for name in getattr(base, "_affordances", ())}
    members = {*vars(thing), *inspect.get_annotations(thing)}  # `title` has no value
    for name, descriptor in affordances.items():
        if name in members and name not in known | _TO_BE_OVERRIDDEN:
            yield (
                f"{cls.__name__}.{name}: this {descriptor.kind} hides `Thing.{name}`. Clients can "
                f"use it, and the server does without the other one; `self.{name}` in your code is "
                f"this {descriptor.kind}. Rename it if that is not what you want."
            )


def _lost(cls: type, thing: type) -> Iterator[str]:
    """Name the affordances of base classes that this class hides by something undeclared."""
    known = {
        (name, id(winner))
        for base in cls.__mro__[1:]
        if issubclass(base, thing)
        for name, winner, _ in _hidden(base)
    }
    for name, winner, hidden in _hidden(cls):
        if (name, id(winner)) in known or wrapped_descriptor(vars(winner)[name]) is not None:
            continue
        on_purpose = ""
        if hidden.kind in ("action", "endpoint"):
            if vars(winner)[name] is None:
                continue
            on_purpose = f", or write `{name} = None` to remove it on purpose"
        yield (
            f"{winner.__name__}.{name} hides {hidden.kind} {hidden.where}, and is not declared "
            f"itself: clients of {cls.__name__} cannot use it. Declare it with "
            f"{hidden.declared_by}{on_purpose}."
        )


def _hidden(cls: type) -> Iterator[tuple[str, type, BaseDescriptor]]:
    """Yield name, the class whose attribute wins, and the affordance that it hides."""
    winners: dict[str, type] = {}
    for base in cls.__mro__:
        for name, value in vars(base).items():
            winner = winners.setdefault(name, base)
            if isinstance(value, BaseDescriptor) and not isinstance(
                vars(winner)[name], BaseDescriptor
            ):
                yield name, winner, value


def _wrapped(cls: type, thing: type) -> Iterator[tuple[str, bool]]:
    """Yield the text about an affordance in another decorator, and whether Python can use it."""
    for base in cls.__mro__:
        if base is not cls and issubclass(base, thing):
            continue  # it was checked when it was made
        for name, value in vars(base).items():
            found = wrapped_descriptor(value)
            if found is not None:
                inner, can_work = found
                yield (
                    f"{base.__name__}.{name}: the {inner.kind} is inside another decorator, so "
                    f"clients cannot use it. Put {inner.declared_by} above all other decorators.",
                    can_work,
                )
