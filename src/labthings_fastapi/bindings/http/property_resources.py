"""Properties as HTTP resources: one by one, and all of a Thing at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from labthings_fastapi.exceptions import MalformedBodyError
from labthings_fastapi.outputs.negotiation import JSON
from labthings_fastapi.schemas.json_text import LARGE, check_budget, defect
from labthings_fastapi.thing_description.paths import name_of

from .observing import Observed, follow_request
from .router import NO_METHODS

if TYPE_CHECKING:
    from labthings_fastapi.bindings.interaction.properties import (
        PropertiesInteraction,
        PropertyInteraction,
    )
    from labthings_fastapi.messages.message import MessageKind
    from labthings_fastapi.thing import Thing

    from .request_response import HttpResponse

_OBJECT: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])


PROPERTY_KINDS: frozenset[MessageKind] = frozenset({"property", "reading-failed"})
READING_TIME = "LabThings-Reading-Time"
"""The header that tells when the value of a functional property was read."""
WARNING = "LabThings-Warning"
"""The header of a write that succeeded although something went wrong after it."""
_LONGEST_WARNING = 500


def _warning(text: str) -> dict[str, str]:
    line = " ".join(text.split()).encode("ascii", "backslashreplace").decode()
    printable = "".join(character if character.isprintable() else "?" for character in line)
    return {WARNING: printable[:_LONGEST_WARNING]}


class PropertyResource:
    """`/{thing}/{property}`; used on the server's event loop."""

    fallthrough_methods = NO_METHODS

    def __init__(self, thing: Thing, interaction: PropertyInteraction) -> None:
        self._property = interaction
        descriptor = interaction.descriptor
        self.label = interaction.label
        broker = thing._thing_server_interface.broker
        self._observed = (
            Observed(broker, name_of(thing), PROPERTY_KINDS, descriptor.name, (interaction,))
            if descriptor.is_observable
            else None
        )
        self.handlers = {"GET": self.get}
        if not descriptor.readonly:
            self.handlers["PUT"] = self.put

    async def get(self, response: HttpResponse) -> None:
        """Send the value as bare JSON, or follow its changes."""
        following = follow_request(response, self._observed, self.label)
        if following is not None:
            await following
            return
        offered = self._property.file_types
        if offered:
            await self._send_arrays(response, response.wanted(offered))
            return
        if self._property.reads_quickly:
            await response.send(200, await self._property.read())
            return
        reading = await self._property.reading()
        headers = {READING_TIME: reading.time.isoformat()}
        body = self._property.links(await self._property.json_of(reading), response.scope)
        await response.send(200, body, headers=headers)

    async def _send_arrays(self, response: HttpResponse, media_type: str) -> None:
        response.varies = True
        one = self._property
        reading = await one.reading()
        headers = {READING_TIME: reading.time.isoformat()}
        parts = None if media_type == JSON else await one.file_of(reading, media_type)
        if parts is not None:
            await response.send_parts(200, parts, media_type, headers)
            return
        body = one.links(await one.json_of(reading), response.scope)
        await response.send(200, body, headers=headers)

    async def put(self, response: HttpResponse) -> None:
        """Write the property from a bare JSON value, or from an array."""
        body = await response.value()
        if not body:
            raise MalformedBodyError(f"{self.label}: the body is empty. Send the value as JSON.")
        warning = await self._property.write(body)
        await response.send(204, headers=_warning(warning) if warning else None)


class ResetResource:
    """`/{thing}/{property}/reset`; used on the server's event loop."""

    fallthrough_methods = NO_METHODS

    def __init__(self, interaction: PropertyInteraction) -> None:
        self._property = interaction
        self.label = f"The reset of {interaction.label[0].lower()}{interaction.label[1:]}"
        self.handlers = {"POST": self.post}

    async def post(self, response: HttpResponse) -> None:
        """Set the property to its default."""
        await response.body()
        await self._property.reset()
        await response.send(204)


class PropertiesResource:
    """`/{thing}/properties`: all readable properties at once (readallproperties and similar)."""

    fallthrough_methods = NO_METHODS

    def __init__(self, thing: Thing, interaction: PropertiesInteraction) -> None:
        self._properties = interaction
        self.label = interaction.label
        broker, observable = thing._thing_server_interface.broker, interaction.observable()
        self._observed = Observed(broker, name_of(thing), PROPERTY_KINDS, None, observable)
        self.handlers = {"GET": self.get, "PUT": self.put}

    async def get(self, response: HttpResponse) -> None:
        """Read all properties, or follow all changes."""
        following = follow_request(response, self._observed, self.label)
        if following is not None:
            await following
            return
        values = await self._properties.read()
        await response.send(200, self._properties.links(values, response.scope))

    async def put(self, response: HttpResponse) -> None:
        """Write several properties: all of them, or none if one value is not valid."""
        body = await response.body()
        if len(body) > LARGE:
            values = await asyncio.to_thread(self._values, body)
        else:
            values = self._values(body)
        warning = await self._properties.write(values)
        await response.send(204, headers=_warning(warning) if warning else None)

    def _values(self, body: bytes) -> dict[str, Any]:
        check_budget(body, self.label)
        wrong = defect(body)
        if wrong is not None:
            raise MalformedBodyError(f"{self.label}: the body is not JSON: {wrong}.")
        return _OBJECT.validate_json(body)
