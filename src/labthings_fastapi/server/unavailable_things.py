"""Answer for the Things that a tolerant server runs without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labthings_fastapi.bindings.interaction.origins import path_of
from labthings_fastapi.problems import message_problem
from labthings_fastapi.routes import problem_response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

    from labthings_fastapi.problems import Problem

_TRY_AGAIN_LATER = 1013


class UnavailableThings:
    """ASGI middleware: below the path of a Thing that was not started, the answer is 503.

    The Thing's own path still gives its description. Runs on the server's event loop.
    """

    def __init__(self, app: ASGIApp, failures: Callable[[], Mapping[str, str]]) -> None:
        """Stand in front of `app`; `failures` gives path → what happened, for people."""
        self._app = app
        self._failures = failures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        failures = self._failures() if scope["type"] in ("http", "websocket") else {}
        if failures:
            path = path_of(scope)
            for base, detail in failures.items():
                if path.startswith(base) and path != base:
                    problem = message_problem(
                        "not-started", "The Thing was not started", 503, detail
                    )
                    await _refuse(problem.at(path), scope, receive, send)
                    return
        await self._app(scope, receive, send)


async def _refuse(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with a problem; a handshake too, if the ASGI server can (else it answers 403)."""
    if scope["type"] == "http" or "websocket.http.response" in scope.get("extensions", {}):
        await problem_response(problem)(scope, receive, send)
    else:
        await send({"type": "websocket.close", "code": _TRY_AGAIN_LATER, "reason": problem.title})
