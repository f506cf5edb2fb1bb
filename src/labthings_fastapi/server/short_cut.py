"""The short way to the Things, past middleware that has nothing to do for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from fastapi import FastAPI
    from starlette.types import ASGIApp, Receive, Scope, Send


class ShortCut:
    """ASGI: asks the Things first, where only our own middleware stands before them.

    What FastAPI puts around every request (error pages, telemetry, limits) costs as much as reading
    a property, and Things have their own. As soon as somebody adds middleware, that must see all
    requests, so they take the long way. Used on the server's event loop.
    """

    def __init__(
        self,
        app: FastAPI,
        things: ASGIApp,
        whole: ASGIApp,
        failures: Callable[[], Mapping[str, str]],
    ) -> None:
        """Go through `things` instead of `whole`, both of which lead to the routes of `app`."""
        self._app = app
        self._things = things
        self._whole = whole
        self._failures = failures
        self._ours = len(app.user_middleware)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Handle one connection."""
        if len(self._app.user_middleware) != self._ours or self._failures():
            return self._whole(scope, receive, send)
        scope["app"] = self._app  # as the app itself would say
        return self._things(scope, receive, send)
