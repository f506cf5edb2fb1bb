"""The ASGI middleware that serves Things in front of a FastAPI app."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labthings_fastapi.bindings.interaction.failures import (
    interaction_problem,
    is_expected,
    with_traceback,
)
from labthings_fastapi.bindings.interaction.origins import path_of
from labthings_fastapi.dependencies.server import shows_tracebacks
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.problems import problem_for_status

from .head import answer_head
from .request_response import ClientGoneError, HttpResponse

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from labthings_fastapi.problems import Problem

    from .router import Resource, Router

LOGGER = own_logger("http")


class ThingsApplication:
    """Answers what the table knows, and passes everything else on.

    Runs on the server's event loop; user code runs on worker threads only.
    """

    def __init__(self, app: ASGIApp, table: Router) -> None:
        """Stand in front of `app`."""
        self._app = app
        self._table = table

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Handle one connection."""
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        path = path_of(scope)
        resource = self._table.find(path)
        method: str = scope["method"]
        if resource is None and method == "HEAD":
            return answer_head(self._app, scope, receive, send)
        if resource is None or method in resource.fallthrough_methods:
            return self._app(scope, receive, send)
        return _answer(resource, HttpResponse(scope, receive, send, path))


async def _answer(resource: Resource, exchange: HttpResponse) -> None:
    method: str = exchange.scope["method"]
    handler = resource.handlers.get("GET" if method == "HEAD" else method)
    if handler is None:
        await exchange.refuse(_not_allowed(resource, exchange))
        return
    try:
        await handler(exchange)
    except ClientGoneError:
        return
    except Exception as error:
        if not is_expected(error):
            LOGGER.exception("%s: %s failed.", resource.what, method)
        problem = interaction_problem(error, resource.what, exchange.path)
        if problem.status == 405:
            problem.headers["Allow"] = _allowed(resource)
        if shows_tracebacks(exchange.scope):
            problem = with_traceback(problem, error)
        await exchange.refuse(problem)


def _allowed(resource: Resource) -> str:
    methods = set(resource.handlers) | resource.fallthrough_methods
    if "GET" in methods:
        methods.add("HEAD")
    return ", ".join(sorted(methods))


def _not_allowed(resource: Resource, exchange: HttpResponse) -> Problem:
    allowed = _allowed(resource)
    return problem_for_status(
        405,
        f"{resource.what} cannot be used with {exchange.scope['method']}, but with: {allowed}.",
        instance=exchange.path,
        headers={"Allow": allowed},
    )
