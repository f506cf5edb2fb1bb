"""From a message of a client to the response."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from labthings_fastapi.actions.context import current_requester
from labthings_fastapi.bindings.interaction.failures import (
    interaction_problem,
    is_expected,
    with_traceback,
)
from labthings_fastapi.dependencies.server import shows_tracebacks
from labthings_fastapi.exceptions import LabThingsError, RequestError, TooBusyError
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.schemas.json_text import LARGE
from labthings_fastapi.thing_description.websocket_forms import SUBPROTOCOL

from .encoders import encode_error, encode_legacy_error, encode_response
from .operations import OPERATIONS, Operations
from .permission import RequestRefused, audit, require_operator
from .requests import Request, observed_names, read_message, text_member
from .selections import LEGACY_MESSAGES

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Scope

    from labthings_fastapi.bindings.interaction.things import ThingInteraction
    from labthings_fastapi.problems import Problem

    from .frame_views import FrameViews
    from .operations import Operation
    from .requests import Members
    from .socket_state import SocketState
    from .subscriptions import Subscriptions

LOGGER = own_logger("websocket")
MAX_PENDING_REQUESTS = 64
"""The most requests in progress of one socket that run code of Things, and of the others."""


class Dispatcher:
    """Executes the messages of one socket; used on the server's event loop.

    Each request has its own task, so a request that waits for a driver delays no other. Requests
    that run no code of Things have a limit of their own, so a cancel is never refused because of
    reads that hang.
    """

    def __init__(
        self,
        state: SocketState,
        thing: ThingInteraction | None,
        scope: Scope,
        respond: Callable[[str], None],
        subscriptions: Subscriptions,
        views: FrameViews,
    ) -> None:
        """Execute for the socket of `thing`, or of the server for None; `respond` never waits."""
        self._state = state
        self._thing = thing
        self._scope = scope
        self._respond = respond
        self._operations = Operations(state, scope, subscriptions, views)
        self._has_subprotocol = SUBPROTOCOL in scope.get("subprotocols", ())
        self._pending = {True: 0, False: 0}  # by whether the request runs code of a Thing
        self._reads: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        """Cancel the requests that change nothing."""
        for task in self._reads:
            task.cancel()

    async def dispatch(self, text: str | None) -> None:
        """Start to execute one message; None stands for a binary one. Errors are responses.

        A large text is parsed on a worker, and the socket is not read meanwhile.
        """
        members: Members = {}
        try:
            if text is not None and len(text) > LARGE:
                members = await self._state.read_large(text)
            else:
                members = read_message(text)
            kind = text_member(members, "messageType")
            if kind == "request":
                self._start(members)
            elif kind in LEGACY_MESSAGES:
                self._observe(members)
            else:
                raise RequestError(
                    f"Unknown 'messageType' {kind[:80]!r}: send one of request, "
                    f"{', '.join(LEGACY_MESSAGES)}."
                )
        except (LabThingsError, RequestRefused) as error:
            self._refuse(members, error, "The message")

    def _thing_id(self, members: Members) -> str | None:
        """Return the `thingID` for an error; None for one that the client may have invented."""
        try:
            return self._target(members)[1]
        except (LabThingsError, RequestRefused):
            return self._state.id_of(self._thing.name) if self._thing is not None else None

    def _target(self, members: Members) -> tuple[ThingInteraction | None, str | None]:
        """Return the Thing that a message names, and its `thingID` for the response."""
        label = members.get("thingID", members.get("thing"))
        if label is None:
            thing = self._thing
            return thing, self._state.id_of(thing.name) if thing is not None else None
        if not isinstance(label, str):
            raise RequestError("'thingID' must be a text: the id, name or path of a Thing.")
        thing = self._state.find(label)
        if self._thing is not None and thing is not self._thing:
            raise RequestError(
                f"The message names Thing {thing.name!r}, and this socket serves "
                f"{self._thing.name!r} only: send the message to the socket of {thing.name!r}, or "
                f"to that of the server, {self._state.prefix}/ws."
            )
        return thing, self._state.id_of(thing.name)

    def _observe(self, members: Members) -> None:
        kind = members["messageType"]
        thing, _ = self._target(members)
        if thing is None:
            raise RequestError(f"{kind!r} needs the member 'thing' on the socket of the server.")
        for name in observed_names(members):
            try:
                request = Request(kind, {**members, "name": name}, thing, None)
                self._operations.observe_legacy(request)
            except (LabThingsError, RequestRefused) as error:
                self._refuse(members, error, f"Thing {thing.name!r}")

    def _start(self, members: Members) -> None:
        name = text_member(members, "operation")
        operation = OPERATIONS.get(name)
        if operation is None:
            raise RequestError(
                f"Unknown operation {name[:80]!r}. The operations are: {', '.join(OPERATIONS)}."
            )
        request = Request(name, members, *self._target(members))
        runs_thing_code = operation.runs_thing_code and not _is_emergency_stop(request)
        if self._pending[runs_thing_code] >= MAX_PENDING_REQUESTS:
            raise TooBusyError(
                f"{self._pending[runs_thing_code]} requests of this socket are in progress, the "
                "most that are allowed: wait for their responses."
            )
        self._pending[runs_thing_code] += 1
        coroutine = self._execute(operation, request, runs_thing_code)
        if operation.changes:
            self._state.run_to_end(coroutine)
        else:
            task = asyncio.create_task(coroutine)
            self._reads.add(task)
            task.add_done_callback(self._reads.discard)

    async def _execute(self, operation: Operation, request: Request, runs_thing_code: bool) -> None:
        thing, name = request.target, request.members.get("name")
        requester = current_requester.get() if operation.changes else None
        if requester is not None:  # with marks of its own; those of the socket are shared
            requester = replace(requester)
            current_requester.set(requester)
        try:
            if operation.changes:
                require_operator(self._scope, request.thing.name)
            response = await operation.handle(self._operations, request)
            status = response.status
            self._respond(encode_response(request, response))
        except Exception as error:  # noqa: BLE001 - every error becomes a response
            subject = thing.label_of(name) if thing is not None else "The server"
            status = self._refuse(dict(request.members), error, subject).status
        finally:
            self._pending[runs_thing_code] -= 1
        if operation.changes and thing is not None:
            affordance = name if isinstance(name, str) else "properties"
            reached = requester is not None and requester.reached_user_code
            audit(self._scope, thing.name, affordance, request.operation, status, reached=reached)

    def _refuse(self, members: Members, error: Exception, subject: str) -> Problem:
        """Respond with a problem, in the vocabulary of the message."""
        path = self._scope["path"]
        if isinstance(error, RequestRefused):
            problem = error.problem.at(path)
        else:
            if not is_expected(error):
                LOGGER.error("%s: %s failed.", subject, members.get("operation"), exc_info=error)
            problem = interaction_problem(error, subject, path)
            if shows_tracebacks(self._scope):
                problem = with_traceback(problem, error)
        kind = members.get("messageType")
        is_legacy = kind in list(LEGACY_MESSAGES)  # a list, because `kind` may be unhashable
        if kind != "request" and not self._has_subprotocol:
            is_legacy = True
        if is_legacy:
            self._respond(encode_legacy_error(members, problem.members()))
        else:
            self._respond(encode_error(members, problem, self._thing_id(members)))
        return problem


def _is_emergency_stop(request: Request) -> bool:
    """Whether the request invokes a stop action, which must never wait for other requests."""
    if request.operation != "invokeaction" or request.target is None:
        return False
    action = request.target.actions.get(str(request.members.get("name")))
    return action is not None and action.descriptor.stop
