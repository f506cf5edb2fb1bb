"""Which messages each subscribing operation, and each legacy message, selects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from labthings_fastapi.bindings.interaction.failures import not_observable
from labthings_fastapi.exceptions import RequestError
from labthings_fastapi.messages.topic import KINDS, Topic

from .encoders import EXTENSION
from .permission import RequestRefused
from .subscriptions import Key

if TYPE_CHECKING:
    from labthings_fastapi.bindings.interaction.things import ThingInteraction
    from labthings_fastapi.messages.message import MessageKind

    from .requests import Request

PROPERTY_KINDS: frozenset[MessageKind] = frozenset({"property", "reading-failed"})
EVENT_KINDS: frozenset[MessageKind] = frozenset({"event"})
INVOCATION_KINDS: frozenset[MessageKind] = frozenset({"status", "progress", "log", "result"})
ALL_KINDS: frozenset[MessageKind] = KINDS - {"gap"}


class Selection(NamedTuple):
    """The kinds of messages of an operation, and what its request must name."""

    kinds: frozenset[MessageKind]
    names: Literal["property", "event", "action", "invocation"] | None = None
    thing_is_optional: bool = False
    subject: str | None = None
    """What the operations to one and to all have in common; None: each operation is for itself."""


SELECTIONS = {
    "observeproperty": Selection(PROPERTY_KINDS, "property", subject="property"),
    "observeallproperties": Selection(PROPERTY_KINDS, subject="property"),
    "subscribeevent": Selection(EVENT_KINDS, "event", subject="event"),
    "subscribeallevents": Selection(EVENT_KINDS, subject="event"),
    "labthings:observeaction": Selection(INVOCATION_KINDS, "action"),
    "labthings:observeallactions": Selection(INVOCATION_KINDS, thing_is_optional=True),
    "labthings:observeinvocation": Selection(INVOCATION_KINDS, "invocation"),
    "labthings:observeall": Selection(ALL_KINDS, thing_is_optional=True),
}


LEGACY_MESSAGES = {
    "addPropertyObservation": Selection(PROPERTY_KINDS, "property"),
    "addActionObservation": Selection(frozenset({"status", "progress"}), "action"),
}
"""The messages of older LabThings clients, by their `messageType`."""


def _opposite(operation: str) -> str:
    prefix, colon, verb = operation.rpartition(":")
    return f"{prefix}{colon}un{verb}"


SUBSCRIBED_BY = {_opposite(operation): operation for operation in SELECTIONS}
"""For each operation that ends a subscription, the one that begins it."""


def subscription_key(request: Request) -> Key:
    """Return what distinguishes the subscription of a request from others of the socket."""
    operation = SUBSCRIBED_BY.get(request.operation, request.operation)
    selection = _selection(operation)
    subject = selection.subject or operation
    if selection.names == "invocation":
        return Key(subject, name=str(request.invocation_id))
    if selection.names is not None:
        return Key(subject, request.thing.name, request.name)
    return Key(subject, _thing_name(request, selection) or "")


def selected_topic(request: Request) -> Topic:
    """Return the topic that a request subscribes to.

    Raises:
        AffordanceNotFoundError: the Thing has no affordance of that name.
        RequestRefused: the property is not observable (status 406).
        RequestError: a member of the request is missing or not valid.
    """
    selection = _selection(request.operation)
    if selection.names == "invocation":
        return Topic(invocation=request.invocation_id, kinds=_kinds(request, selection))
    name = None
    thing = _thing_name(request, selection)
    if selection.names is not None:
        name = request.name
        _require_affordance(request.thing, selection.names, name)
    return Topic(thing, name, kinds=_kinds(request, selection))


def _selection(operation: str) -> Selection:
    return SELECTIONS.get(operation) or LEGACY_MESSAGES[operation]


def _require_affordance(thing: ThingInteraction, kind: str, name: str) -> None:
    if kind == "event":
        thing.require_event(name)
    elif kind == "action":
        thing.action(name)
    else:
        interaction = thing.properties.named(name)
        if not interaction.descriptor.is_observable:
            raise RequestRefused(not_observable(interaction.label))


def _thing_name(request: Request, selection: Selection) -> str | None:
    if selection.thing_is_optional and request.target is None:
        return None
    return request.thing.name


def _kinds(request: Request, selection: Selection) -> frozenset[MessageKind]:
    """Return the kinds of messages that the client wants; by default all that are possible."""
    wanted = request.members.get("kinds")
    if wanted is None or not request.operation.startswith(EXTENSION):
        return selection.kinds
    kinds = frozenset(
        kind for kind in selection.kinds if isinstance(wanted, list) and kind in wanted
    )
    if not kinds or len(kinds) != len(wanted):
        raise RequestError(
            f"'kinds' of {request.operation!r} must be a list of some of: "
            f"{', '.join(sorted(selection.kinds))}."
        )
    return kinds
