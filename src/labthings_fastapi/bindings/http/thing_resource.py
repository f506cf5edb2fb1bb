"""A Thing as an HTTP resource: its description."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic_core import to_json

from labthings_fastapi.thing_description.describe import describe

from .property_resources import NO_METHODS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labthings_fastapi.thing import Thing
    from labthings_fastapi.thing_description.protocols import FormWriter

    from .exchange import Exchange

TD_MEDIA_TYPE = "application/td+json"


class ThingResource:
    """`/{thing}/`; used on the server's event loop."""

    passes_on = NO_METHODS

    def __init__(self, thing: Thing, bindings: Sequence[FormWriter]) -> None:
        """Serve the description of one Thing, as those bindings offer it."""
        self._thing = thing
        self._bindings = bindings
        self.what = f"Thing {thing.name!r}"
        self.handlers = {"GET": self.get}

    async def get(self, exchange: Exchange) -> None:
        """Describe the Thing (W3C Thing Description 1.1)."""
        description = describe(self._thing, self._bindings, base=exchange.origin)
        await exchange.reply(200, to_json(description), TD_MEDIA_TYPE)
