"""The messages that LabThings clients have always sent over a socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labthings_fastapi.exceptions import RequestError
from labthings_fastapi.messages.topic import Topic

from .frames import text_in, written
from .subscription_streams import MAX_FEEDS
from .subscriptions import require_observable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labthings_fastapi.bindings.interaction.things import ThingInteraction
    from labthings_fastapi.messages.message import MessageKind

    from .encoders import LabThingsWriter
    from .socket_state import SocketState
    from .subscription_streams import SubscriptionStreams

OBSERVE_PROPERTY, OBSERVE_ACTION = "addPropertyObservation", "addActionObservation"
LABTHINGS_MESSAGES = (OBSERVE_PROPERTY, OBSERVE_ACTION)

_PROPERTY: frozenset[MessageKind] = frozenset({"property"})
_ACTION: frozenset[MessageKind] = frozenset({"status", "progress"})


class LabThingsMessages:
    """Answers the messages of LabThings for one socket; used on the server's event loop."""

    def __init__(
        self, served: SocketState, feeds: SubscriptionStreams, writer: LabThingsWriter
    ) -> None:
        """Keep the subscriptions among the socket's feeds."""
        self._served = served
        self._feeds = feeds
        self._writer = writer

    def names(self, members: Mapping[str, Any]) -> list[str]:
        """Return the names of affordances in a message, each once.

        Raises:
            RequestError: there are none, or more than a socket may follow.
        """
        data = members.get("data")
        found = [data] if isinstance(data, str) else data
        if (
            not isinstance(found, dict | list)
            or not found
            or not all(isinstance(name, str) and name for name in found)
        ):
            raise RequestError(
                f"'data' of {members['messageType']!r} must name what to observe, as "
                '{"name": true}, ["name"] or "name".'
            )
        names = list(dict.fromkeys(found))
        if len(names) > MAX_FEEDS:  # each costs time, in which nobody else is answered
            raise RequestError(
                f"'data' of {members['messageType']!r} names {len(names)} affordances, but a "
                f"socket may follow {MAX_FEEDS} at most."
            )
        return names

    def observe(self, used: ThingInteraction, members: Mapping[str, Any], name: str) -> None:
        """Follow one property, or the runs of one action, from now on.

        As always, nothing is answered: the client hears of the first change.

        Raises:
            AffordanceNotFoundError: there is no such property or action.
        """
        kind, after = members["messageType"], None
        if members.get("lastNotificationID") is not None:
            after = self._served.ids.read(text_in(members, "lastNotificationID"))
        if kind == OBSERVE_PROPERTY:
            require_observable(used, name)
            kinds, write = _PROPERTY, self._writer.property_status
        else:
            used.action(name)
            kinds, write = _ACTION, self._writer.action_status
        topic = Topic(used.thing.name, name, kinds=kinds)
        self._feeds.begin((kind, used.thing.name, name), topic, write, after)


def error_message(members: Mapping[str, Any], problem: Mapping[str, Any]) -> str:
    """Write the answer to a message that failed."""
    found = {name: members[name] for name in ("correlationID",) if name in members}
    return written({"messageType": "error", "data": problem, **found})
