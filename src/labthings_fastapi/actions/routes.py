"""The HTTP endpoints of invocations, for any FastAPI app; the only web code of this room.

Every endpoint answers from memory on the event loop: none needs a worker thread, so status, cancel
and listing never wait for user code.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse

from labthings_fastapi.concurrency.threadsafe_event import ThreadsafeEvent
from labthings_fastapi.exceptions import (
    InvocationFinishedError,
    NoOutputError,
    OutputNotKeptError,
    OutputNotReadyError,
)
from labthings_fastapi.messages.message import InvocationStatus
from labthings_fastapi.messages.sse import COMMENT, KEEP_ALIVE_SECONDS, encode
from labthings_fastapi.messages.topic import Topic
from labthings_fastapi.outputs.blob import Blob
from labthings_fastapi.outputs.routes import blob_response, file_response
from labthings_fastapi.request_location import base_url
from labthings_fastapi.routes import ProblemRoute

from .invocation_model import ACTION_INVOCATIONS_PATH, InvocationModel
from .prefer import applied, wait_seconds
from .recorded_invocation import RecordedInvocation, find_invocation
from .rendering import InvocationUrls, in_full, status_news, summary

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from .invocation import Invocation
    from .invocation_collection import Invocations
    from .protocols import App
    from .rendering import AnyInvocation

INVOCATIONS_AT_ONCE: Final = 10
"""How many runs a listing writes before others have their turn: about a fifth of a millisecond."""

Responses = dict[int | str, dict[str, Any]]
_NOT_FOUND: Responses = {404: {"description": "No such invocation"}}
_SUMMARIES: Responses = {200: {"description": "Summaries, newest last"}, **_NOT_FOUND}
_RUN: Responses = {200: {"model": InvocationModel, "description": "The run"}, **_NOT_FOUND}
_CANCEL: Responses = {409: {"description": "Already finished"}, **_NOT_FOUND}
_OUTPUT: Responses = {
    409: {"description": "The run ended without an output"},
    503: {"description": "The run has not finished"},
    **_NOT_FOUND,
}
_STREAM: Responses = {200: {"content": {"text/event-stream": {}}}, **_NOT_FOUND}
_PREFER = Header(description="`wait=N`: wait up to N seconds (60 at most) for the run to end.")


def attach(manager: Invocations, app: App, prefix: str = "") -> None:
    """Add the endpoints of `manager` to an app."""
    router = APIRouter(route_class=ProblemRoute, tags=["invocations"])
    _add_listing(router, manager, prefix)
    _add_invocation(router, manager, prefix)
    _add_output(router, manager)
    _add_files(router, manager)
    _add_events(router, manager)
    app.include_router(router, prefix=prefix)


def _json(body: bytes, headers: dict[str, str] | None = None) -> Response:
    return Response(body, media_type="application/json", headers=headers)


async def written(
    invocations: Iterable[AnyInvocation], write: Callable[[AnyInvocation], bytes]
) -> list[bytes]:
    """Write many runs, a few at a time: whoever asks for ten thousand must not keep others waiting.

    A run that goes on meanwhile is written as it is then.
    """
    found: list[bytes] = []
    for invocation in invocations:
        if len(found) % INVOCATIONS_AT_ONCE == INVOCATIONS_AT_ONCE - 1:
            await asyncio.sleep(0)
        found.append(write(invocation))
    return found


async def summaries(invocations: Iterable[AnyInvocation], place: InvocationUrls) -> bytes:
    """Write a listing in LabThings words."""
    return (
        b"["
        + b",".join(await written(invocations, lambda invocation: summary(invocation, place)))
        + b"]"
    )


async def wait_for_end(invocation: Invocation | RecordedInvocation, seconds: float | None) -> None:
    """Wait until the end of a run is told, at most so many seconds, without holding a thread."""
    if invocation.committed.state.finished or (seconds is not None and seconds <= 0):
        return
    bell = ThreadsafeEvent()
    forget = invocation.committed.on_end(bell.set)
    try:
        await bell.wait(seconds)
    finally:
        forget()


async def honour_prefer(
    invocation: Invocation | RecordedInvocation, prefer: str | None, default: float
) -> dict[str, str]:
    """Wait for the end of a run as a `Prefer` header asks, and return the header that says so.

    A bare `wait` means `default` seconds.
    """
    seconds = wait_seconds(prefer, default)
    if seconds is None:
        return {}
    await wait_for_end(invocation, seconds)
    return applied(seconds)


def _selection(
    thing: str | None, action: str | None, status: InvocationStatus | None
) -> Callable[[Invocation], bool]:
    def wanted(invocation: Invocation) -> bool:
        return (
            (thing is None or invocation.thing_name == thing)
            and (action is None or action in (invocation.action_name, invocation.action_path))
            and (status is None or invocation.committed.state.status is status)
        )

    return wanted


def _add_listing(router: APIRouter, manager: Invocations, prefix: str) -> None:
    @router.get(
        ACTION_INVOCATIONS_PATH,
        name="action_invocations",
        responses=_SUMMARIES,
        response_model=None,
    )
    async def list_invocations(
        request: Request,
        thing: Annotated[str | None, Query(description="Only runs on this Thing.")] = None,
        action: Annotated[str | None, Query(description="Only runs of this action.")] = None,
        status: Annotated[InvocationStatus | None, Query(description="Only these.")] = None,
        limit: Annotated[int | None, Query(ge=1, description="Only the newest so many.")] = None,
        before: Annotated[UUID | None, Query(description="Only older than this run.")] = None,
    ) -> Response:
        """List the runs that are retained, newest last, in short."""
        invocations = manager.newest(_selection(thing, action, status), limit, before)
        return _json(await summaries(invocations, InvocationUrls(base_url(request.scope), prefix)))


def _add_invocation(router: APIRouter, manager: Invocations, prefix: str) -> None:
    @router.get(
        f"{ACTION_INVOCATIONS_PATH}/{{id}}",
        name="action_invocation",
        responses=_RUN,
        response_model=None,
    )
    async def get_invocation(
        request: Request, id: UUID, prefer: Annotated[str | None, _PREFER] = None
    ) -> Response:
        """Show all of a run; with `Prefer: wait=N`, wait for its end first."""
        invocation = await find_invocation(manager, id, prefix)
        if prefer is not None:
            # The header may come more than once (RFC 7240, section 2).
            prefer = ", ".join(request.headers.getlist("prefer"))
        headers = await honour_prefer(invocation, prefer, invocation.response_timeout)
        return _json(in_full(invocation, InvocationUrls(base_url(request.scope), prefix)), headers)

    @router.delete(
        f"{ACTION_INVOCATIONS_PATH}/{{id}}",
        name="cancel_action_invocation",
        status_code=204,
        response_class=Response,
        responses=_CANCEL,
    )
    async def cancel_invocation(id: UUID) -> Response:
        """Ask a run to stop; it does so at its next cancellation point."""
        invocation = await find_invocation(manager, id, prefix)
        if not invocation.cancel():
            raise InvocationFinishedError(id, invocation.status.value)
        return Response(status_code=204)


def _add_output(router: APIRouter, manager: Invocations) -> None:
    @router.get(
        f"{ACTION_INVOCATIONS_PATH}/{{id}}/output",
        name="action_invocation_output",
        response_model=None,
        responses=_OUTPUT,
    )
    async def get_output(id: UUID) -> Response:
        """Give the bare output of a finished run, binary ones as their own media type."""
        invocation = await find_invocation(manager, id)
        state = invocation.committed.state
        if not state.finished:
            raise OutputNotReadyError(id, state.status.value)
        if isinstance(invocation, RecordedInvocation) and invocation.output_reference is not None:
            raise OutputNotKeptError(id, **invocation.output_reference)
        if state.output_json is None:
            raise NoOutputError(id, state.status.value)
        if isinstance(state.output, Blob):
            return blob_response(state.output)
        return _json(state.output_json)


def _add_files(router: APIRouter, manager: Invocations) -> None:
    @router.get(
        f"{ACTION_INVOCATIONS_PATH}/{{id}}/files",
        name="action_invocation_files",
        responses=_NOT_FOUND,
    )
    async def list_files(id: UUID) -> list[str]:
        """List the names of the files that the run left behind."""
        return manager.get_invocation(id).files.names()

    @router.get(
        f"{ACTION_INVOCATIONS_PATH}/{{id}}/files/{{filename}}",
        name="action_invocation_file",
        response_class=Response,
        responses={404: {"description": "No such invocation or file"}},
    )
    async def get_file(id: UUID, filename: str) -> Response:
        """Download a file that the run left behind."""
        found = manager.get_invocation(id).files.find(filename)
        if found is None:
            raise HTTPException(404, f"Invocation {id} left no file called {filename!r}.")
        return file_response(found)


def _add_events(router: APIRouter, manager: Invocations) -> None:
    @router.get(
        f"{ACTION_INVOCATIONS_PATH}/{{id}}/events",
        name="action_invocation_events",
        response_class=Response,
        responses=_STREAM,
    )
    async def stream_events(
        id: UUID, last_event_id: Annotated[str | None, Header()] = None
    ) -> Response:
        """Stream status, progress, log and results of a run until it ends."""
        invocation = await find_invocation(manager, id)
        return StreamingResponse(
            _events_of(invocation, manager, last_event_id),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )


async def _events_of(
    invocation: Invocation | RecordedInvocation, manager: Invocations, last_event_id: str | None
) -> AsyncIterator[bytes]:
    """Yield what a subscriber missed or, for a new one, the state as it is; then what follows."""
    bell = ThreadsafeEvent()
    with manager.broker.subscribe(
        Topic(invocation=invocation.id), wake=bell.set, after=last_event_id
    ) as subscription:
        state = invocation.committed.state
        missed = subscription.take()
        ended = any(message.final for message in missed)
        if last_event_id is None or (state.finished and not ended):
            yield b"event: status\ndata: %b\n\n" % status_news(
                invocation,
                state,
                InvocationUrls(prefix=manager.prefix),
                journaled=invocation.committed.journaled,
            )
            ended = ended or state.finished
        for message in missed:
            yield encode(message)
        while not ended and not subscription.over:
            waiting = subscription.take()
            for message in waiting:
                yield encode(message)
                ended = ended or message.final
            if not waiting and not await bell.wait(KEEP_ALIVE_SECONDS):
                yield COMMENT
