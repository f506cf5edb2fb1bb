"""The server's own resources: the index, the lists of Things, and `/health`."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI, Request, Response
from pydantic_core import to_json
from starlette.responses import JSONResponse
from starlette.routing import Match

from labthings_fastapi.bindings.http.descriptions import Descriptions, rendering
from labthings_fastapi.request_location import base_url
from labthings_fastapi.routes import ProblemRoute
from labthings_fastapi.thing import Thing
from labthings_fastapi.thing_description.paths import name_of, path_of
from labthings_fastapi.ui import routes as web_page

from .docs_page import DOCS_PATH

if TYPE_CHECKING:
    from starlette.types import Scope

    from .config_model import ThingServerConfig

VERSION = version("labthings-fastapi")
_NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {"description": "Not ready; the same members", "content": {"application/json": {}}}
}


class _LabsFirst(ProblemRoute):
    """A route that yields to one that the laboratory adds at the same path."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, found = super().matches(scope)
        if match is Match.FULL:
            routes = scope["app"].router.routes
            later = routes[routes.index(self) + 1 :]
            if any(route.matches(scope)[0] is Match.FULL for route in later):
                return Match.NONE, {}
        return match, found


def _attach_index(
    app: FastAPI,
    prefix: str,
    things_by_url: Callable[[str], dict[str, str]],
    page: Callable[[Request], Awaitable[Response | None]] | None,
) -> None:
    async def index(request: Request, response: Response) -> Any:
        """List the URLs of the server; a browser gets its web page."""
        if page is not None and (shown := await page(request)) is not None:
            return shown
        response.headers["Vary"] = "Accept"
        url = base_url(request.scope)
        return {
            "title": "LabThings",
            "version": VERSION,
            "things": things_by_url(url),
            "openapi": f"{url}{prefix}/openapi.json",
            "docs": f"{url}{prefix}{DOCS_PATH}",
            "invocations": f"{url}{prefix}/action_invocations",
        }

    options: dict[str, Any] = {"tags": ["server"], "response_model": dict[str, Any]}
    app.router.routes.append(_LabsFirst(f"{prefix}/", index, name="index", **options))


def attach(
    app: FastAPI,
    config: ThingServerConfig,
    things: Callable[[], Mapping[str, Thing]],
    descriptions: Descriptions,
    get_health: Callable[[], dict[str, Any]],
) -> None:
    """Add these routes; `get_health` returns `status`, `things` and `security`."""
    prefix = config.api_prefix
    router = APIRouter(route_class=ProblemRoute, tags=["server"])
    start = time.monotonic()

    def things_by_url(url: str) -> dict[str, str]:
        return {name: f"{url}{path_of(thing)}" for name, thing in things().items()}

    @router.get("/health", name="health", responses=_NOT_READY)
    async def health(response: Response) -> dict[str, Any]:
        """Send the state of the server and of each Thing; 503 while the server is not ready."""
        current = get_health()
        if current["status"] != "running":
            response.status_code = 503
            response.headers["Retry-After"] = "1"
        return {"version": VERSION, "uptime": round(time.monotonic() - start, 3), **current}

    @router.get("/things/", name="things")
    async def list_things(request: Request) -> dict[str, str]:
        """List the Things: name → absolute URL."""
        return things_by_url(base_url(request.scope))

    @router.get(
        "/thing_descriptions/", name="thing_descriptions", response_model=dict[str, dict[str, Any]]
    )
    async def list_descriptions(request: Request) -> Response:
        """Send all Thing Descriptions: name → description."""
        url = base_url(request.scope)
        members = [
            to_json(name_of(thing)) + b":" + description.body
            for thing, description in await descriptions.of_each(things().values(), url)
        ]
        body, etag = rendering(b"{" + b",".join(members) + b"}")
        headers = {"ETag": etag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="application/json", headers=headers)

    app.include_router(router, prefix=prefix)
    page = None
    if config.ui:
        page = web_page.attach(app, prefix)
        descriptions.page_of = web_page.path_of_thing
    _attach_index(app, prefix, things_by_url, page)
    if prefix:  # other FastAPI apps have their OpenAPI document there

        @app.get("/openapi.json", include_in_schema=False)
        def document() -> Response:
            return JSONResponse(app.openapi())
