"""Find every error of a configuration at once, without making a Thing."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from labthings_fastapi.descriptors.declarations import mistakes_for_server
from labthings_fastapi.descriptors.slot import UNSET, ThingSlot
from labthings_fastapi.exceptions import (
    LabThingsError,
    ServerConfigurationError,
    ThingSlotError,
    describe_exception,
)
from labthings_fastapi.server.config_model import (
    NotAThingError,
    ThingConfig,
    ThingImportFailure,
    ThingServerConfig,
    configuration_error,
    schema_errors,
)
from labthings_fastapi.thing import Thing, slots_of

from .unknown_keys import mistakes_in_keys

INTERFACE = "thing_server_interface"
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def accepts_interface(signature: inspect.Signature) -> bool:
    return any(
        parameter.name == INTERFACE or parameter.kind is inspect.Parameter.VAR_KEYWORD
        for parameter in signature.parameters.values()
    )


def argument_error(cls: type[Thing], args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
    signature = inspect.signature(cls.__init__)
    visible = [p for p in signature.parameters.values() if p.name != INTERFACE]
    interface = {INTERFACE: None} if accepts_interface(signature) else {}
    try:
        # First without the interface, which users do not pass and should not read about.
        signature.replace(parameters=visible).bind(None, *args, **kwargs)
        signature.bind(None, *args, **{**kwargs, **interface})
    except TypeError as error:
        return _message(cls, signature, str(error))
    unexpected = next((name for name in kwargs if not _is_accepted(cls, name)), None)
    if unexpected is not None:
        return _message(cls, signature, f"got an unexpected keyword argument {unexpected!r}")
    return None


def _message(cls: type[Thing], signature: inspect.Signature, reason: str) -> str:
    parameters = [
        str(parameter.replace(annotation=inspect.Parameter.empty))
        for parameter in list(signature.parameters.values())[1:]
        if parameter.name != INTERFACE
    ]
    expected = ", ".join(parameters) or "none"
    return f"{cls.__name__}(): {reason}; parameters: {expected}"


def _is_accepted(cls: type[Thing], name: str) -> bool:
    """Follow a keyword through the `super().__init__(**kwargs)` of a class and its bases."""
    for init in [vars(base)["__init__"] for base in cls.__mro__[:-1] if "__init__" in vars(base)]:
        parameters = inspect.signature(init).parameters
        if name in parameters and parameters[name].kind in _NAMED:
            return True
        rest = [p for p in parameters.values() if p.kind is inspect.Parameter.VAR_KEYWORD]
        if not rest:
            return False
        if not _is_only_passed_on(init, rest[0].name):
            return True
    return False


def _is_only_passed_on(init: Callable[..., None], rest: str) -> bool:
    """Return whether `**rest` of an `__init__` is only used for `super().__init__(**rest)`."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(init)))
    except (OSError, TypeError, SyntaxError):  # made at run time, or without its source
        return False
    passed = [
        keyword.value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "super().__init__"
        for keyword in call.keywords
        if keyword.arg is None
    ]
    uses = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == rest]
    return bool(uses) and all(use in passed for use in uses)


def error_of_kinds(error: ServerConfigurationError, kinds: Iterable[type]) -> Exception:
    """Return an error with the same text that is also of these kinds, for `except` clauses."""
    return _error_class(frozenset(kinds) - {ServerConfigurationError})(str(error))


@lru_cache(maxsize=64)
def _error_class(kinds: frozenset[type]) -> type[ServerConfigurationError]:
    if not kinds:
        return ServerConfigurationError

    def init(self: LabThingsError, message: str) -> None:
        LabThingsError.__init__(self, message)

    def reduce(self: LabThingsError) -> Any:  # so that it can be pickled
        return _remade, (kinds, str(self))

    # A class before those that it derives from.
    bases = sorted(kinds, key=lambda kind: (-len(kind.__mro__), kind.__name__))
    members = {"__init__": init, "__reduce__": reduce, "__module__": __name__}
    return type("ServerConfigurationError", (ServerConfigurationError, *bases), members)


def _remade(kinds: frozenset[type], message: str) -> ServerConfigurationError:
    return _error_class(kinds)(message)


@dataclass
class _ReadableThings:
    """The part of `things` that can be checked although the schema is violated elsewhere."""

    known: dict[str, ThingConfig] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)  # the class could not be imported
    without_arguments: set[str] = field(default_factory=set)  # these violate the schema


def validated(document: Any) -> ThingServerConfig:
    """Return a configuration after checking that its Things can be made and connected.

    Raises:
        ServerConfigurationError: listing every error with its path, as `things.stage.kwargs`; also
            a ThingSlotError if one of them is about a slot, and an AffordanceDefinitionError of
            its kind if one is about a declaration in a class.
    """
    try:
        config = ThingServerConfig.model_validate(document)
    except ValidationError as error:
        keys = document if isinstance(document, Mapping) else ()
        errors = [*schema_errors(error), *_safety_errors(keys)]
        _raise_errors(errors, _readable_things(document, error), error)
        raise
    _raise_errors(_safety_errors(config.model_extra or ()), _ReadableThings(config.things))
    return config


def _safety_errors(keys: Iterable[Any]) -> list[str]:
    known = ThingServerConfig.model_fields
    return mistakes_in_keys(str(key) for key in keys if key not in known)


def _raise_errors(
    errors: list[str], things: _ReadableThings, cause: ValidationError | None = None
) -> None:
    """Raise these errors together with those of the Things, if there are any."""
    slot_errors = list(_slot_errors(things))
    declarations = list(_declaration_errors(things))
    texts = [
        *errors,
        *(text for text, _ in declarations),
        *_argument_errors(things),
        *slot_errors,
    ]
    if texts:
        kinds = {kind for _, kind in declarations} | ({ThingSlotError} if slot_errors else set())
        if len(texts) == 1 and cause is not None:
            kinds |= _kinds_of_classes(cause)
        raise error_of_kinds(configuration_error(texts), kinds) from cause


def _kinds_of_classes(error: ValidationError) -> set[type]:
    """Return the kinds of errors, of those that code without LabThings would catch."""
    raised = (item.get("ctx", {}).get("error") for item in error.errors(include_url=False))
    return {type(each) for each in raised} & {ThingImportFailure, NotAThingError}


def _declaration_errors(things: _ReadableThings) -> Iterator[tuple[str, type]]:
    for name, config in things.known.items():
        for mistake in mistakes_for_server(_class_of(config)):
            yield f"things.{name}.cls: {mistake}", type(mistake)


def _readable_things(document: Any, error: ValidationError) -> _ReadableThings:
    readable = _ReadableThings()
    things = document.get("things") if isinstance(document, Mapping) else None
    if not isinstance(things, Mapping):
        return readable
    invalid_keys: dict[str, set[str]] = {}
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        location = [str(part) for part in item["loc"]]
        if location[:1] == ["things"] and len(location) > 2:
            invalid_keys.setdefault(location[1], set()).add(location[2])
    for name, value in things.items():
        invalid = invalid_keys.get(str(name), set())
        if "cls" in invalid:
            readable.unknown.add(str(name))
            continue
        readable.known[str(name)] = _without(value, invalid)
        if invalid & {"args", "kwargs"}:
            readable.without_arguments.add(str(name))
    return readable


def _without(value: Any, invalid: set[str]) -> ThingConfig:
    if isinstance(value, ThingConfig):
        return value
    members = dict(value) if isinstance(value, Mapping) else {"cls": value}
    if "class" in members:
        members.setdefault("cls", members["class"])
    keys = ThingConfig.model_fields.keys() - invalid
    return ThingConfig.model_validate({key: members[key] for key in keys & members.keys()})


def _argument_errors(things: _ReadableThings) -> Iterator[str]:
    for name, config in things.known.items():
        if name not in things.without_arguments:
            reason = argument_error(_class_of(config), config.args, config.kwargs)
            if reason is not None:
                yield f"things.{name}.{config.arguments_key}: {reason}"


def _slot_errors(things: _ReadableThings) -> Iterator[str]:
    stand_ins = {name: _stand_in(config.cls, name) for name, config in things.known.items()}
    for name, config in things.known.items():
        path = f"things.{name}.thing_slots"
        slots = slots_of(_class_of(config))
        for slot in slots.values():
            try:
                _fill(slot, stand_ins[name], stand_ins, things.unknown, config.thing_slots)
            except ThingSlotError as error:
                yield f"{path}: {error}"
            except Exception as error:  # noqa: BLE001 - a type hint may run the laboratory's code
                is_own = isinstance(error, LabThingsError)
                reason = str(error) if is_own else describe_exception(error)
                yield f"{path}: {name}.{slot.name}: {reason}"


def _class_of(config: ThingConfig) -> type[Thing]:
    assert isinstance(config.cls, type)  # noqa: S101 - for type checkers: it was imported
    return config.cls


def _stand_in(cls: Any, name: str) -> Any:
    """Return an object that is an instance of `cls` to `isinstance`, without calling `cls`."""
    # It is no real instance, whose `__del__` would run without its `__init__`.
    members = {"__class__": property(lambda _self: cls), "name": name}
    return type(cls.__name__, (), members)()


def _fill(
    slot: ThingSlot[Any],
    owner: Any,
    known: Mapping[str, Any],
    unknown: Iterable[str],
    chosen: Mapping[str, Any],
) -> None:
    """Fill a slot of the stand-in `owner`; a Thing of an unknown class may fit any slot."""
    names = chosen.get(slot.name, UNSET)
    wanted = slot.wanted()[0][0]
    wildcards = {name: _stand_in(wanted, name) for name in unknown}
    if names is not UNSET or slot.default is not UNSET:
        slot.fill(owner, {**known, **wildcards}, names)
        return
    try:
        slot.fill(owner, known, names)
    except ThingSlotError:
        for name, wildcard in list(wildcards.items())[:1]:  # they all have the same class
            with suppress(ThingSlotError):
                slot.fill(owner, {**known, name: wildcard}, UNSET)
                return
        raise
