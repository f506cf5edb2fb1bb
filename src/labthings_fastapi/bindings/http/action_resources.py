"""Actions and their runs as HTTP resources, in W3C words."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote
from uuid import UUID

from labthings_fastapi.actions.recorded_run import find_run
from labthings_fastapi.actions.rendering import Place, action_status, summaries
from labthings_fastapi.actions.routes import honour_prefer, wait_for_end
from labthings_fastapi.exceptions import InvocationFinishedError, InvocationNotFoundError
from labthings_fastapi.messages.message import InvocationStatus
from labthings_fastapi.portal.doorbell import outcome
from labthings_fastapi.problems import Problem, message_problem

from .idempotency import KEY_HEADER, KeyedRuns, run_key
from .property_resources import NO_METHODS

if TYPE_CHECKING:
    from collections.abc import Callable

    from labthings_fastapi.actions.invocation import Invocation
    from labthings_fastapi.actions.manager import ActionManager
    from labthings_fastapi.actions.recorded_run import RecordedRun
    from labthings_fastapi.descriptors.action import ActionDescriptor
    from labthings_fastapi.portal.workers import Lane
    from labthings_fastapi.thing import Thing

    from .exchange import Exchange, Inbound

T = TypeVar("T")


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
    run: Invocation | RecordedRun,
    action: ActionDescriptor[Any, Any, Any],
    place: Place,
    prefer: str | None,
) -> Answer:
    """Say that a run was started, once its record is committed, or how it ended.

    201 with its status; for a synchronous action, 200 with the bare output, or 204 without one.
    An emergency stop has begun, whatever the journal says.
    """
    if run.commit is not None and not action.stop:
        await outcome(run.commit)
    href = place.of_action_run(run)
    if action.synchronous:
        await wait_for_end(run, None)
        return _synchronous_answer(run, href)
    # A header holds ASCII, and the name of a method any letter (RFC 3986, section 2.1).
    headers = {"Location": quote(href, safe="%/:?#[]@!$&'()*+,;=~")}
    headers |= await honour_prefer(run, prefer, action.response_timeout)
    return Answer(201, action_status(run, place), headers)


def _synchronous_answer(run: Invocation | RecordedRun, href: str) -> Answer:
    state = run.announcement.state
    if state.status is InvocationStatus.COMPLETED:
        json = state.output_json or b"null"
        return Answer(204) if json == b"null" else Answer(200, json)
    detail = (state.problem or {}).get("detail", "The run ended without an output.")
    cancelled = state.status is InvocationStatus.CANCELLED
    if state.problem and state.started is None and not cancelled:
        # Refused before it began: the request failed, not the action.
        said = state.problem
        refusal = Problem(
            said["status"], said["type"], said["title"], said["detail"], extra={"href": href}
        )
        return Answer(refusal.status, problem=refusal)
    problem = message_problem(
        "cancelled" if cancelled else "action-failed",
        "The run was cancelled" if cancelled else "The action failed",
        500,
        detail,
        href=href,
    )
    return Answer(500, problem=problem)


class ActionResource:
    """`/{thing}/{action}`; used on the server's event loop."""

    def __init__(
        self,
        thing: Thing,
        descriptor: ActionDescriptor[Any, Any, Any],
        lane: Lane,
        manager: ActionManager,
        prefix: str,
    ) -> None:
        """Serve one action of one Thing."""
        self._thing = thing
        self.descriptor = descriptor
        self._lane = lane
        self._manager = manager
        self._prefix = prefix
        self._keyed = KeyedRuns(manager, prefix)
        self.what = f"Action {descriptor.name!r} of Thing {thing.name!r}"
        # With dependencies to inject, FastAPI takes the POST: see `injected.py`.
        self.injected = bool(descriptor.dependency_params)
        self.passes_on = frozenset({"POST"}) if self.injected else NO_METHODS
        self.handlers = {"GET": self.get}
        if not self.injected:
            self.handlers["POST"] = self.post

    async def post(self, exchange: Exchange) -> None:
        """Start a run."""
        answer = await self.invoke(exchange, await exchange.body())
        if answer.problem is not None:
            await exchange.refuse(answer.problem)
        else:
            await exchange.reply(answer.status, answer.body, headers=answer.headers)

    async def invoke(self, asked: Inbound, body: bytes, **handles: Any) -> Answer:
        """Start a run with the input in `body`; `handles` are what a manager takes beside it."""
        # Clients that have nothing to say send nothing, or null.
        text = b"{}" if body.strip() in (b"", b"null") else body
        key = asked.header(KEY_HEADER)
        run: Invocation | RecordedRun
        # An emergency stop asks no journal first; to stop twice does no harm.
        if key is None or self.descriptor.stop:
            run = await self._apart(self._start, text, handles)
        else:
            given = await self._apart(self.descriptor.input_schema.validate_json, text)
            named = run_key(key, self._thing.name, self.descriptor.name, text, handles.get("id"))
            handles |= {"id": named.run, "input": given}
            run = await self._keyed.run_for(named, partial(self._apart, self._invoke, handles))
        place = Place(asked.origin, self._prefix)
        return await answer_to(run, self.descriptor, place, asked.header(b"prefer"))

    async def _apart(self, do: Callable[..., T], *arguments: Any) -> T:
        """Call what checks the input, or writes it for the record: code of the user's types."""
        if self.descriptor.quick_input:
            return do(*arguments)
        return await self._lane.run(do, *arguments)

    def _start(self, text: bytes, handles: dict[str, Any]) -> Invocation:
        given = self.descriptor.input_schema.validate_json(text)
        return self._invoke({**handles, "input": given})

    def _invoke(self, handles: dict[str, Any]) -> Invocation:
        return self._manager.invoke_action(self.descriptor, self._thing, **handles)

    async def get(self, exchange: Exchange) -> None:
        """List the runs of this action, in short, newest last."""
        place = Place(exchange.origin, self._prefix)
        runs = self._manager.newest(lambda run: run.belongs_to(self.descriptor, self._thing))
        await exchange.reply(200, summaries(runs, place))


class ActionRunResource:
    """`/{thing}/{action}/{id}`: queryaction and cancelaction."""

    passes_on = NO_METHODS

    def __init__(self, action: ActionResource, manager: ActionManager, prefix: str) -> None:
        """Serve the runs of one action."""
        self._action = action
        self._manager = manager
        self._prefix = prefix
        self.what = f"A run of {action.what[0].lower()}{action.what[1:]}"
        self.handlers = {"GET": self.get, "DELETE": self.delete}

    async def _run(self, exchange: Exchange) -> Invocation | RecordedRun:
        text = exchange.path.rpartition("/")[2]
        try:
            id = UUID(text)
        except ValueError as error:
            raise InvocationNotFoundError(text) from error
        run = await find_run(self._manager, id, self._prefix)
        if run.action_path != exchange.path.rpartition("/")[0]:
            raise InvocationNotFoundError(run.id)
        return run

    async def get(self, exchange: Exchange) -> None:
        """Show a run; with `Prefer: wait=N`, wait for its end first."""
        run = await self._run(exchange)
        headers = await honour_prefer(run, exchange.header(b"prefer"), run.response_timeout)
        place = Place(exchange.origin, self._prefix)
        await exchange.reply(200, action_status(run, place), headers=headers)

    async def delete(self, exchange: Exchange) -> None:
        """Ask a run to stop."""
        run = await self._run(exchange)
        if not run.cancel():
            raise InvocationFinishedError(run.id, run.status.value)
        await exchange.reply(204)


class ActionsResource:
    """`/{thing}/actions`: queryallactions."""

    passes_on = NO_METHODS

    def __init__(self, thing: Thing, manager: ActionManager, prefix: str) -> None:
        """Serve the runs of one Thing."""
        self._thing = thing
        self._manager = manager
        self._prefix = prefix
        self.what = f"The actions of Thing {thing.name!r}"
        self.handlers = {"GET": self.get}

    async def get(self, exchange: Exchange) -> None:
        """List the runs by action, newest first."""
        place = Place(exchange.origin, self._prefix)
        runs = self._manager.newest(lambda run: run.belongs_to(thing=self._thing))
        by_action: dict[str, list[bytes]] = {name: [] for name in self._thing.actions}
        for run in reversed(runs):
            by_action[run.action_name].append(action_status(run, place, short=True))
        members = [
            b'"%b":[%b]' % (name.encode(), b",".join(listed)) for name, listed in by_action.items()
        ]
        await exchange.reply(200, b"{" + b",".join(members) + b"}")
