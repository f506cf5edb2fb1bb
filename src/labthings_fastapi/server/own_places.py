"""A second place for the server's own resources: `/.labthings/<name>`.

A Thing may have the name of one of them, such as `events` or `ui`. Then the Thing is at that path,
and what it hides is at the second place, which no Thing can have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labthings_fastapi.actions.logs import thing_log
from labthings_fastapi.request_location import request_path
from labthings_fastapi.thing_description.paths import SHARED_THINGS, name_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from labthings_fastapi.thing import Thing

OWN_PLACES = "/.labthings"


class OwnPlaces:
    """The outermost ASGI middleware: it leads `/.labthings/<name>` to the server's resource."""

    def __init__(self, app: ASGIApp, prefix: str = "") -> None:
        self._app = app
        self._prefix = prefix
        self._start = f"{prefix}{OWN_PLACES}/"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and OWN_PLACES in scope["path"]:
            path = request_path(scope)
            rest = path.removeprefix(self._start)
            if rest != path and rest.partition("/")[0] in SHARED_THINGS:
                before: str = scope["path"].removesuffix(path)
                scope = {**scope, "path": f"{before}{self._prefix}/{rest}", "labthings.own": True}
        await self._app(scope, receive, send)


def warn_of_shared_name(thing: Thing, prefix: str) -> None:
    """Log where the server's resource is whose path a Thing has."""
    first = name_of(thing).partition("/")[0]
    if first in SHARED_THINGS:
        thing_log(name_of(thing)).warning(
            "It has the path of a resource of the server. Paths of both belong to the Thing; the "
            "resource is also at %s%s/%s.",
            *(prefix, OWN_PLACES, first),
        )
