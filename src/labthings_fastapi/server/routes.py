"""The server's own resources: the index, the lists of Things, and `/health`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from pydantic_core import to_json
from starlette.responses import RedirectResponse

from labthings_fastapi.bindings.http.descriptions import Descriptions, rendering
from labthings_fastapi.request_location import base_url
from labthings_fastapi.routes import ProblemRoute
from labthings_fastapi.thing import Thing
from labthings_fastapi.thing_description.paths import name_of, path_of

from .docs_page import DOCS_PATH

VERSION = version("labthings-fastapi")
_NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {"description": "Not ready; the same members", "content": {"application/json": {}}}
}


def attach(
    app: FastAPI,
    prefix: str,
    things: Callable[[], Mapping[str, Thing]],
    descriptions: Descriptions,
    get_health: Callable[[], dict[str, Any]],
) -> None:
    """Add these routes; `get_health` returns `status`, `things` and `security`."""
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

    @router.get("/", name="index")
    async def index(request: Request) -> dict[str, Any]:
        """List the URLs of the server."""
        url = base_url(request.scope)
        return {
            "title": "LabThings",
            "version": VERSION,
            "things": things_by_url(url),
            "openapi": f"{url}{prefix}/openapi.json",
            "docs": f"{url}{prefix}{DOCS_PATH}",
            "invocations": f"{url}{prefix}/action_invocations",
        }

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
    if prefix:  # other FastAPI apps have their OpenAPI document there

        @app.get("/openapi.json", include_in_schema=False)
        async def redirect() -> Response:
            return RedirectResponse(f".{app.openapi_url}")
