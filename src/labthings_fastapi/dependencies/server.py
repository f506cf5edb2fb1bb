"""Find the server of a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from fastapi import Request

from labthings_fastapi.exceptions import ServerNotRunningError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labthings_fastapi.thing import Thing


class HasThings(Protocol):
    """The members of a `ThingServer` that dependencies use."""

    @property
    def things(self) -> Mapping[str, Thing]:
        """The Things by name."""

    def thing_by_class(self, cls: type[Any]) -> Any:
        """Return the only Thing of a class."""

    def thing_states(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the metadata of every Thing, by name."""


STATE_NAME = "thing_server"
"""The attribute of `app.state` that holds the server."""


def shows_tracebacks(scope: Mapping[str, Any]) -> bool:
    """Return True if the server of a request (an ASGI scope) runs with `debug`."""
    state = getattr(scope.get("app"), "state", None)
    return bool(getattr(getattr(state, STATE_NAME, None), "debug", False))


def find_thing_server(request: Request) -> HasThings:
    """Return the server of a request; `ServerNotRunningError` in an app without one."""
    server: HasThings | None = getattr(request.app.state, STATE_NAME, None)
    if server is None:
        raise ServerNotRunningError(
            "This FastAPI app has no ThingServer, which this dependency needs. Use the `app` of a "
            "ThingServer."
        )
    return server
