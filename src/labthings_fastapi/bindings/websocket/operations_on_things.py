"""The operations that read, write and invoke, and those on one run."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from pydantic_core import from_json, to_json

from labthings_fastapi.actions.recorded_invocation import find_invocation
from labthings_fastapi.actions.rendering import InvocationUrls, action_status, w3c_word
from labthings_fastapi.bindings.interaction.actions import (
    invocations_by_action,
    output_of,
    when_begun,
)
from labthings_fastapi.exceptions import (
    AffordanceNotFoundError,
    InvocationFinishedError,
    InvocationNotFoundError,
    RequestError,
)
from labthings_fastapi.problems import Problem
from labthings_fastapi.request_location import base_url

from . import internal_request
from .permission import Refused
from .requests import Answer

if TYPE_CHECKING:
    from starlette.types import Scope

    from labthings_fastapi.actions.invocation import Invocation
    from labthings_fastapi.actions.recorded_invocation import RecordedInvocation
    from labthings_fastapi.bindings.interaction.actions import ActionInteraction

    from .requests import Request
    from .socket_state import SocketState


class Operations:
    """Reads, writes and invokes for one socket; used on the server's event loop."""

    def __init__(self, served: SocketState, scope: Scope) -> None:
        """Act for the client that opened the socket of this ASGI scope."""
        self._served = served
        self._scope = scope
        self._place = InvocationUrls(base_url(scope), served.prefix)

    async def read(self, request: Request) -> Answer:
        """Read one property."""
        found = request.thing.properties.named(request.name)
        return Answer(raw={"value": await found.read()})

    async def read_all(self, request: Request) -> Answer:
        """Read all properties."""
        return Answer(raw={"values": await request.thing.properties.read()})

    async def read_several(self, request: Request) -> Answer:
        """Read the properties that the message names."""
        names = request.value("names")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise RequestError("'names' must be a list of names of properties.")
        return Answer(raw={"values": await request.thing.properties.read(names)})

    async def write(self, request: Request) -> Answer:
        """Write one property; the answer repeats the value that was asked for."""
        value = to_json(request.value("value"), inf_nan_mode="constants")
        found = request.thing.properties.named(request.name)
        if found.descriptor.readonly:
            raise found.descriptor.read_only_error(request.thing.thing)
        await found.write(value)
        return Answer(204, {"value": request.members["value"]})

    async def write_several(self, request: Request) -> Answer:
        """Write several properties, all or nothing."""
        values = request.value("values")
        if not isinstance(values, dict):
            raise RequestError("'values' must be an object: name of a property → its value.")
        await request.thing.properties.write(values)
        return Answer(204, {"values": values})

    async def invoke(self, request: Request) -> Answer:
        """Start a run; for a synchronous action, wait for its end and give the output."""
        action = request.thing.action(request.name)
        given = request.members.get("input")
        text = b"{}" if given is None else to_json(given, inf_nan_mode="constants")
        if action.descriptor.dependency_params:
            return await self._invoke_inside(action, text)
        invocation = await action.invoke(text)
        await when_begun(invocation, action.descriptor)
        if not action.descriptor.synchronous:
            return self._told(invocation, 201)
        output = output_of(invocation, self._place.of_action_invocation(invocation))
        if isinstance(output, Problem):
            raise Refused(output)
        return _with_output(output)

    async def _invoke_inside(self, action: ActionInteraction, text: bytes) -> Answer:
        """Let FastAPI resolve what is injected into the action."""
        path = f"{action.thing.path}{action.descriptor.name}"
        app = self._served.app
        assert app is not None  # noqa: S101 - the middleware was built before any socket came
        status, body = await internal_request.post(app, self._scope, path, text)
        if status == 201:
            return self._told(self._served.manager.get_invocation(UUID(from_json(body)["id"])), 201)
        if status in (200, 204):
            return _with_output(body or b"null")
        said = from_json(body)
        members = {name: said.pop(name, None) for name in ("type", "title", "detail", "instance")}
        said.pop("status", None)
        errors = tuple(said.pop("errors", ()))
        raise Refused(Problem(status, **members, errors=errors, extra=said))

    async def query(self, request: Request) -> Answer:
        """Say how a run is."""
        return self._told(await self.find(request), 200)

    async def query_all(self, request: Request) -> Answer:
        """List the runs of a Thing, by action and newest first."""
        invocations = await invocations_by_action(
            request.thing.thing, self._served.manager, self._place
        )
        return Answer(raw={"statuses": invocations})

    async def cancel(self, request: Request) -> Answer:
        """Ask a run to stop."""
        invocation = await self.find(request)
        if not invocation.cancel():
            raise InvocationFinishedError(invocation.id, invocation.status.value)
        return Answer(204, {"actionID": str(invocation.id)})

    async def find(self, request: Request) -> Invocation | RecordedInvocation:
        """Return the run that a message is about; it must be one of its Thing and action."""
        invocation = await find_invocation(
            self._served.manager, request.invocation_id, self._served.prefix
        )
        used = request.used
        if used is not None and invocation.thing_name != used.thing.name:
            raise InvocationNotFoundError(invocation.id)
        if "name" in request.members and invocation.action_name != request.name:
            if used is not None and request.name not in used.actions:
                raise AffordanceNotFoundError(
                    used.thing.name, "action", request.name, list(used.actions)
                )
            raise InvocationNotFoundError(invocation.id)
        return invocation

    def _told(self, invocation: Invocation | RecordedInvocation, status: int) -> Answer:
        members = {"actionID": str(invocation.id), "state": w3c_word(invocation)}
        return Answer(status, members, {"status": action_status(invocation, self._place)})

    def status_of(self, invocation: Invocation | RecordedInvocation) -> Answer:
        """Say how a run is, to a client that begins to follow it."""
        return self._told(invocation, 200)


def _with_output(json: bytes) -> Answer:
    return Answer(200, raw={} if json == b"null" else {"output": json})
