"""Calls of the methods that open, close and calm a Thing; in the calling thread."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from labthings_fastapi.actions.logs import thing_log
from labthings_fastapi.actions.turns import turn_of
from labthings_fastapi.concurrency.things_loop import ThingsLoop, loop_of
from labthings_fastapi.exceptions import ThingStartError, describe_exception
from labthings_fastapi.outputs.frame_stream import stream_descriptors
from labthings_fastapi.thing import Thing
from labthings_fastapi.thing_description.paths import name_of

PATIENCE_TO = {"enter": 5.0, "exit": 1.0}
"""How long (s) opening and closing an exclusive Thing waits for others that use it. Before it is
closed, invocations were cancelled and had their time to end."""


def call_hook(thing: Thing, name: Literal["enter", "exit"]) -> None:
    """Call `__enter__` or `__exit__`: in turn if the Thing is exclusive, and in its own thread.

    It also runs if other code of the Thing is stuck.
    """
    turn = turn_of(thing)
    if turn is None or not turn.exclusive:
        _call_hook(thing, name)
    else:
        turn.run_anyway(f"__{name}__", PATIENCE_TO[name], _call_hook, thing, name)


def _call_hook(thing: Thing, name: Literal["enter", "exit"]) -> None:
    arguments = (None, None, None) if name == "exit" else ()
    if hasattr(thing, f"__a{name}__"):
        _loop_of(thing).call(getattr(thing, f"__a{name}__"), *arguments)
    elif hasattr(thing, f"__{name}__"):
        result = getattr(thing, f"__{name}__")(*arguments)
        if inspect.iscoroutine(result):
            _loop_of(thing).submit(result).result()
    else:
        return
    if name == "enter" and (kept := thing._kept_settings) is not None:
        kept.apply_again(thing)


def _loop_of(thing: Thing) -> ThingsLoop:
    return loop_of(thing._thing_server_interface, name_of(thing))


def call_safe_state(thing: Thing, function: Callable[[], Any]) -> None:
    """Call the `safe_state` of a Thing, in its turn and also if other code of it is stuck."""
    turn = turn_of(thing)
    if turn is None or not turn.exclusive:
        result = function()
    else:
        result = turn.run_anyway("safe_state", PATIENCE_TO["enter"], function)
    if inspect.iscoroutine(result):
        _loop_of(thing).submit(result).result()


def open_now(thing: Thing) -> None:
    try:
        call_hook(thing, "enter")
    except BaseException as error:
        raise ThingStartError(name_of(thing), error) from error


def close_now(thing: Thing) -> None:
    """Close a Thing in the calling thread, because the server stopped while it was opened."""
    try:
        call_hook(thing, "exit")
    except BaseException as error:  # noqa: BLE001 - hardware raises anything; it is logged
        log_failed_closing(thing, error)


def log_failed_closing(thing: Thing, error: BaseException) -> None:
    thing_log(name_of(thing)).error(
        "It failed while it was closed: %s", describe_exception(error), exc_info=error
    )


def states_of(things: Mapping[str, Thing]) -> Mapping[str, Mapping[str, Any]]:
    """Return the metadata of every Thing; empty for one whose code fails, which is logged."""
    states: dict[str, Mapping[str, Any]] = {}
    for name, thing in things.items():
        try:
            states[name] = thing.thing_state
        except (Exception, SystemExit) as error:  # noqa: BLE001 - one Thing must not hide the others
            states[name] = {}
            thing_log(name).error("Its thing_state failed: %s", describe_exception(error))
    return states


def end_viewers(things: Iterable[Thing]) -> None:
    """End those who look at streams of frames, so that no connection holds up the end."""
    for thing in things:
        for name in stream_descriptors(type(thing)):
            stream = thing.__dict__.get(name)
            if stream is not None:
                stream.end_viewers()
