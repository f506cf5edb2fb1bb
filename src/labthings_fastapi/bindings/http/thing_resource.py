"""A Thing as an HTTP resource: its description."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .descriptions import TD_MEDIA_TYPE
from .property_resources import NO_METHODS

if TYPE_CHECKING:
    from labthings_fastapi.thing import Thing

    from .descriptions import Descriptions
    from .request_response import HttpResponse


class ThingResource:
    """`/{thing}/`; used on the server's event loop."""

    fallthrough_methods = NO_METHODS

    def __init__(self, thing: Thing, descriptions: Descriptions) -> None:
        """Serve the description of one Thing."""
        self._thing = thing
        self._descriptions = descriptions
        self.what = f"Thing {thing.name!r}"
        self.handlers = {"GET": self.get}

    async def get(self, exchange: HttpResponse) -> None:
        """Describe the Thing (W3C Thing Description 1.1)."""
        body, etag = await self._descriptions.of(self._thing, exchange.origin)
        await exchange.reply_known(body, etag, TD_MEDIA_TYPE)
