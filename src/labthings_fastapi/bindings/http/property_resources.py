"""Properties as HTTP resources: one by one, and all of a Thing at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from labthings_fastapi.exceptions import MalformedBodyError

from .observing import Observed, following

if TYPE_CHECKING:
    from labthings_fastapi.bindings.interaction.properties import (
        PropertiesInteraction,
        PropertyInteraction,
    )
    from labthings_fastapi.thing import Thing

    from .request_response import HttpResponse

NO_METHODS: frozenset[str] = frozenset()

_OBJECT: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])


class PropertyResource:
    """`/{thing}/{property}`; used on the server's event loop."""

    fallthrough_methods = NO_METHODS

    def __init__(self, thing: Thing, interaction: PropertyInteraction) -> None:
        """Serve one property of one Thing."""
        self._property = interaction
        descriptor = interaction.descriptor
        self.what = interaction.what
        broker = thing._thing_server_interface.broker
        self._observed = (
            Observed(broker, thing.name, "property", descriptor.name)
            if descriptor.is_observable
            else None
        )
        self.handlers = {"GET": self.get}
        if not descriptor.readonly:
            self.handlers["PUT"] = self.put

    async def get(self, exchange: HttpResponse) -> None:
        """Read the property, its bare JSON value, or follow its changes."""
        follow = following(exchange, self._observed, self.what)
        if follow is not None:
            await follow
            return
        await exchange.reply(200, await self._property.read())

    async def put(self, exchange: HttpResponse) -> None:
        """Write the property from a bare JSON value."""
        body = await exchange.body()
        if not body:
            raise MalformedBodyError(f"{self.what}: the body is empty; send the new value as JSON.")
        await self._property.write(body)
        await exchange.reply(204)


class ResetResource:
    """`/{thing}/{property}/reset`; used on the server's event loop."""

    fallthrough_methods = NO_METHODS

    def __init__(self, interaction: PropertyInteraction) -> None:
        """Reset one property of one Thing."""
        self._property = interaction
        self.what = f"The reset of {interaction.what[0].lower()}{interaction.what[1:]}"
        self.handlers = {"POST": self.post}

    async def post(self, exchange: HttpResponse) -> None:
        """Give the property its default back."""
        await exchange.body()
        await self._property.reset()
        await exchange.reply(204)


class PropertiesResource:
    """`/{thing}/properties`: all readable properties at once (readallproperties and its like)."""

    fallthrough_methods = NO_METHODS

    def __init__(self, thing: Thing, interaction: PropertiesInteraction) -> None:
        """Serve the properties of one Thing."""
        self._properties = interaction
        self.what = interaction.what
        self._observed = Observed(thing._thing_server_interface.broker, thing.name, "property")
        self.handlers = {"GET": self.get, "PUT": self.put}

    async def get(self, exchange: HttpResponse) -> None:
        """Read all properties, or follow all changes."""
        follow = following(exchange, self._observed, self.what)
        if follow is not None:
            await follow
            return
        await exchange.reply(200, await self._properties.read())

    async def put(self, exchange: HttpResponse) -> None:
        """Write several properties, all or nothing."""
        await self._properties.write(_OBJECT.validate_json(await exchange.body()))
        await exchange.reply(204)
