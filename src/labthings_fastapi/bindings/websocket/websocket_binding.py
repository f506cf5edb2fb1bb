"""Things over WebSockets: the binding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labthings_fastapi.thing_description.websocket_forms import WebSocketForms

from .application import SocketsApplication
from .socket_state import SocketState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastapi import FastAPI

    from labthings_fastapi.bindings.interaction.things import Interactions
    from labthings_fastapi.thing import Thing


class WebSocketBinding(WebSocketForms):
    """Serves a socket for each Thing, and one for all of the server.

    Things are added from any thread; sockets are served on the server's event loop.
    """

    def __init__(
        self,
        app: FastAPI,
        interactions: Interactions,
        *,
        prefix: str = "",
        failures: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """Stand in front of `app`, and of the HTTP binding if that is there already.

        `failures` gives the Things that were not started: path → why.
        """
        self._interactions = interactions
        self._served = SocketState(interactions, prefix)
        self._served.failures = failures
        app.add_middleware(SocketsApplication, served=self._served)

    def expose(self, thing: Thing) -> None:
        """Serve a Thing at its path, from now on; also while the server runs."""
        self._served.add(self._interactions.of(thing))
