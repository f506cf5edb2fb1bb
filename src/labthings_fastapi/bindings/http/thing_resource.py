"""A Thing as HTTP resources: its Thing Description, and opening it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labthings_fastapi.thing_description.directory import TD_MEDIA_TYPE
from labthings_fastapi.thing_description.paths import name_of

from .router import NO_METHODS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from labthings_fastapi.thing import Thing

    from .descriptions import Descriptions
    from .request_response import HttpResponse


REOPEN = "reopen"
"""The last part of the path that opens a Thing again, unless the Thing uses it itself."""


class ThingResource:
    """`/{thing}/`; used on the server's event loop."""

    fallthrough_methods = NO_METHODS

    def __init__(self, thing: Thing, descriptions: Descriptions) -> None:
        self._thing = thing
        self._descriptions = descriptions
        self.label = f"Thing {name_of(thing)!r}"
        self.handlers = {"GET": self.get}

    async def get(self, response: HttpResponse) -> None:
        """Send the description (W3C Thing Description 1.1)."""
        body, etag = await self._descriptions.of(self._thing, response.base_url)
        await response.send_unless_known(body, etag, TD_MEDIA_TYPE)


class ReopenResource:
    """`/{thing}/reopen`; used on the server's event loop."""

    fallthrough_methods = NO_METHODS

    def __init__(self, thing: Thing, reopen: Callable[[Thing], Awaitable[None]]) -> None:
        self._thing = thing
        self._reopen = reopen
        self.label = f"Opening Thing {name_of(thing)!r} again"
        self.handlers = {"POST": self.post}

    async def post(self, response: HttpResponse) -> None:
        """Close the Thing and open it again; 204 once it is open."""
        await response.body()
        await self._reopen(self._thing)
        await response.send(204)
