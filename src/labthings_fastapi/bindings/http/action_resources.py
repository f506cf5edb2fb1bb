"""Actions and their invocations as HTTP resources, in the words of the W3C."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from labthings_fastapi.actions.array_outputs import shown
from labthings_fastapi.actions.rendering import InvocationUrls, action_status, as_begun
from labthings_fastapi.actions.routes import honour_prefer, summaries
from labthings_fastapi.bindings.interaction.actions import (
    invocations_by_action,
    output_of,
)
from labthings_fastapi.outputs.negotiation import JSON
from labthings_fastapi.problems import Problem
from labthings_fastapi.request_location import base_url
from labthings_fastapi.schemas.json_text import LARGE
from labthings_fastapi.thing_description.paths import name_of

from .idempotency import KEY_HEADER, KeyedInvocations, idempotency_key
from .router import NO_METHODS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labthings_fastapi.actions.manager import ActionManager
    from labthings_fastapi.actions.recorded_invocation import KnownInvocation
    from labthings_fastapi.bindings.interaction.actions import ActionInteraction
    from labthings_fastapi.schemas.array_files import ArrayFile
    from labthings_fastapi.security.roles import Actor
    from labthings_fastapi.thing import Thing

    from .request_response import HttpRequest, HttpResponse

_NO_HEADERS: Mapping[str, str] = {}


class Answer(NamedTuple):
    """The response to a POST of an action, for any web framework; a problem replaces the body."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = _NO_HEADERS
    problem: Problem | None = None
    media_type: str = JSON
    parts: Sequence[Any] = ()
    """Of a file with arrays, in the place of the body."""


async def _output_answer(invocation: KnownInvocation, urls: InvocationUrls) -> Answer:
    output = await output_of(invocation, urls)
    if isinstance(output, Problem):
        return Answer(output.status, problem=output)
    return Answer(204) if output == b"null" else Answer(200, output)


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
        answer = await self.invoke(response, await response.value())
        if answer.problem is not None:
            await response.send_problem(answer.problem)
        elif answer.parts:
            await response.send_parts(answer.status, answer.parts, answer.media_type)
        else:
            await response.send(answer.status, answer.body, headers=answer.headers)

    async def invoke(self, request: HttpRequest, body: bytes | ArrayFile, **options: Any) -> Answer:
        """Start an invocation with the input in `body`.

        Return 201 with the status of the invocation, as soon as its record is committed. For a
        synchronous action, return 200 with the bare output, or 204 without one.

        `options` are further arguments of `ActionManager.invoke_action`.
        """
        action, headers = self.descriptor, request.headers
        # Clients send an empty body or null where an action takes no input.
        input_json = body
        if isinstance(body, bytes) and body.strip() in (b"", b"null"):
            input_json = b"{}"
        invocation: KnownInvocation
        # An emergency stop does not wait for the journal, and may run twice.
        if action.stop or KEY_HEADER not in headers:
            invocation = await self._action.invoke(input_json, **options)
        else:
            key = headers[KEY_HEADER].decode("latin-1")
            actor: Actor | None = request.scope.get("labthings.actor")
            owner = "" if actor is None else actor.name
            invocation = await self._invoke_with_key(key, owner, input_json, options)
        urls = InvocationUrls(base_url(request.scope), self._prefix)
        if action.synchronous:
            if self._action.file_types:
                return await self._arrays_answer(invocation, urls, request)
            return await _output_answer(invocation, urls)
        answered: dict[str, str] = {}
        if b"prefer" in headers:
            prefer = request.joined_header(b"prefer")
            answered = await honour_prefer(invocation, prefer, action.response_timeout)
        record = invocation.snapshot(log=True)
        if not record.is_open and b"prefer" not in headers and KEY_HEADER not in headers:
            record = as_begun(record)
        record = await shown(record, request.joined_header(b"accept"))
        answered["Location"] = urls.of_action_invocation(record)
        return Answer(201, action_status(record, urls), answered)

    async def _arrays_answer(
        self, invocation: KnownInvocation, urls: InvocationUrls, request: HttpRequest
    ) -> Answer:
        media_type = request.wanted(self._action.file_types)
        if media_type != JSON:
            parts = await self._action.output_file(invocation, media_type)
            if parts:
                return Answer(200, media_type=media_type, parts=parts)
        answer = await _output_answer(invocation, urls)
        return answer._replace(headers={"Vary": "Accept"})

    async def _invoke_with_key(
        self, key: str, owner: str, input_json: bytes | ArrayFile, options: dict[str, Any]
    ) -> KnownInvocation:
        """Start an invocation, unless an earlier request had the same `Idempotency-Key`."""
        checked_input = await self._action.check(input_json)
        name = (name_of(self._thing), self.descriptor.name)
        text = input_json if isinstance(input_json, bytes) else input_json.fingerprint()
        parts = (key, *name, text, options.get("id"), owner)
        if len(text) > LARGE:
            record_key = await asyncio.to_thread(idempotency_key, *parts)
        else:
            record_key = idempotency_key(*parts)
        options |= {"id": record_key.invocation, "input": checked_input}
        return await self._keyed.invocation_for(
            record_key, partial(self._action.invoke_checked, options)
        )

    async def get(self, response: HttpResponse) -> None:
        """List the invocations of this action in short, newest last."""
        urls = InvocationUrls(base_url(response.scope), self._prefix)
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
        self.label = f"The actions of Thing {name_of(thing)!r}"
        self.handlers = {"GET": self.get}

    async def get(self, response: HttpResponse) -> None:
        """List the invocations by action, newest first."""
        urls = InvocationUrls(base_url(response.scope), self._prefix)
        await response.send(200, await invocations_by_action(self._thing, self._manager, urls))
