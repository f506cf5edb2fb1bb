"""Actions and their runs as HTTP resources, in W3C words."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from labthings_fastapi.actions.rendering import InvocationUrls, action_status
from labthings_fastapi.actions.routes import honour_prefer, summaries
from labthings_fastapi.bindings.interaction.actions import (
    invocations_by_action,
    output_of,
    when_begun,
)
from labthings_fastapi.problems import Problem

from .idempotency import KEY_HEADER, KeyedInvocations, idempotency_key
from .property_resources import NO_METHODS

if TYPE_CHECKING:
    from labthings_fastapi.actions.manager import ActionManager
    from labthings_fastapi.actions.protocols import KnownInvocation
    from labthings_fastapi.bindings.interaction.actions import ActionInteraction
    from labthings_fastapi.descriptors.action import ActionDescriptor
    from labthings_fastapi.thing import Thing

    from .request_response import HttpRequest, HttpResponse


class Answer:
    """What a POST to an action is answered with; independent of the web framework in use."""

    __slots__ = ("body", "headers", "problem", "status")

    def __init__(
        self,
        status: int,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        problem: Problem | None = None,
    ) -> None:
        """Hold the parts of an answer; a problem takes the place of the body."""
        self.status = status
        self.body = body
        self.headers = headers or {}
        self.problem = problem


async def answer_to(
    invocation: KnownInvocation,
    action: ActionDescriptor[Any, Any, Any],
    place: InvocationUrls,
    prefer: str | None,
) -> Answer:
    """Say that a run was started, once its record is committed, or how it ended.

    201 with its status; for a synchronous action, 200 with the bare output, or 204 without one.
    """
    await when_begun(invocation, action)
    href = place.of_action_invocation(invocation.snapshot())
    if action.synchronous:
        output = output_of(invocation, href)
        if isinstance(output, Problem):
            return Answer(output.status, problem=output)
        return Answer(204) if output == b"null" else Answer(200, output)
    headers = {"Location": href}
    headers |= await honour_prefer(invocation, prefer, action.response_timeout)
    return Answer(201, action_status(invocation.snapshot(log=True), place), headers)


class ActionResource:
    """`/{thing}/{action}`; used on the server's event loop."""

    def __init__(self, interaction: ActionInteraction, manager: ActionManager, prefix: str) -> None:
        """Serve one action of one Thing."""
        self._action = interaction
        self._thing = interaction.thing
        self.descriptor = interaction.descriptor
        self._manager = manager
        self._prefix = prefix
        self._keyed = KeyedInvocations(manager, prefix)
        self.what = interaction.what
        # With dependencies to inject, FastAPI takes the POST: see `injected.py`.
        self.injected = bool(self.descriptor.dependency_params)
        self.fallthrough_methods = frozenset({"POST"}) if self.injected else NO_METHODS
        self.handlers = {"GET": self.get}
        if not self.injected:
            self.handlers["POST"] = self.post

    async def post(self, exchange: HttpResponse) -> None:
        """Start a run."""
        answer = await self.invoke(exchange, await exchange.body())
        if answer.problem is not None:
            await exchange.refuse(answer.problem)
        else:
            await exchange.reply(answer.status, answer.body, headers=answer.headers)

    async def invoke(self, asked: HttpRequest, body: bytes, **handles: Any) -> Answer:
        """Start a run with the input in `body`; `handles` are what a manager takes beside it."""
        # Clients that have nothing to say send nothing, or null.
        text = b"{}" if body.strip() in (b"", b"null") else body
        key = asked.header(KEY_HEADER)
        invocation: KnownInvocation
        # An emergency stop asks no journal first; to stop twice does no harm.
        if key is None or self.descriptor.stop:
            invocation = await self._action.invoke(text, **handles)
        else:
            given = await self._action.check(text)
            named = idempotency_key(
                key, self._thing.name, self.descriptor.name, text, handles.get("id")
            )
            handles |= {"id": named.invocation, "input": given}
            invocation = await self._keyed.invocation_for(
                named, partial(self._action.invoke_checked, handles)
            )
        place = InvocationUrls(asked.origin, self._prefix)
        return await answer_to(invocation, self.descriptor, place, asked.joined(b"prefer"))

    async def get(self, exchange: HttpResponse) -> None:
        """List the runs of this action, in short, newest last."""
        place = InvocationUrls(exchange.origin, self._prefix)
        invocations = self._manager.newest(
            lambda invocation: invocation.belongs_to(self.descriptor, self._thing)
        )
        await exchange.reply(200, await summaries(invocations, place))


class ActionsResource:
    """`/{thing}/actions`: queryallactions."""

    fallthrough_methods = NO_METHODS

    def __init__(self, thing: Thing, manager: ActionManager, prefix: str) -> None:
        """Serve the runs of one Thing."""
        self._thing = thing
        self._manager = manager
        self._prefix = prefix
        self.what = f"The actions of Thing {thing.name!r}"
        self.handlers = {"GET": self.get}

    async def get(self, exchange: HttpResponse) -> None:
        """List the runs by action, newest first."""
        place = InvocationUrls(exchange.origin, self._prefix)
        await exchange.reply(200, await invocations_by_action(self._thing, self._manager, place))
