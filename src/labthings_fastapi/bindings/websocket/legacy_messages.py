"""The messages of older LabThings clients: `addPropertyObservation`, `addActionObservation`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labthings_fastapi.exceptions import RequestError
from labthings_fastapi.messages.topic import Topic

from .encoders import LegacyEncoder
from .requests import text_member
from .selections import PROPERTY_KINDS, require_observable
from .subscriptions import MAX_SUBSCRIPTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labthings_fastapi.bindings.interaction.things import ThingInteraction
    from labthings_fastapi.messages.message import MessageKind

    from .socket_state import SocketState
    from .subscriptions import Subscriptions

OBSERVE_PROPERTY, OBSERVE_ACTION = "addPropertyObservation", "addActionObservation"
LEGACY_MESSAGES = (OBSERVE_PROPERTY, OBSERVE_ACTION)

_ACTION_KINDS: frozenset[MessageKind] = frozenset({"status", "progress"})


class LegacyMessages:
    """Executes the legacy messages of one socket; used on the server's event loop."""

    def __init__(self, state: SocketState, subscriptions: Subscriptions) -> None:
        """Add to these subscriptions."""
        self._state = state
        self._subscriptions = subscriptions
        self._encode = LegacyEncoder(state)

    def names(self, members: Mapping[str, Any]) -> list[str]:
        """Return the names of affordances in a message, without duplicates.

        Raises:
            RequestError: there are no names, or more than a socket may have subscriptions.
        """
        kind, data = members["messageType"], members.get("data")
        listed = [data] if isinstance(data, str) else data
        if (
            not isinstance(listed, dict | list)
            or not listed
            or not all(isinstance(name, str) and name for name in listed)
        ):
            raise RequestError(
                f"'data' of {kind!r} must name properties or actions, as "
                '{"name": true}, ["name"] or "name".'
            )
        names = list(dict.fromkeys(listed))
        if len(names) > MAX_SUBSCRIPTIONS:
            raise RequestError(
                f"'data' of {kind!r} names {len(names)} affordances; a socket may have "
                f"{MAX_SUBSCRIPTIONS} subscriptions at most."
            )
        return names

    def observe(self, thing: ThingInteraction, members: Mapping[str, Any], name: str) -> None:
        """Subscribe to one property, or to all invocations of one action; there is no response.

        Raises:
            AffordanceNotFoundError: the Thing has no such property or action.
            RequestRefused: the property is not observable (status 406).
        """
        kind, after = members["messageType"], None
        if members.get("lastNotificationID") is not None:
            after = self._state.ids.seq_of(text_member(members, "lastNotificationID"))
        if kind == OBSERVE_PROPERTY:
            require_observable(thing, name)
            kinds = PROPERTY_KINDS
        else:
            thing.action(name)
            kinds = _ACTION_KINDS
        topic = Topic(thing.name, name, kinds=kinds)
        self._subscriptions.subscribe((kind, thing.name, name), topic, self._encode, after)
