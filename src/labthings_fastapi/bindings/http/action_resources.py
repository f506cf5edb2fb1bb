"""Actions and their invocations as HTTP resources, in the words of the W3C."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from labthings_fastapi.actions.rendering import InvocationUrls, action_status
from labthings_fastapi.actions.routes import honour_prefer, summaries
from labthings_fastapi.bindings.interaction.actions import (
    invocations_by_action,
    output_of,
    when_begun,
)
from labthings_fastapi.problems import Problem

from .idempotency import KEY_HEADER, KeyedInvocations, idempotency_key
from .router import NO_METHODS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labthings_fastapi.actions.manager import ActionManager
    from labthings_fastapi.actions.protocols import KnownInvocation
    from labthings_fastapi.bindings.interaction.actions import ActionInteraction
    from labthings_fastapi.descriptors.action import ActionDescriptor
    from labthings_fastapi.thing import Thing

    from .request_response import HttpRequest, HttpResponse

_NO_HEADERS: Mapping[str, str] = {}


class Answer(NamedTuple):
    """The response to a POST of an action, for any web framework; a problem replaces the body."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = _NO_HEADERS
    problem: Problem | None = None


async def _answer_to(
    invocation: KnownInvocation,
    action: ActionDescriptor[Any, Any, Any],
    urls: InvocationUrls,
    prefer: str | None,
) -> Answer:
    """Return 201 with the status of the invocation, as soon as its record is committed.

    For a synchronous action, return 200 with the bare output, or 204 without one.
    """
    await when_begun(invocation, action)
    href = urls.of_action_invocation(invocation.snapshot())
    if action.synchronous:
        output = output_of(invocation, href)
        if isinstance(output, Problem):
            return Answer(output.status, problem=output)
        return Answer(204) if output == b"null" else Answer(200, output)
    headers = {"Location": href}
    if prefer is not None:
        headers |= await honour_prefer(invocation, prefer, action.response_timeout)
    return Answer(201, action_status(invocation.snapshot(log=True), urls), headers)


class ActionResource:
    """`/{thing}/{action}`; used on the server's event loop."""

    def __init__(self, interaction: ActionInteraction, manager: ActionManager, prefix: str) -> None:
        self._action = interaction
        self._thing = interaction.thing
        self.descriptor = interaction.descriptor
        self._manager = manager
        self._prefix = prefix
        self._keyed = KeyedInvocations(manager, prefix)
        self.label = interaction.label
        # FastAPI resolves dependencies, so their POST is a route of the app: see `injected.py`.
        self.injected = bool(self.descriptor.dependency_params)
        self.fallthrough_methods = frozenset({"POST"}) if self.injected else NO_METHODS
        self.handlers = {"GET": self.get}
        if not self.injected:
            self.handlers["POST"] = self.post

    async def post(self, response: HttpResponse) -> None:
        """Start an invocation."""
        answer = await self.invoke(response, await response.body())
        if answer.problem is not None:
            await response.send_problem(answer.problem)
        else:
            await response.send(answer.status, answer.body, headers=answer.headers)

    async def invoke(self, request: HttpRequest, body: bytes, **options: Any) -> Answer:
        """Start an invocation with the input in `body`.

        `options` are further arguments of `ActionManager.invoke_action`.
        """
        # Clients send an empty body or null where an action takes no input.
        input_json = b"{}" if body.strip() in (b"", b"null") else body
        key = request.header(KEY_HEADER)
        invocation: KnownInvocation
        # An emergency stop does not wait for the journal, and may run twice.
        if key is None or self.descriptor.stop:
            invocation = await self._action.invoke(input_json, **options)
        else:
            checked_input = await self._action.check(input_json)
            record_key = idempotency_key(
                key, self._thing.name, self.descriptor.name, input_json, options.get("id")
            )
            options |= {"id": record_key.invocation, "input": checked_input}
            invocation = await self._keyed.invocation_for(
                record_key, partial(self._action.invoke_checked, options)
            )
        urls = InvocationUrls(request.base_url, self._prefix)
        prefer = request.joined_header(b"prefer")
        return await _answer_to(invocation, self.descriptor, urls, prefer)

    async def get(self, response: HttpResponse) -> None:
        """List the invocations of this action in short, newest last."""
        urls = InvocationUrls(response.base_url, self._prefix)
        invocations = self._manager.newest(
            lambda invocation: invocation.belongs_to(self.descriptor, self._thing)
        )
        await response.send(200, await summaries(invocations, urls))


class ActionsResource:
    """`/{thing}/actions`: queryallactions."""

    fallthrough_methods = NO_METHODS

    def __init__(self, thing: Thing, manager: ActionManager, prefix: str) -> None:
        self._thing = thing
        self._manager = manager
        self._prefix = prefix
        self.label = f"The actions of Thing {thing.name!r}"
        self.handlers = {"GET": self.get}

    async def get(self, response: HttpResponse) -> None:
        """List the invocations by action, newest first."""
        urls = InvocationUrls(response.base_url, self._prefix)
        await response.send(200, await invocations_by_action(self._thing, self._manager, urls))
