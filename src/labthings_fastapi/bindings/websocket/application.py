"""The ASGI middleware that serves sockets in front of a FastAPI app."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from labthings_fastapi.problems import Problem, message_problem
from labthings_fastapi.request_location import request_path
from labthings_fastapi.routes import problem_response

from .encoders import LabThingsWriter
from .session import Session

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from .socket_state import SocketState


class SocketsApplication:
    """Answers at `/ws` and at each Thing's `ws`, and passes everything else on.

    A request that is no handshake is told there that this is a WebSocket.

    Runs on the server's event loop.
    """

    def __init__(self, app: ASGIApp, served: SocketState) -> None:
        """Stand in front of `app`."""
        self._app = app
        self._served = served
        served.app = app
        self._writer = LabThingsWriter(served)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        kind: str = scope["type"]
        path: str = scope.get("path", "")
        if kind != "websocket" and not (kind == "http" and path.endswith("/ws")):
            await self._app(scope, receive, send)
            return
        path = request_path(scope)
        used = self._served.at_socket(path)
        if used is None and path != f"{self._served.prefix}/ws":
            await self._app(scope, receive, send)
            return
        if kind == "http":
            await problem_response(_no_handshake(scope["path"]))(scope, receive, send)
            return
        await self._served.learn_ids()
        await Session(self._served, self._writer, used, scope, receive, send).run()


def _no_handshake(path: str) -> Problem:
    """Return what RFC 9110, section 15.5.22 has for somebody who came with the wrong protocol."""
    problem = message_problem(
        "websocket-only",
        "This is a WebSocket",
        426,
        f"{path!r} is a WebSocket, and this request does not open one: use a WebSocket client with "
        "a URL that begins with ws:// (wss:// where the server is reached by https://).",
    )
    headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
    return replace(problem, instance=path, headers=headers)
