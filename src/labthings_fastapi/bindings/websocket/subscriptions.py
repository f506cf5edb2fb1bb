"""The operations by which a client follows what changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labthings_fastapi.bindings.interaction.failures import not_observable
from labthings_fastapi.exceptions import RequestError
from labthings_fastapi.messages.topic import KINDS, Topic

from .encoders import NotificationWriter
from .permission import Refused
from .requests import Answer

if TYPE_CHECKING:
    from labthings_fastapi.bindings.interaction.things import ThingInteraction
    from labthings_fastapi.messages.message import MessageKind

    from .operations_on_things import Operations
    from .requests import Request
    from .socket_state import SocketState
    from .subscription_streams import SubscriptionStream, SubscriptionStreams

RUN_KINDS: frozenset[MessageKind] = frozenset({"status", "progress", "log", "result"})
ALL_KINDS: frozenset[MessageKind] = KINDS - {"gap"}


def require_observable(used: ThingInteraction, name: str) -> None:
    """Refuse to wait in vain for a property that does not tell of its changes.

    Raises:
        AffordanceNotFoundError: there is no such property.
        Refused: with status 406.
    """
    found = used.properties.named(name)
    if not found.descriptor.is_observable:
        raise Refused(not_observable(found.what))


class Subscriptions:
    """Begins and ends subscriptions for one socket; used on the server's event loop.

    An operation that ends what was not begun is answered as if it had been: nothing comes after.
    """

    def __init__(
        self, served: SocketState, feeds: SubscriptionStreams, interacting: Operations
    ) -> None:
        """Keep the subscriptions among the socket's feeds."""
        self._served = served
        self._feeds = feeds
        self._interacting = interacting

    async def observe_property(self, request: Request) -> Answer:
        """Follow one property."""
        require_observable(request.thing, request.name)
        self._begin(request, Topic(request.thing.thing.name, request.name, kinds=_PROPERTY))
        return Answer()

    async def observe_properties(self, request: Request) -> Answer:
        """Follow all properties of a Thing."""
        self._begin(request, Topic(request.thing.thing.name, kinds=_PROPERTY))
        return Answer()

    async def subscribe_event(self, request: Request) -> Answer:
        """Follow one event."""
        request.thing.require_event(request.name)
        self._begin(request, Topic(request.thing.thing.name, request.name, kinds=_EVENT))
        return Answer()

    async def subscribe_events(self, request: Request) -> Answer:
        """Follow all events of a Thing."""
        self._begin(request, Topic(request.thing.thing.name, kinds=_EVENT))
        return Answer()

    async def observe_action(self, request: Request) -> Answer:
        """Follow all runs of an action."""
        request.thing.action(request.name)
        kinds = _kinds(request, RUN_KINDS)
        topic = Topic(request.thing.thing.name, request.name, kinds=kinds)
        self._begin(request, topic, extension=True)
        return Answer()

    async def observe_actions(self, request: Request) -> Answer:
        """Follow all runs of a Thing, or of the server."""
        topic = Topic(_name_of(request.used), kinds=_kinds(request, RUN_KINDS))
        self._begin(request, topic, extension=True)
        return Answer()

    async def observe_everything(self, request: Request) -> Answer:
        """Follow all that happens to a Thing, or on the server."""
        topic = Topic(_name_of(request.used), kinds=_kinds(request, ALL_KINDS))
        self._begin(request, topic, extension=True)
        return Answer()

    async def observe_invocation(self, request: Request) -> Answer:
        """Follow one run to its end; the answer says how it is now."""
        invocation = await self._interacting.find(request)
        topic = Topic(invocation=invocation.id, kinds=_kinds(request, RUN_KINDS))
        feed = self._begin(request, topic, extension=True, one_invocation=True)
        # Read after the subscription has begun, so that nothing falls between the two.
        if not invocation.snapshot().is_open:
            feed.finish()
        return self._interacting.status_of(invocation)

    async def end(self, request: Request) -> Answer:
        """End what the operation of the opposite name began."""
        self._feeds.end(_key(request, _BEGUN_BY[request.operation]))
        return Answer()

    def _begin(
        self,
        request: Request,
        topic: Topic,
        *,
        extension: bool = False,
        one_invocation: bool = False,
    ) -> SubscriptionStream:
        after = request.after
        write = NotificationWriter(
            self._served,
            request.operation,
            request.head(name=False),
            self._feeds.next_number(),
            extension=extension,
        )
        return self._feeds.begin(
            _key(request, request.operation),
            topic,
            write,
            self._served.ids.read(after) if after is not None else None,
            one_invocation=one_invocation,
        )


_PROPERTY: frozenset[MessageKind] = frozenset({"property"})
_EVENT: frozenset[MessageKind] = frozenset({"event"})
_BEGUN_BY = {
    "unobserveproperty": "observeproperty",
    "unobserveallproperties": "observeallproperties",
    "unsubscribeevent": "subscribeevent",
    "unsubscribeallevents": "subscribeallevents",
    "labthings:unobserveaction": "labthings:observeaction",
    "labthings:unobserveallactions": "labthings:observeallactions",
    "labthings:unobserveinvocation": "labthings:observeinvocation",
    "labthings:unobserveall": "labthings:observeall",
}
_NAMED = {"observeproperty", "subscribeevent", "labthings:observeaction"}


def _name_of(used: ThingInteraction | None) -> str | None:
    return used.thing.name if used is not None else None


def _key(request: Request, operation: str) -> tuple[str, ...]:
    """Return what tells a subscription from the others of a socket."""
    if operation == "labthings:observeinvocation":
        return operation, str(request.invocation_id)
    if operation in _NAMED:
        return operation, request.thing.thing.name, request.name
    if operation in ("labthings:observeallactions", "labthings:observeall"):
        return operation, _name_of(request.used) or ""
    return operation, request.thing.thing.name


def _kinds(request: Request, possible: frozenset[MessageKind]) -> frozenset[MessageKind]:
    """Return which kinds of messages a client wants; all that are possible, if it does not say."""
    said = request.members.get("kinds")
    if said is None:
        return possible
    chosen = frozenset(kind for kind in possible if isinstance(said, list) and kind in said)
    if not chosen or len(chosen) != len(said):
        raise RequestError(
            f"'kinds' of {request.operation!r} must be a list of some of: "
            f"{', '.join(sorted(possible))}."
        )
    return chosen
