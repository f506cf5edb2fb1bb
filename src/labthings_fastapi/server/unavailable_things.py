"""The response for the Things that a tolerant server runs without."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from labthings_fastapi.problems import Problem, message_problem
from labthings_fastapi.request_location import request_path
from labthings_fastapi.routes import problem_response

_TRY_AGAIN_LATER = 1013


class UnavailableThings:
    """ASGI middleware: below the path of a Thing that was not started, the response is 503."""

    def __init__(self, app: ASGIApp, unavailable: Mapping[str, str]) -> None:
        self._app = app
        self._unavailable = unavailable

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._unavailable and scope["type"] in ("http", "websocket"):
            path = request_path(scope)
            for base, detail in self._unavailable.items():
                if path.startswith(base) and path != base:
                    problem = message_problem(
                        "not-started", "The Thing was not started", 503, detail
                    )
                    await _refuse(problem.at(path), scope, receive, send)
                    return
        await self._app(scope, receive, send)


async def _refuse(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    """Send a problem; for a handshake too, if the ASGI server can (else the client gets 403)."""
    if scope["type"] == "http" or "websocket.http.response" in scope.get("extensions", {}):
        await problem_response(problem)(scope, receive, send)
    else:
        await send({"type": "websocket.close", "code": _TRY_AGAIN_LATER, "reason": problem.title})
