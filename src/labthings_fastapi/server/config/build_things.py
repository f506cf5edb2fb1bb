"""Make the Things of a configuration, connect their slots, order them; or try all that."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, TypeVar

from labthings_fastapi.actions.turns import run_code
from labthings_fastapi.descriptors.slot import UNSET
from labthings_fastapi.exceptions import LabThingsError, describe_exception
from labthings_fastapi.server.config_model import (
    ThingServerConfig,
    configuration_error,
    import_thing_class,
)
from labthings_fastapi.thing import Thing, slots_of
from labthings_fastapi.thing_host.access import check_own_thread, give_access
from labthings_fastapi.thing_host.interface import ThingServerInterface

from .validation import INTERFACE, accepts_interface, argument_error

T = TypeVar("T", bound="Thing")


class InitArgumentsError(TypeError):
    """The `__init__` of a class does not accept the arguments."""


def make_thing(
    cls: type[T],
    interface: ThingServerInterface,
    args: list[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    exclusive: bool | None = None,
    thread: Literal["own"] | None = None,
    reopen: Literal["manual", "auto"] | None = None,
) -> T:
    """Make a Thing that has its server interface before `__init__` runs.

    `exclusive`, `thread` and `reopen` are those of the configuration; None: as the class says. A
    Thing with a thread of its own is made in that thread.
    """
    thing = cls.__new__(cls)
    thing._thing_server_interface = interface
    if exclusive is not None or thread is not None:
        _choose_access(thing, exclusive=exclusive, thread=thread)
    if reopen is not None:
        thing.__dict__["_labthings_reopen"] = reopen
    positional, named = args or [], dict(kwargs or {})
    reason = argument_error(cls, positional, named)
    if reason is not None:
        raise InitArgumentsError(reason)
    if accepts_interface(inspect.signature(cls.__init__)):
        named[INTERFACE] = interface
    run_code(thing, partial(cls.__init__, thing, *positional, **named))
    return thing


def _choose_access(thing: Thing, *, exclusive: bool | None, thread: Literal["own"] | None) -> None:
    own_thread = thread is not None or thing._own_thread
    if own_thread:
        check_own_thread(type(thing))
    chosen = thing._exclusive if exclusive is None else exclusive
    give_access(thing, exclusive=chosen, own_thread=own_thread)


def build_things(
    config: ThingServerConfig, interface_for: Callable[[str], ThingServerInterface]
) -> dict[str, Thing]:
    things: dict[str, Thing] = {}
    errors: list[str] = []
    causes: list[BaseException] = []
    for name, thing_config in config.things.items():
        try:
            cls, interface = import_thing_class(thing_config.cls), interface_for(name)
            things[name] = make_thing(
                *(cls, interface, thing_config.args, thing_config.kwargs),
                exclusive=thing_config.exclusive,
                thread=thing_config.thread,
                reopen=thing_config.reopen,
            )
        except InitArgumentsError as error:
            errors.append(f"things.{name}.{thing_config.arguments_key}: {error}")
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a laboratory's class raises anything
            errors.append(f"things.{name}.cls: it could not be made: {describe_exception(error)}")
            causes.append(error)
    only = causes[0] if len(errors) == len(causes) == 1 else None
    if isinstance(only, Exception) and not isinstance(only, LabThingsError):
        only.add_note(errors[0])
        raise only  # as in Python, where the class is called
    if errors:
        raise configuration_error(errors) from (causes[0] if causes else None)
    return things


def explained(error: BaseException) -> str:
    """Return the text of an error of the server or of a Thing, for people; one paragraph."""
    notes: list[str] = getattr(error, "__notes__", [])
    if notes:
        return str(configuration_error(notes[-1:]))
    return str(error) if isinstance(error, LabThingsError) else describe_exception(error)


def connect_slots(things: Mapping[str, Thing], config: ThingServerConfig) -> None:
    for name, thing in things.items():
        chosen = config.things[name].thing_slots
        for slot_name, slot in slots_of(type(thing)).items():
            slot.fill(thing, things, chosen.get(slot_name, UNSET))


def start_order(things: Mapping[str, Thing]) -> list[Thing]:
    """Return each Thing after the Things in its slots; a circle is cut at an arbitrary place."""
    ordered: list[Thing] = []
    visited: set[int] = set()

    def visit(thing: Thing) -> None:
        if id(thing) not in visited:
            visited.add(id(thing))
            for slot in slots_of(type(thing)).values():
                for target in slot.targets(thing):
                    visit(target)
            ordered.append(thing)

    for thing in things.values():
        visit(thing)
    return ordered
