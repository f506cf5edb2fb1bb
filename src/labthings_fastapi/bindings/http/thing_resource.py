"""A Thing as an HTTP resource: its Thing Description."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labthings_fastapi.thing_description.paths import name_of

from .descriptions import TD_MEDIA_TYPE
from .router import NO_METHODS

if TYPE_CHECKING:
    from labthings_fastapi.thing import Thing

    from .descriptions import Descriptions
    from .request_response import HttpResponse


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
