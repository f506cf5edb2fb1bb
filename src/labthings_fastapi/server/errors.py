"""Errors of the server's app as problem details (RFC 9457), including those of routing."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from fastapi.exception_handlers import (
    http_exception_handler,
    request_validation_exception_handler,
)
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from labthings_fastapi.bindings.http.router import Router
from labthings_fastapi.problems import problem_for_status
from labthings_fastapi.request_location import base_url, request_path
from labthings_fastapi.routes import problem_of, problem_response
from labthings_fastapi.server.access.refusals import send_refusal

METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")


def use_problem_details(app: FastAPI, things: Router, prefix: str) -> None:
    async def send_error(request: Request, error: Exception) -> Response:
        if (answer := await _answer_of_the_lab(request, error)) is not None:
            return answer
        if isinstance(error, HTTPException) and error.status_code == 404:
            return _not_found(things, request, error)
        path = request.url.path
        is_refused = isinstance(error, HTTPException) and error.status_code == 405
        if is_refused and (allowed := ", ".join(sorted(_allowed(app, request)))):
            text = f"{path!r} does not support {request.method}. It supports: {allowed}."
            headers = {"Allow": allowed}
            return problem_response(problem_for_status(405, text, instance=path, headers=headers))
        return problem_response(problem_of(error, path))

    async def send_failure(request: Request, error: Exception) -> Response:
        if (answer := await _answer_of_the_lab(request, error)) is not None:
            return answer
        detail = "The server failed to answer this request. The reason is in the server's log."
        return problem_response(problem_for_status(500, detail, instance=request.url.path))

    default = app.router.default

    async def send_not_found(scope: Scope, receive: Receive, send: Send) -> None:
        """Explain a 404 to WebSockets as well, which Starlette closes without a reason."""
        if scope["type"] != "websocket":
            await default(scope, receive, send)
            return
        detail = (
            f"There is no WebSocket at {scope['path']!r}. There is one at {prefix}/ws "
            "and, for each Thing, one at the Thing's path followed by 'ws'."
        )
        await send_refusal(scope, receive, send, problem_for_status(404, detail))

    app.router.default = send_not_found
    app.add_exception_handler(HTTPException, send_error)
    app.add_exception_handler(RequestValidationError, send_error)
    app.add_exception_handler(Exception, send_failure)


async def _answer_of_the_lab(request: Request, error: Exception) -> Response | None:
    """Answer as FastAPI does, if a route of the laboratory has raised the error; else None."""
    if not _is_of_the_lab(request):
        return None
    if isinstance(error, RequestValidationError):
        return await request_validation_exception_handler(request, error)
    if isinstance(error, HTTPException):
        return await http_exception_handler(request, error)
    return PlainTextResponse("Internal Server Error", 500)


def _is_of_the_lab(request: Request) -> bool:
    """Return True for a route that the laboratory added: its pages expect FastAPI's own errors."""
    endpoint = request.scope.get("endpoint")  # set by Starlette where a route matches
    module: str = getattr(endpoint, "__module__", None) or ""
    return endpoint is not None and module.partition(".")[0] != "labthings_fastapi"


def _not_found(things: Router, request: Request, error: HTTPException) -> Response:
    detail: str = error.detail
    if detail == "Not Found":  # from Starlette's routing, and not from an endpoint
        path = request_path(request.scope)
        if things.has_thing(f"{path}/"):
            query = f"?{request.url.query}" if request.url.query else ""
            return RedirectResponse(f"{base_url(request.scope)}{path}/{query}")
        detail = things.not_found_detail(path)
    return problem_response(problem_for_status(404, detail, instance=request.url.path))


def _allowed(app: FastAPI, request: Request) -> set[str]:
    """Return the methods of all routes of a path; Starlette gives those of the first route only."""
    scope = {**request.scope, "path_params": {}}
    allowed = {
        method
        for method in METHODS
        for route in app.routes
        if route.matches({**scope, "method": method})[0] is Match.FULL
    }
    return allowed | {"HEAD"} if "GET" in allowed else allowed
