"""The ASGI middleware that serves sockets in front of a FastAPI app."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .notices import LabThingsWriter
from .session import Session

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from .served import Served


class SocketsApplication:
    """Answers at `/ws` and at each Thing's `ws`, and passes everything else on.

    Runs on the server's event loop.
    """

    def __init__(self, app: ASGIApp, served: Served) -> None:
        """Stand in front of `app`."""
        self._app = app
        self._served = served
        served.app = app
        self._writer = LabThingsWriter(served)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        root: str = scope.get("root_path", "")
        if root and f"{path}/".startswith(f"{root}/"):
            path = path[len(root) :]
        used = self._served.at_socket(path)
        if used is None and path != f"{self._served.prefix}/ws":
            await self._app(scope, receive, send)
            return
        await self._served.learn_ids()
        await Session(self._served, self._writer, used, scope, receive, send).run()
