"""The HTTP endpoints of invocations, for any FastAPI app; the only web code of this package.

They answer from memory on the event loop: status, cancel and listing never wait for user code.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from labthings_fastapi.concurrency.threadsafe_event import ThreadsafeEvent
from labthings_fastapi.exceptions import (
    InvocationFinishedError,
    NoOutputError,
    OutputNotKeptError,
    OutputNotReadyError,
)
from labthings_fastapi.journal.record import InvocationRecord
from labthings_fastapi.messages.message import InvocationStatus
from labthings_fastapi.messages.stream import COMMENT, MessageStream, encode
from labthings_fastapi.messages.topic import Topic
from labthings_fastapi.outputs.arrow_tables import has_arrow
from labthings_fastapi.outputs.blob import Blob
from labthings_fastapi.outputs.blob_data import LocalBlobData
from labthings_fastapi.outputs.negotiation import acceptable
from labthings_fastapi.outputs.routes import content_response
from labthings_fastapi.outputs.tables import ARROW, TABLE_TYPES
from labthings_fastapi.request_location import base_url
from labthings_fastapi.routes import ProblemRoute

from .array_outputs import array_data, shown, shown_output, takes_arrays
from .files.routes import add_files
from .invocation import Invocation
from .invocation_model import ACTION_INVOCATIONS_PATH, InvocationModel
from .protocols import App
from .recorded_invocation import Invocations, KnownInvocation, find_invocation
from .rendering import InvocationUrls, invocation_json, status_json, summary
from .result_tables import ResultsTable

RENDERED_AT_ONCE: Final = 10  # by a listing, before other requests continue: some 0.2 ms
LONGEST_WAIT: Final = 60.0  # seconds that `Prefer: wait` may ask for
_ID = f"{ACTION_INVOCATIONS_PATH}/{{id}}"
_WAIT = re.compile(r"""(?:^|[,;])\s*wait\s*(?:=\s*"?(\d{1,9})"?)?\s*(?=$|[,;])""", re.IGNORECASE)

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
DROPPED: Final = "LabThings-Results-Dropped"
"""The header with the number of values that were yielded and are no longer kept."""
_RESULTS: Responses = {
    200: {"content": {each: {} for each in TABLE_TYPES}, "description": "The values"},
    406: {"description": "None of the accepted media types is offered"},
    409: {"description": "The run yields no values"},
    **_NOT_FOUND,
}
_STREAM: Responses = {200: {"content": {"text/event-stream": {}}}, **_NOT_FOUND}
# For the docs only: read from the request, which is a quarter faster than a declared parameter.
_PREFER = {
    "parameters": [
        {
            "name": "prefer",
            "in": "header",
            "required": False,
            "schema": {"anyOf": [{"type": "string"}, {"type": "null"}], "title": "Prefer"},
            "description": "`wait=N`: wait up to N seconds (60 at most) for the run to end.",
        }
    ]
}


def attach(manager: Invocations, app: App, prefix: str = "") -> None:
    """Add the endpoints of `manager` to an app."""
    router = APIRouter(route_class=ProblemRoute, tags=["invocations"])
    _add_invocation(router, manager, prefix)  # first: it is asked for most
    _add_listing(router, manager, prefix)
    _add_output(router, manager, prefix)
    _add_results(router, manager)
    add_files(router, manager, prefix)
    _add_events(router, manager)
    _add_pin(router, manager)
    app.include_router(router, prefix=prefix)


def _json(body: bytes, headers: dict[str, str] | None = None) -> Response:
    return Response(body, media_type="application/json", headers=headers)


async def render_each(
    invocations: Iterable[Invocation], render: Callable[[InvocationRecord], bytes]
) -> list[bytes]:
    """Render many invocations, a few at a time, so that other requests need not wait."""
    rendered: list[bytes] = []
    for invocation in invocations:
        if len(rendered) % RENDERED_AT_ONCE == RENDERED_AT_ONCE - 1:
            await asyncio.sleep(0)
        rendered.append(render(invocation.snapshot()))
    return rendered


async def summaries(invocations: Iterable[Invocation], urls: InvocationUrls) -> bytes:
    """Render a listing in LabThings words."""
    rendered = await render_each(invocations, lambda record: summary(record, urls))
    return b"[" + b",".join(rendered) + b"]"


async def wait_for_end(invocation: KnownInvocation, seconds: float | None) -> None:
    """Wait until clients may see the end, at most `seconds`, without holding a thread."""
    if not invocation.snapshot().is_open or (seconds is not None and seconds <= 0):
        return
    event = ThreadsafeEvent()
    forget = invocation.on_end(event.set)
    try:
        await event.wait(seconds)
    finally:
        forget()


def wait_seconds(header: str | None, default: float) -> float | None:
    """Return for how long a `Prefer` header requests to wait (RFC 7240, 4.3); None: it does not."""
    found = _WAIT.search(header) if header else None
    if found is None:
        return None
    return min(float(found[1]) if found[1] is not None else default, LONGEST_WAIT)


async def honour_prefer(
    invocation: KnownInvocation, prefer: str | None, default: float
) -> dict[str, str]:
    """Wait for the end as a `Prefer` header requests; a bare `wait` means `default` seconds."""
    seconds = wait_seconds(prefer, default)
    if seconds is None:
        return {}
    await wait_for_end(invocation, seconds)
    return {"Preference-Applied": f"wait={seconds:g}"}


def _add_listing(router: APIRouter, manager: Invocations, prefix: str) -> None:
    name, path = "action_invocations", ACTION_INVOCATIONS_PATH

    @router.get(path, name=name, responses=_SUMMARIES, response_model=None)
    async def list_invocations(
        request: Request,
        thing: Annotated[str | None, Query(description="Only runs on this Thing.")] = None,
        action: Annotated[str | None, Query(description="Only runs of this action.")] = None,
        status: Annotated[InvocationStatus | None, Query(description="Only these.")] = None,
        limit: Annotated[int | None, Query(ge=1, description="Only the newest n.")] = None,
        before: Annotated[UUID | None, Query(description="Only older than this run.")] = None,
    ) -> Response:
        """List the runs that are retained, newest last, in short."""

        def wanted(invocation: Invocation) -> bool:
            record = invocation.snapshot()
            return (
                thing in (None, record.thing)
                and action in (None, record.action, record.action_path)
                and status in (None, record.status)
            )

        invocations = manager.newest(wanted, limit, before)
        return _json(await summaries(invocations, InvocationUrls(base_url(request.scope), prefix)))


def _add_invocation(router: APIRouter, manager: Invocations, prefix: str) -> None:
    @router.get(
        _ID, name="action_invocation", responses=_RUN, response_model=None, openapi_extra=_PREFER
    )
    async def get_invocation(request: Request, id: UUID) -> Response:
        """Show all of a run; with `Prefer: wait=N`, wait for its end first."""
        invocation = await find_invocation(manager, id, prefix)
        # The header may come more than once (RFC 7240, section 2).
        prefer = ", ".join(request.headers.getlist("prefer"))
        headers = await honour_prefer(invocation, prefer, invocation.response_timeout)
        urls = InvocationUrls(base_url(request.scope), prefix)
        record = await shown(invocation.snapshot(log=True), request.headers.get("accept"))
        return _json(invocation_json(record, urls), headers)

    @router.delete(
        _ID,
        name="cancel_action_invocation",
        status_code=204,
        response_class=Response,
        responses=_CANCEL,
    )
    async def cancel_invocation(id: UUID) -> Response:
        """Ask a run to stop; it does so at its next cancellation point."""
        invocation = await find_invocation(manager, id, prefix)
        if not invocation.cancel():
            raise InvocationFinishedError(id, invocation.snapshot().status.value)
        return Response(status_code=204)


def _add_output(router: APIRouter, manager: Invocations, prefix: str) -> None:
    @router.get(
        _ID + "/output", name="action_invocation_output", response_model=None, responses=_OUTPUT
    )
    async def get_output(request: Request, id: UUID) -> Response:
        """Give the bare output of a finished run, binary ones as their own media type."""
        invocation = await find_invocation(manager, id)
        record = invocation.snapshot()
        if record.is_open:
            raise OutputNotReadyError(id, record.status.value)
        output = invocation.output
        if isinstance(output, Blob) and isinstance(output.data, LocalBlobData):
            return content_response(output.data)
        if (reference := record.output_reference) is not None:
            raise OutputNotKeptError(id, reference["size"], reference["media_type"])
        if record.output is None:
            raise NoOutputError(id, record.status.value)
        accept = request.headers.get("accept")
        if takes_arrays(accept) and (data := await array_data(record.output)) is not None:
            return content_response(data)
        shown = await shown_output(record.output, accept) or b""
        return _json(InvocationUrls(base_url(request.scope), prefix).links(shown))


def _add_results(router: APIRouter, manager: Invocations) -> None:
    @router.get(
        _ID + "/results",
        name="action_invocation_results",
        response_model=None,
        responses=_RESULTS,
    )
    async def get_results(
        request: Request,
        id: UUID,
        after: Annotated[int, Query(ge=0, description="Skip the first n values.")] = 0,
    ) -> Response:
        """Give the values that a run yields as a table, as they come, until it ends.

        JSON, the default, has those that are kept now.
        """
        invocation = await find_invocation(manager, id)
        accept = request.headers.get("accept")
        media_type = acceptable(accept, ("application/json", *TABLE_TYPES))
        if media_type == ARROW and not has_arrow():
            raise HTTPException(
                406, f"{ARROW} needs pyarrow: install it, or this package's extra `tables`."
            )
        if media_type is None:
            raise HTTPException(
                406, f"Results are sent as application/json or {', '.join(TABLE_TYPES)}."
            )
        table = ResultsTable(invocation)
        if not await table.load():
            raise HTTPException(409, f"Run {id} has no results: it yields no values.")
        headers = {DROPPED: str(table.dropped(after)), "Vary": "Accept"}
        if media_type != "application/json":
            body = table.written(manager.broker, media_type, after)
            headers |= {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
            return StreamingResponse(body, media_type=media_type, headers=headers)
        values = b"[" + b",".join(table.since(after)[0]) + b"]"
        return _json(await shown_output(values, accept) or b"", headers)


def _add_pin(router: APIRouter, manager: Invocations) -> None:
    @router.post(
        _ID + "/pin",
        name="pin_action_invocation",
        status_code=204,
        response_class=Response,
        responses=_NOT_FOUND,
    )
    async def pin(id: UUID) -> Response:
        """Keep a run with its record, blobs and files, beyond every age and limit."""
        await manager.pin(id, pinned=True)
        return Response(status_code=204)

    @router.delete(
        _ID + "/pin",
        name="unpin_action_invocation",
        status_code=204,
        response_class=Response,
        responses=_NOT_FOUND,
    )
    async def unpin(id: UUID) -> Response:
        """Keep a run as long as others."""
        await manager.pin(id, pinned=False)
        return Response(status_code=204)


def _add_events(router: APIRouter, manager: Invocations) -> None:
    @router.get(
        _ID + "/events", name="action_invocation_events", response_class=Response, responses=_STREAM
    )
    async def stream_events(
        id: UUID, last_event_id: Annotated[str | None, Header()] = None
    ) -> Response:
        """Stream status, progress, log and results of a run until it ends."""
        invocation = await find_invocation(manager, id)
        return _InvocationStream(invocation, manager, last_event_id)


class _InvocationStream(StreamingResponse):
    """The messages of an invocation until its end.

    It subscribes before it sends the headers: a client that has these misses nothing that follows.
    """

    def __init__(
        self, invocation: KnownInvocation, manager: Invocations, last_event_id: str | None
    ) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(iter(()), media_type="text/event-stream", headers=headers)
        self._invocation = invocation
        self._manager = manager
        self._last_event_id = last_event_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        topic = Topic(invocation=self._invocation.id)
        with MessageStream(self._manager.broker, topic, self._last_event_id) as messages:
            self.body_iterator = self._events(messages)
            await super().__call__(scope, receive, send)

    async def _events(self, messages: MessageStream) -> AsyncIterator[bytes]:
        """Yield the messages that were missed, or the present status; then what follows."""
        record = self._invocation.snapshot()
        missed = messages.subscription.take()
        ended = any(message.final for message in missed)
        urls = InvocationUrls(prefix=self._manager.prefix)
        present = b"event: status\ndata: %b\n\n" % status_json(record, urls)
        if self._last_event_id is None:
            yield present
        for message in missed:
            yield encode(message)
        if ended or not record.is_open:
            if not ended and self._last_event_id is not None:
                yield present  # last: who sees the end reads no further
            return
        async for batch in messages:
            for message in batch:
                yield encode(message)
            if any(message.final for message in batch):
                return
            if not batch:
                yield COMMENT
