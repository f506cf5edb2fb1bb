"""Errors of an app that is ours, those of routing among them, as problem details (RFC 9457)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse
from starlette.routing import Match

from labthings_fastapi.bindings.interaction.origins import path_of
from labthings_fastapi.problems import problem_for_status
from labthings_fastapi.routes import problem_of, problem_response
from labthings_fastapi.server.access.middleware import turn_away

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import Receive, Scope, Send

    from .protocols import Wired

METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")


def use_problem_details(server: Wired, app: FastAPI) -> None:
    """Let an app render every error as problem details, whoever raised it."""

    async def render(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException) and error.status_code == 404:
            return _not_found(server, request, error)
        if isinstance(error, HTTPException) and error.status_code == 405:
            allowed = _allowed(app, request)
            if allowed:
                return _not_allowed(request, allowed)
        return problem_response(problem_of(error, request.url.path))

    async def render_failure(request: Request, _error: Exception) -> Response:
        detail = "The server failed to answer; its log says why."
        return problem_response(problem_for_status(500, detail, instance=request.url.path))

    elsewhere = app.router.default

    async def nowhere(scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what no route takes: a handshake too, which Starlette refuses without a word."""
        if scope["type"] != "websocket":
            await elsewhere(scope, receive, send)
            return
        detail = (
            f"There is no WebSocket at {scope['path']!r}. There is one at {server.api_prefix}/ws "
            "and, for each Thing, one at the Thing's path followed by 'ws'."
        )
        await turn_away(scope, receive, send, problem_for_status(404, detail))

    app.router.default = nowhere
    app.add_exception_handler(HTTPException, render)
    app.add_exception_handler(RequestValidationError, render)
    app.add_exception_handler(Exception, render_failure)


def _not_found(server: Wired, request: Request, error: HTTPException) -> Response:
    """Say what there is nearby; to a Thing whose last slash is missing, show the way."""
    detail: str | None = error.detail
    if detail == "Not Found":  # of routing: nobody knows the path
        path = path_of(request.scope)
        if server.http.table.has_thing(f"{path}/"):
            return RedirectResponse(request.url.replace(path=f"{request.url.path}/"))
        detail = server.http.table.not_found_detail(path)
    return problem_response(problem_for_status(404, detail, instance=request.url.path))


def _allowed(app: FastAPI, request: Request) -> set[str]:
    """Return all methods of a path: routing knows only those of the first route that has it."""
    asked = {**request.scope, "path_params": {}}
    allowed = {
        method
        for method in METHODS
        for route in app.routes
        if route.matches({**asked, "method": method})[0] is Match.FULL
    }
    return allowed | {"HEAD"} if "GET" in allowed else allowed


def _not_allowed(request: Request, allowed: set[str]) -> Response:
    listed = ", ".join(sorted(allowed))
    path = request.url.path
    detail = f"{path!r} cannot be used with {request.method}, but with: {listed}."
    headers = {"Allow": listed}
    return problem_response(problem_for_status(405, detail, instance=path, headers=headers))
