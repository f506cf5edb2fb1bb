"""The operations that a client may request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from pydantic_core import from_json, to_json

from labthings_fastapi.actions.recorded_invocation import find_invocation
from labthings_fastapi.actions.rendering import (
    InvocationUrls,
    action_status,
    as_begun,
    w3c_word,
)
from labthings_fastapi.bindings.interaction.actions import (
    invocations_by_action,
    output_of,
)
from labthings_fastapi.bindings.interaction.failures import (
    InvalidMembers,
    SetterRefusal,
    interaction_problem,
)
from labthings_fastapi.exceptions import (
    AffordanceNotFoundError,
    InvocationFinishedError,
    InvocationNotFoundError,
    RequestError,
)
from labthings_fastapi.outputs.frame_stream import stream_descriptors
from labthings_fastapi.problems import Problem
from labthings_fastapi.request_location import base_url
from labthings_fastapi.thing_description.paths import path_of

from . import internal_request
from .draft_problems import as_common_kind
from .encoders import LegacyEncoder, NotificationEncoder, Response
from .permission import RequestRefused
from .selections import SELECTIONS, SUBSCRIBED_BY, selected_topic, subscription_key

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import Scope

    from labthings_fastapi.actions.recorded_invocation import KnownInvocation
    from labthings_fastapi.bindings.interaction.actions import ActionInteraction
    from labthings_fastapi.bindings.interaction.properties import (
        PropertiesInteraction,
        PropertyInteraction,
    )
    from labthings_fastapi.journal.record import InvocationRecord
    from labthings_fastapi.outputs.frame_stream import FrameStream

    from .frame_views import FrameViews
    from .requests import Request
    from .socket_state import SocketState
    from .subscriptions import Encoder, SocketSubscription, Subscriptions


class Operations:
    """Executes the operations of one socket; used on the server's event loop."""

    def __init__(
        self, state: SocketState, scope: Scope, subscriptions: Subscriptions, views: FrameViews
    ) -> None:
        """Execute for the client whose handshake is this ASGI scope."""
        self._views = views
        self._state = state
        self._scope = scope
        self._subscriptions = subscriptions
        self._urls = InvocationUrls(base_url(scope), state.prefix)

    async def read_property(self, request: Request) -> Response:
        """Read one property."""
        interaction = request.thing.properties.named(request.name)
        value = interaction.links(await interaction.read(), self._scope)
        return Response(raw={"value": value})

    async def read_all_properties(self, request: Request) -> Response:
        """Read all properties."""
        return Response(raw={"values": await request.thing.properties.read()})

    async def read_multiple_properties(self, request: Request) -> Response:
        """Read the properties in `names`."""
        names = request.value("names")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise RequestError("'names' must be a list of names of properties.")
        if not names:
            raise RequestError("'names' is empty: it needs the name of a property.")
        for name in names:
            _known(request.thing.properties, name)
        return Response(raw={"values": await request.thing.properties.read(names)})

    async def write_property(self, request: Request) -> Response:
        """Write one property; the response has the value that the Thing now holds."""
        value = to_json(request.value("value"), inf_nan_mode="constants")
        interaction = request.thing.properties.named(request.name)
        if interaction.descriptor.readonly:
            raise interaction.descriptor.read_only_error(request.thing.thing)
        assigned: dict[str, bytes] = {}
        warning = await interaction.write(value, assigned)
        raw = {"value": assigned[request.name]} if assigned else {}
        return Response(204, _warning(warning), raw)

    async def write_multiple_properties(self, request: Request) -> Response:
        """Write several properties, all or nothing."""
        values = request.value("values")
        if not isinstance(values, dict):
            raise RequestError("'values' must be an object: name of a property → its value.")
        if not values:
            raise RequestError("'values' is empty: it needs the value of a property.")
        properties = request.thing.properties
        for name in values:
            one = _known(properties, name)
            if one.descriptor.readonly:
                raise RequestError(str(one.descriptor.read_only_error(request.thing.thing)))
        assigned: dict[str, bytes] = {}
        try:
            warning = await properties.write(values, assigned)
        except (InvalidMembers, SetterRefusal) as error:
            problem = interaction_problem(error, properties.label, self._scope["path"])
            raise RequestRefused(as_common_kind(problem, 400)) from error
        members = b",".join(to_json(name) + b":" + value for name, value in assigned.items())
        return Response(204, _warning(warning), {"values": b"{" + members + b"}"})

    async def write_all_properties(self, request: Request) -> Response:
        """Write all properties that can be written, all or nothing."""
        values = request.value("values")
        missing = [
            name
            for name, one in request.thing.each_property.items()
            if isinstance(values, dict) and name not in values and not one.descriptor.readonly
        ]
        if missing:
            raise RequestError(
                f"'writeallproperties' needs a value of every property that can be written, and "
                f"'values' has none of: {', '.join(missing)}. To write some of them, use "
                "'writemultipleproperties'."
            )
        return await self.write_multiple_properties(request)

    async def invoke_action(self, request: Request) -> Response:
        """Start an invocation; for a synchronous action, wait for its end and return its output."""
        action = request.thing.action(request.name)
        value = request.members.get("input")
        text = b"{}" if value is None else to_json(value, inf_nan_mode="constants")
        if action.descriptor.dependency_params:
            return await self._invoke_by_http(action, text)
        invocation = await action.invoke(text)
        if not action.descriptor.synchronous:
            return self._begun(invocation)
        output = await output_of(invocation, self._urls)
        if isinstance(output, Problem):
            raise RequestRefused(output)
        return _output(output)

    async def _invoke_by_http(self, action: ActionInteraction, text: bytes) -> Response:
        # Only FastAPI can resolve the dependencies in the action's signature.
        app = self._state.app
        assert app is not None  # noqa: S101 - the middleware sets it before it serves a socket
        path = f"{path_of(action.thing)}{action.descriptor.name}"
        status, body = await internal_request.post(app, self._scope, path, text)
        if status == 201:
            id = UUID(from_json(body)["id"])
            return self._begun(self._state.manager.get_invocation(id))
        if status in (200, 204):
            return _output(body or b"null")
        members = from_json(body)
        members.pop("status", None)
        known = {name: members.pop(name, None) for name in ("type", "title", "detail", "instance")}
        errors = tuple(members.pop("errors", ()))
        raise RequestRefused(Problem(status, **known, errors=errors, extra=members))

    async def query_action(self, request: Request) -> Response:
        """Return the status of an invocation."""
        return self._status(await self._find_invocation(request))

    async def query_all_actions(self, request: Request) -> Response:
        """List the invocations of a Thing, by action and newest first."""
        thing = request.thing.thing
        statuses = await invocations_by_action(thing, self._state.manager, self._urls)
        return Response(raw={"statuses": statuses})

    async def cancel_action(self, request: Request) -> Response:
        """Request an invocation to stop."""
        invocation = await self._find_invocation(request)
        if not invocation.cancel():
            raise InvocationFinishedError(invocation.id, invocation.snapshot().status.value)
        return Response(204, {"actionID": str(invocation.id)})

    async def subscribe(self, request: Request) -> Response:
        """Begin one of the subscriptions in `SELECTIONS`."""
        self._subscribe(request)
        return Response()

    async def observe_invocation(self, request: Request) -> Response:
        """Subscribe to one invocation until its end; the response is its status now."""
        invocation = await self._find_invocation(request)
        subscription = self._subscribe(request, one_invocation=True)
        # Read the state after subscribing, so that no change falls between the two.
        if not invocation.snapshot().is_open:
            subscription.finish()
        return self._status(invocation)

    async def unsubscribe(self, request: Request) -> Response:
        """End the subscription that the opposite operation began; idempotent."""
        self._subscriptions.unsubscribe(subscription_key(request))
        return Response()

    def observe_legacy(self, request: Request) -> None:
        """Begin a subscription of a legacy message, which has no response."""
        self._subscribe(request, LegacyEncoder(self._state))

    def _subscribe(
        self, request: Request, encode: Encoder | None = None, *, one_invocation: bool = False
    ) -> SocketSubscription:
        last = request.last_notification_id
        return self._subscriptions.subscribe(
            subscription_key(request),
            selected_topic(request),
            encode or NotificationEncoder(self._state, request),
            self._state.ids.seq_of(last) if last is not None else None,
            one_invocation=one_invocation,
        )

    async def _find_invocation(self, request: Request) -> KnownInvocation:
        """Return the invocation of a request, which must belong to its Thing and action."""
        invocation = await find_invocation(
            self._state.manager, request.invocation_id, self._state.prefix
        )
        thing = request.target
        if thing is not None and invocation.snapshot().thing != thing.name:
            raise InvocationNotFoundError(invocation.id)
        if "name" in request.members and invocation.snapshot().action != request.name:
            if thing is not None:
                thing.action(request.name)  # raises an error if the Thing has no such action
            raise InvocationNotFoundError(invocation.id)
        return invocation

    def _begun(self, invocation: KnownInvocation) -> Response:
        return self._rendered(as_begun(invocation.snapshot(log=True)), 201)

    def _status(self, invocation: KnownInvocation) -> Response:
        return self._rendered(invocation.snapshot(log=True))

    def _rendered(self, record: InvocationRecord, status: int = 200) -> Response:
        members = {"name": record.action, "actionID": str(record.id), "state": w3c_word(record)}
        return Response(status, members, {"status": action_status(record, self._urls)})

    async def observe_stream(self, request: Request) -> Response:
        """Send the frames of a stream as binary messages from now on."""
        stream = _stream(request)
        thing_id = self._state.id_of(request.thing.name)
        self._views.observe((request.thing.name, request.name), thing_id, stream)
        return Response()

    async def unobserve_stream(self, request: Request) -> Response:
        """Send no more frames of a stream."""
        _stream(request)
        self._views.unobserve((request.thing.name, request.name))
        return Response()


def _known(properties: PropertiesInteraction, name: str) -> PropertyInteraction:
    """Return a property whose name is one of several, where a wrong one is a bad request.

    Raises:
        RequestError: there is none of that name.
    """
    try:
        return properties.named(name)
    except AffordanceNotFoundError as error:
        raise RequestError(str(error)) from error


def _warning(text: str | None) -> dict[str, str]:
    return {"labthings:warning": text} if text else {}


def _output(json: bytes) -> Response:
    return Response(raw={} if json == b"null" else {"output": json})


def _stream(request: Request) -> FrameStream[Any]:
    thing = request.thing.thing
    streams = stream_descriptors(type(thing))
    if request.name not in streams:
        raise AffordanceNotFoundError(request.thing.name, "stream", request.name, list(streams))
    found: FrameStream[Any] = getattr(thing, request.name)
    return found


class Operation(NamedTuple):
    """An operation: its handler, and what a socket must know to start it."""

    handle: Callable[[Operations, Request], Awaitable[Response]]
    runs_thing_code: bool = False
    """Whether it may wait for code of a Thing, which may hang."""
    changes: bool = False
    """Whether it needs the role operator."""


OPERATIONS: dict[str, Operation] = {
    "readproperty": Operation(Operations.read_property, True),
    "readallproperties": Operation(Operations.read_all_properties, True),
    "readmultipleproperties": Operation(Operations.read_multiple_properties, True),
    "writeproperty": Operation(Operations.write_property, True, changes=True),
    "writeallproperties": Operation(Operations.write_all_properties, True, changes=True),
    "writemultipleproperties": Operation(Operations.write_multiple_properties, True, changes=True),
    "invokeaction": Operation(Operations.invoke_action, True, changes=True),
    "queryaction": Operation(Operations.query_action),
    "queryallactions": Operation(Operations.query_all_actions),
    "cancelaction": Operation(Operations.cancel_action, changes=True),
    **dict.fromkeys(SELECTIONS, Operation(Operations.subscribe)),
    "labthings:observeinvocation": Operation(Operations.observe_invocation),
    "labthings:observestream": Operation(Operations.observe_stream),
    "labthings:unobservestream": Operation(Operations.unobserve_stream),
    **dict.fromkeys(SUBSCRIBED_BY, Operation(Operations.unsubscribe)),
}
