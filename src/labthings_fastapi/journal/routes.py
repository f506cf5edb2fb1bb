"""The HTTP endpoints of the journal, for any FastAPI app."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from labthings_fastapi.exceptions import InvocationNotFoundError
from labthings_fastapi.messages.message import InvocationStatus
from labthings_fastapi.outputs.links import absolute_links
from labthings_fastapi.routes import ProblemRoute

from .query import JournalQuery
from .rendering import full_mutation, in_full, page

if TYPE_CHECKING:
    from collections.abc import Callable

    from .journal import Journal
    from .mutation import MutationRecord
    from .protocols import App, AsyncJournal
    from .query import RecordPage
    from .record import InvocationRecord

JOURNAL_PATH = "/journal"
MAX_PAGE = 1000


class InvocationSummary(BaseModel):
    """One invocation or mutation in a list of the journal; absent values are null."""

    id: UUID
    thing: str
    action: str
    status: InvocationStatus
    href: str
    kind: Literal["run", "mutation"]
    """`run` is an invocation, `mutation` another request that changed something."""
    requestedBy: str | None  # noqa: N815 - the names on the wire
    address: str | None
    """The network address of the client."""
    request: dict[str, Any] | None
    """Of a mutation: `method`, `path`, `status`, and the `count` of equal requests."""
    timeRequested: datetime  # noqa: N815
    timeStarted: datetime | None  # noqa: N815
    timeCompleted: datetime | None  # noqa: N815
    error: dict[str, Any] | None
    progressDetail: dict[str, Any] | None  # noqa: N815
    incarnation: str
    """Identifies the start of the server that recorded it."""
    cancelRequested: bool  # noqa: N815
    """Whether somebody asked it to stop, also if its code went on all the same."""
    partial: bool
    """Whether the output has the values yielded so far, because it did not complete."""
    resultsDropped: int  # noqa: N815
    """How many of the values that it yielded are no longer kept, the oldest."""
    detailsDropped: bool  # noqa: N815
    """Whether input, output and log were given up for their age, or for the space they take."""
    outputsDropped: int  # noqa: N815
    """The bytes of blobs and files that were deleted because there were too many."""
    pinned: bool
    """Whether it is kept beyond every age and limit."""


class JournaledInvocation(InvocationSummary):
    """Everything that the journal has of an invocation or a mutation."""

    input: Any
    output: Any
    outputReference: dict[str, Any] | None  # noqa: N815
    """Size and media type of an output that is not kept, because it is too large or binary."""
    log: list[dict[str, Any]]
    logDropped: int  # noqa: N815
    """How many lines of the log are no longer kept, the oldest."""
    things: list[str]
    """The names of the Things that took part: its own and those that its code entered."""


class JournalPage(BaseModel):
    """Some of the records that match, newest first."""

    records: list[InvocationSummary]
    next: str | None
    """The `cursor` of the next page; null on the last page. A `Link` header has its URL."""


_INVALID: dict[int | str, dict[str, Any]] = {
    400: {"description": "A time without a time zone, or an invalid cursor"}
}
_BUSY: dict[int | str, dict[str, Any]] = {
    503: {"description": "Too many requests for the journal are waiting"}
}
_PAGE = {200: {"model": JournalPage, "description": "A page"}, **_INVALID, **_BUSY}
_RECORD: dict[int | str, dict[str, Any]] = {
    200: {"model": JournaledInvocation, "description": "The record"},
    404: {"description": "The journal has no such record"},
    **_BUSY,
}
_SEARCHES: dict[
    str, Callable[[Journal, JournalQuery], RecordPage[InvocationRecord | MutationRecord]]
] = {
    "run": lambda journal, query: journal.search(query),
    "mutation": lambda journal, query: journal.search_mutations(query),
    "all": lambda journal, query: journal.search_all(query),
}


def attach(journal: AsyncJournal, app: App, prefix: str = "") -> None:
    """Add the endpoints to an app."""
    router = APIRouter(route_class=ProblemRoute, tags=["journal"])
    _add_search(router, journal, prefix)
    _add_record(router, journal, prefix)
    app.include_router(router, prefix=prefix)


def _base(request: Request, prefix: str) -> str:
    root = request.scope.get("root_path", "").rstrip("/")
    return f"{request.url.scheme}://{request.url.netloc}{root}{prefix}{JOURNAL_PATH}"


def _add_search(router: APIRouter, journal: AsyncJournal, prefix: str) -> None:
    @router.get(JOURNAL_PATH, name="journal", responses=_PAGE, response_model=None)
    async def search_journal(
        request: Request,
        thing: Annotated[str | None, Query(description="Only records of this Thing.")] = None,
        action: Annotated[str | None, Query(description="Only records of this action.")] = None,
        status: Annotated[
            InvocationStatus | None, Query(description="Only records with this status.")
        ] = None,
        since: Annotated[
            datetime | None, Query(description="Requested at this time or later.")
        ] = None,
        until: Annotated[datetime | None, Query(description="Requested before this time.")] = None,
        text: Annotated[
            str | None, Query(description="In names, input, output, error or log.")
        ] = None,
        actor: Annotated[
            str | None, Query(description="All records of this actor, mutations too.")
        ] = None,
        kind: Annotated[
            Literal["run", "mutation", "all"] | None,
            Query(description="The default is `run`, with `actor` it is `all`."),
        ] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Records in a page.")] = 100,
        cursor: Annotated[str | None, Query(description="`next` of the previous page.")] = None,
    ) -> Response:
        """List recorded runs and mutations, newest first; also those before a restart."""
        query = JournalQuery(thing, action, status, since, until, text, limit, cursor, actor)
        search = _SEARCHES[kind or ("run" if actor is None else "all")]
        base = _base(request, prefix)

        def render(journal: Journal) -> tuple[bytes, str | None]:
            found = search(journal, query)
            return page(found, f"{base}/"), found.next_cursor

        body, next_cursor = await journal.read(render)
        headers = {}
        if next_cursor is not None:
            parameters = request.url.include_query_params(cursor=next_cursor).query
            headers["Link"] = f'<{base}?{parameters}>; rel="next"'
        return Response(body, media_type="application/json", headers=headers)


def _add_record(router: APIRouter, journal: AsyncJournal, prefix: str) -> None:
    @router.get(
        f"{JOURNAL_PATH}/{{id}}", name="journalled_run", responses=_RECORD, response_model=None
    )
    async def get_record(request: Request, id: UUID) -> Response:
        """Return everything that the journal has of a run or a mutation."""
        base = _base(request, prefix)
        href, server = f"{base}/{id}", base.removesuffix(JOURNAL_PATH)

        def render(journal: Journal) -> bytes | None:
            if (invocation := journal.get(id)) is not None:
                return absolute_links(in_full(invocation, href), server)
            mutation = journal.get_mutation(id)
            return None if mutation is None else full_mutation(mutation, href)

        body = await journal.read(render)
        if body is None:
            raise InvocationNotFoundError(id)
        return Response(body, media_type="application/json")
