"""The HTTP endpoints of the journal, for any FastAPI app; the only web code of this room."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from labthings_fastapi.exceptions import InvocationNotFoundError
from labthings_fastapi.messages.message import InvocationStatus
from labthings_fastapi.routes import ProblemRoute

from .record import JournalQuery
from .rendering import in_full, page

if TYPE_CHECKING:
    from .journal import Journal
    from .protocols import App, Records
    from .record import InvocationRecord

JOURNAL_PATH = "/journal"
LONGEST_PAGE = 1000


class InvocationSummary(BaseModel):
    """One run in short, as the journal lists it; absent values are null."""

    id: UUID
    thing: str
    action: str
    status: InvocationStatus
    href: str
    kind: Literal["run", "mutation"]
    """A run of an action, or another request that changed something."""
    requestedBy: str | None  # noqa: N815 - the names on the wire
    address: str | None
    """The network address that it was asked from."""
    request: dict[str, Any] | None
    """Of a mutation: method, path, status, and the count of those alike in a row."""
    timeRequested: datetime  # noqa: N815
    timeStarted: datetime | None  # noqa: N815
    timeCompleted: datetime | None  # noqa: N815
    error: dict[str, Any] | None
    progressDetail: dict[str, Any] | None  # noqa: N815
    incarnation: str
    """Which life of the server ran it."""


class JournaledInvocation(InvocationSummary):
    """All that the journal has of a run."""

    input: Any
    output: Any
    outputReference: dict[str, Any] | None  # noqa: N815
    """Size and media type of an output that is too large to be kept, or binary."""
    log: list[dict[str, Any]]


class JournalPage(BaseModel):
    """Some of the runs that were asked for, newest first."""

    records: list[InvocationSummary]
    next: str | None
    """The `cursor` of the next page; null on the last one. A `Link` header has its URL too."""


_REFUSED: dict[int | str, dict[str, Any]] = {
    400: {"description": "A time without a zone, or a cursor that is none"}
}
_FAILED: dict[int | str, dict[str, Any]] = {503: {"description": "Too many reads wait"}}
_PAGE = {200: {"model": JournalPage, "description": "A page"}, **_REFUSED, **_FAILED}
_RUN: dict[int | str, dict[str, Any]] = {
    200: {"model": JournaledInvocation, "description": "The record"},
    404: {"description": "No such run in the journal"},
    **_FAILED,
}


def attach(records: Records, app: App, prefix: str = "") -> None:
    """Add the endpoints to an app."""
    router = APIRouter(route_class=ProblemRoute, tags=["journal"])
    _add_search(router, records, prefix)
    _add_record(router, records, prefix)
    app.include_router(router, prefix=prefix)


def _base(request: Request, prefix: str) -> str:
    root = request.scope.get("root_path", "").rstrip("/")
    return f"{request.url.scheme}://{request.url.netloc}{root}{prefix}{JOURNAL_PATH}"


def _add_search(router: APIRouter, records: Records, prefix: str) -> None:
    @router.get(JOURNAL_PATH, name="journal", responses=_PAGE, response_model=None)
    async def search_journal(
        request: Request,
        thing: Annotated[str | None, Query(description="Only runs on this Thing.")] = None,
        action: Annotated[str | None, Query(description="Only runs of this action.")] = None,
        status: Annotated[InvocationStatus | None, Query(description="Only these.")] = None,
        since: Annotated[datetime | None, Query(description="Requested then or later.")] = None,
        until: Annotated[datetime | None, Query(description="Requested before then.")] = None,
        text: Annotated[
            str | None, Query(description="In names, input, output, error or log.")
        ] = None,
        actor: Annotated[
            str | None, Query(description="All that this actor did: runs and other mutations.")
        ] = None,
        kind: Annotated[
            Literal["run", "mutation", "all"] | None,
            Query(description="By default runs, and with `actor` all."),
        ] = None,
        limit: Annotated[int, Query(ge=1, le=LONGEST_PAGE, description="Runs in a page.")] = 100,
        cursor: Annotated[str | None, Query(description="`next` of the page before.")] = None,
    ) -> Response:
        """List the recorded runs, newest first, in short; also those of earlier lives."""
        chosen = kind or ("run" if actor is None else "all")
        query = JournalQuery(
            *(thing, action, status, since, until, text, limit, cursor, actor),
            kind=None if chosen == "all" else chosen,
        )
        base = _base(request, prefix)

        def look(journal: Journal) -> tuple[bytes, str | None]:
            found = journal.search(query)
            return page(found, f"{base}/"), found.next_cursor

        body, following = await records.ask(look)
        headers = {}
        if following is not None:
            asked = request.url.include_query_params(cursor=following).query
            headers["Link"] = f'<{base}?{asked}>; rel="next"'
        return Response(body, media_type="application/json", headers=headers)


def _add_record(router: APIRouter, records: Records, prefix: str) -> None:
    @router.get(
        f"{JOURNAL_PATH}/{{id}}", name="journalled_run", responses=_RUN, response_model=None
    )
    async def get_record(request: Request, id: UUID) -> Response:
        """Show all that the journal has of a run."""
        href = f"{_base(request, prefix)}/{id}"

        def look(journal: Journal) -> bytes | None:
            record: InvocationRecord | None = journal.get(id)
            return None if record is None else in_full(record, href)

        body = await records.ask(look)
        if body is None:
            raise InvocationNotFoundError(id)
        return Response(body, media_type="application/json")
