"""The WebSocket binding, and the middleware by which it serves its sockets."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from labthings_fastapi.problems import Problem, message_problem
from labthings_fastapi.request_location import request_path
from labthings_fastapi.routes import problem_response
from labthings_fastapi.thing_description.websocket_forms import WebSocketForms

from .connection import SocketConnection
from .socket_state import SocketState

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import ASGIApp, Receive, Scope, Send

    from labthings_fastapi.bindings.interaction.things import Interactions
    from labthings_fastapi.thing import Thing


class WebSocketBinding(WebSocketForms):
    """Serves a socket for each Thing, and one for the whole server.

    `expose` may be called from any thread; sockets run on the server's event loop.
    """

    def __init__(
        self,
        app: FastAPI,
        interactions: Interactions,
        *,
        prefix: str = "",
    ) -> None:
        """Add the sockets in front of `app` and of middleware that it has already."""
        self._interactions = interactions
        self._state = SocketState(interactions, prefix)
        app.add_middleware(SocketsApplication, state=self._state)

    def expose(self, thing: Thing) -> None:
        """Serve a Thing at its path from now on; any thread, also while the server runs."""
        self._state.add(self._interactions.of(thing))


class SocketsApplication:
    """Serves `/ws` and the path `ws` of each Thing, and passes everything else to the app.

    An HTTP request for one of these paths gets status 426. Runs on the server's event loop.
    """

    def __init__(self, app: ASGIApp, state: SocketState) -> None:
        """Serve in front of `app`."""
        self._app = app
        self._state = state
        state.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection or request."""
        is_socket = scope["type"] == "websocket"
        if not is_socket and not (scope["type"] == "http" and scope["path"].endswith("/ws")):
            await self._app(scope, receive, send)
            return
        path = request_path(scope)
        thing = self._state.thing_at(path)
        if thing is None and path != f"{self._state.prefix}/ws":
            await self._app(scope, receive, send)
        elif is_socket:
            await self._state.load_server_id()
            await SocketConnection(self._state, thing, scope, receive, send).run()
        elif thing is not None and "ws" in thing.thing.hidden_resources:
            await self._app(scope, receive, send)
        else:
            await problem_response(_websocket_only(scope["path"]))(scope, receive, send)


def _websocket_only(path: str) -> Problem:
    """Return the problem for a request without a WebSocket handshake (RFC 9110, 15.5.22)."""
    problem = message_problem(
        "websocket-only",
        "A WebSocket connection is required",
        426,
        f"{path!r} accepts WebSocket connections only: connect with a WebSocket client to a URL "
        "that begins with ws://, or with wss:// if the server uses https://.",
    )
    headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
    return replace(problem, instance=path, headers=headers)
