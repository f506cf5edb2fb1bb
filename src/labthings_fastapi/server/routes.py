"""The server's own resources: what it holds, and how it is."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json
from starlette.responses import RedirectResponse

from labthings_fastapi.bindings.http.descriptions import rendering
from labthings_fastapi.routes import ProblemRoute
from labthings_fastapi.server.access.policy import security_summary

from .docs_page import DOCS_PATH

if TYPE_CHECKING:
    from fastapi import FastAPI

    from .protocols import Wired

VERSION = version("labthings-fastapi")
_NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {"description": "Not ready; in the same words", "content": {"application/json": {}}}
}


def attach(server: Wired, app: FastAPI, prefix: str) -> None:
    """Add the server's resources to its app."""
    router = APIRouter(route_class=ProblemRoute, tags=["server"])
    began = time.monotonic()

    @router.get("/", name="index")
    async def index(request: Request) -> dict[str, Any]:
        """Say what is here."""
        origin = str(request.base_url).rstrip("/")
        return {
            "title": "LabThings",
            "version": VERSION,
            "things": things_by_url(origin),
            "openapi": f"{origin}{prefix}/openapi.json",
            "docs": f"{origin}{prefix}{DOCS_PATH}",
            "invocations": f"{origin}{prefix}/action_invocations",
        }

    def things_by_url(origin: str) -> dict[str, str]:
        return {name: f"{origin}{thing.path}" for name, thing in server.things.items()}

    @router.get("/things/", name="things")
    async def list_things(request: Request) -> dict[str, str]:
        """List the Things: name → absolute URL."""
        return things_by_url(str(request.base_url).rstrip("/"))

    @router.get(
        "/thing_descriptions/",
        name="thing_descriptions",
        response_model=dict[str, dict[str, Any]],
    )
    async def list_descriptions(request: Request) -> Response:
        """Give all Thing Descriptions: name → description."""
        origin = str(request.base_url).rstrip("/")
        members = [
            to_json(name) + b":" + (await server.http.descriptions.of(thing, origin)).body
            for name, thing in server.things.items()
        ]
        body, etag = rendering(b"{" + b",".join(members) + b"}")
        headers = {"ETag": etag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="application/json", headers=headers)

    @router.get("/health", name="health", responses=_NOT_READY)
    async def health(response: Response) -> dict[str, Any]:
        """Say whether the server is ready, and how each Thing is."""
        if server.state != "running":
            response.status_code = 503
            response.headers["Retry-After"] = "1"
        return {
            "status": server.state,
            "version": VERSION,
            "uptime": round(time.monotonic() - began, 3),
            "things": server.thing_health(),
            "security": security_summary(server.access),
        }

    app.include_router(router, prefix=prefix)
    if prefix:
        _point_to_openapi(app)


def _point_to_openapi(app: FastAPI) -> None:
    """Show the way to those who look for the OpenAPI document where other FastAPI apps have it."""

    @app.get("/openapi.json", include_in_schema=False)
    async def moved() -> Response:
        return RedirectResponse(f".{app.openapi_url}")
