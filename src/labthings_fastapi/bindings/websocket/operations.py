"""Which operations there are, and what each costs."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from labthings_fastapi.exceptions import RequestError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .operations_on_things import Operations
    from .requests import Answer, Request
    from .subscriptions import Subscriptions

    Handler = Callable[[Request], Awaitable[Answer]]


class Cost(Enum):
    """What an operation waits for."""

    THING = "thing"
    """Code of a Thing, which may be stuck: so many at once."""
    OWN = "own"
    """Only what the server does by itself, so that a cancel is never behind a stuck read."""


class Operation(NamedTuple):
    """What handles an operation, what it waits for, and whether it changes anything."""

    handle: Handler
    cost: Cost = Cost.OWN
    changes: bool = False


def operations(interacting: Operations, following: Subscriptions) -> dict[str, Operation]:
    """Return the operations of one socket by name; ours begin with `labthings:`."""
    thing = Cost.THING
    return {
        "readproperty": Operation(interacting.read, thing),
        "readallproperties": Operation(interacting.read_all, thing),
        "readmultipleproperties": Operation(interacting.read_several, thing),
        "writeproperty": Operation(interacting.write, thing, changes=True),
        "writemultipleproperties": Operation(interacting.write_several, thing, changes=True),
        "invokeaction": Operation(interacting.invoke, thing, changes=True),
        "queryaction": Operation(interacting.query),
        "queryallactions": Operation(interacting.query_all),
        "cancelaction": Operation(interacting.cancel, changes=True),
        "observeproperty": Operation(following.observe_property),
        "unobserveproperty": Operation(following.end),
        "observeallproperties": Operation(following.observe_properties),
        "unobserveallproperties": Operation(following.end),
        "subscribeevent": Operation(following.subscribe_event),
        "unsubscribeevent": Operation(following.end),
        "subscribeallevents": Operation(following.subscribe_events),
        "unsubscribeallevents": Operation(following.end),
        "labthings:observeaction": Operation(following.observe_action),
        "labthings:unobserveaction": Operation(following.end),
        "labthings:observeallactions": Operation(following.observe_actions),
        "labthings:unobserveallactions": Operation(following.end),
        "labthings:observeinvocation": Operation(following.observe_invocation),
        "labthings:unobserveinvocation": Operation(following.end),
        "labthings:observeall": Operation(following.observe_everything),
        "labthings:unobserveall": Operation(following.end),
    }


def named(known: dict[str, Operation], name: str) -> Operation:
    """Return an operation.

    Raises:
        RequestError: there is none of that name.
    """
    found = known.get(name)
    if found is None:
        raise RequestError(f"There is no operation {name[:80]!r}; there are: {', '.join(known)}.")
    return found
