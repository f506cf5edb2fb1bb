"""Say everything that is wrong with a configuration at once, without making a single Thing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from labthings_fastapi.exceptions import (
    LabThingsError,
    ServerConfigurationError,
    ThingSlotError,
    describe_exception,
)
from labthings_fastapi.server.config_model import (
    ThingConfig,
    ThingServerConfig,
    mistakes,
    schema_mistakes,
)
from labthings_fastapi.thing import Thing, slots_of

from .init_arguments import argument_error
from .stand_ins import fill_with_stand_ins, stand_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labthings_fastapi.descriptors.slot import ThingSlot


class SlotMistakesError(ServerConfigurationError, ThingSlotError):
    """A configuration has mistakes, at least one of them a slot that cannot be filled."""

    def __init__(self, message: str) -> None:
        """Take the list of all mistakes, as `mistakes` writes it."""
        LabThingsError.__init__(self, message)


@dataclass
class _Readable:
    """What can be judged of the Things of a configuration, mistakes in it or not."""

    known: dict[str, ThingConfig] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    """Names of Things whose class could not be found."""
    without_arguments: set[str] = field(default_factory=set)
    """Names of Things whose arguments cannot be read."""


def validated(given: Any) -> ThingServerConfig:
    """Return a configuration whose Things can be made and connected, as far as one can tell.

    Classes are imported, and nothing of theirs is called: unknown options, failing imports,
    arguments that do not fit and slots that cannot be filled are found all at once.

    Raises:
        ServerConfigurationError: every mistake, each with its path as `things.stage.kwargs`; also
            a ThingSlotError if a slot is among them.
    """
    try:
        config = ThingServerConfig.model_validate(given)
    except ValidationError as error:
        _refuse(schema_mistakes(error), _what_is_readable(given, error), error)
        raise
    _refuse([], _Readable(config.things))
    return config


def _refuse(wrong: list[str], things: _Readable, cause: ValidationError | None = None) -> None:
    """Raise what has been found so far together with what is found in the Things, if any."""
    slots = list(_slot_mistakes(things))
    listed = [*wrong, *_misfits(things), *slots]
    if listed:
        found = mistakes(listed)
        raise (SlotMistakesError(str(found)) if slots else found) from cause


def _what_is_readable(given: Any, error: ValidationError) -> _Readable:
    found = _Readable()
    things = given.get("things") if isinstance(given, Mapping) else None
    if not isinstance(things, Mapping):
        return found
    bad: dict[str, set[str]] = {}
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        location = [str(part) for part in item["loc"]]
        if location[:1] == ["things"] and len(location) > 2:
            bad.setdefault(location[1], set()).add(location[2])
    for key, value in things.items():
        name, wrong = str(key), bad.get(str(key), set())
        if "cls" in wrong:
            found.unknown.add(name)
            continue
        found.known[name] = _without(value, wrong)
        if wrong & {"args", "kwargs"}:
            found.without_arguments.add(name)
    return found


def _without(value: Any, wrong: set[str]) -> ThingConfig:
    """Read the configuration of a Thing as if what is wrong with it were not there."""
    if isinstance(value, ThingConfig):
        return value
    members = value if isinstance(value, Mapping) else {"cls": value}
    return ThingConfig.model_validate(
        {
            key: member
            for key, member in members.items()
            if key in ThingConfig.model_fields and key not in wrong
        }
    )


def _misfits(things: _Readable) -> Iterator[str]:
    for name, config in things.known.items():
        if name in things.without_arguments:
            continue
        reason = argument_error(_class_of(config), config.args, config.kwargs)
        if reason is not None:
            yield f"things.{name}.{config.place_of_arguments}: {reason}"


def _slot_mistakes(things: _Readable) -> Iterator[str]:
    stand_ins = {name: stand_in(config.cls, name) for name, config in things.known.items()}
    for name, config in things.known.items():
        slots = slots_of(_class_of(config))
        for stranger in sorted(config.thing_slots.keys() - slots.keys()):
            known = ", ".join(slots) or "none"
            yield _at(name, f"{name}.{stranger}: there is no such slot; slots are: {known}")
        for slot in slots.values():
            reason = _slot_mistake(slot, name, config, stand_ins, things.unknown)
            if reason is not None:
                yield _at(name, reason)


def _slot_mistake(
    slot: ThingSlot[Any],
    host: str,
    config: ThingConfig,
    stand_ins: Mapping[str, Any],
    unknown: set[str],
) -> str | None:
    try:
        fill_with_stand_ins(slot, host, stand_ins, unknown, config.thing_slots)
    except ThingSlotError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - to read a hint, code of the laboratory may run
        reason = str(error) if isinstance(error, LabThingsError) else describe_exception(error)
        return f"{host}.{slot.name}: {reason}"
    return None


def _at(thing: str, reason: str) -> str:
    return f"things.{thing}.thing_slots: {reason}"


def _class_of(config: ThingConfig) -> type[Thing]:
    assert isinstance(config.cls, type)  # noqa: S101 - for type checkers: it was imported
    return config.cls
