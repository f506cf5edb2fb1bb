"""The innermost ASGI middleware of the app: it dispatches requests to Things by path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labthings_fastapi.bindings.interaction.failures import (
    interaction_problem,
    is_expected,
    with_traceback,
)
from labthings_fastapi.dependencies.server import shows_tracebacks
from labthings_fastapi.outputs.links import RequestLinks, links_from
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.problems import problem_for_status
from labthings_fastapi.request_location import request_path

from .head import answer_head
from .request_response import ClientGoneError, HttpResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from .router import Resource, Router

LOGGER = own_logger("http")


class ThingsApplication:
    """Serves the resources of a router, and passes every other request on to the app's routes.

    Runs on the server's event loop; user code runs on worker threads only.
    """

    def __init__(self, app: ASGIApp, router: Router, prefix: str = "") -> None:
        self._app = app
        self._router = router
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = request_path(scope)
        find = self._router.find_own if "labthings.own" in scope else self._router.find
        resource = find(path)
        method: str = scope["method"]
        if resource is None or method in resource.fallthrough_methods:
            # Routes of the app's author may answer with blobs.
            with links_from(RequestLinks(scope, self._prefix)):
                if method == "HEAD":
                    await answer_head(self._app, scope, receive, send)
                else:
                    await self._app(scope, receive, send)
            return
        response = HttpResponse(scope, receive, send, path)
        handler = resource.handlers.get("GET" if method == "HEAD" else method)
        if handler is None:
            await _refuse_method(resource, response)
            return
        try:
            await handler(response)
        except ClientGoneError:
            return
        except Exception as error:  # noqa: BLE001 - logged in `_send_error`
            await _send_error(resource, response, error)


async def _send_error(resource: Resource, response: HttpResponse, error: Exception) -> None:
    if not is_expected(error):
        LOGGER.error("%s: %s failed.", resource.label, response.scope["method"], exc_info=error)
    problem = interaction_problem(error, resource.label, response.path)
    if problem.status == 405:
        problem.headers["Allow"] = _allowed(resource)
    if shows_tracebacks(response.scope):
        problem = with_traceback(problem, error)
    await response.send_problem(problem)


def _allowed(resource: Resource) -> str:
    methods = set(resource.handlers) | resource.fallthrough_methods
    if "GET" in methods:
        methods.add("HEAD")
    return ", ".join(sorted(methods))


async def _refuse_method(resource: Resource, response: HttpResponse) -> None:
    allowed, method = _allowed(resource), response.scope["method"]
    detail = f"{resource.label} does not support {method}. It supports: {allowed}."
    await response.send_problem(problem_for_status(405, detail, headers={"Allow": allowed}))
