"""Properties as HTTP resources: one by one, and all of a Thing at once."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from labthings_fastapi.exceptions import (
    AffordanceNotFoundError,
    LabThingsError,
    MalformedBodyError,
)
from labthings_fastapi.portal.workers import UserCodeExit

from .exchange import as_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from labthings_fastapi.descriptors.property import BaseProperty
    from labthings_fastapi.outputs.store import BlobStore
    from labthings_fastapi.portal.workers import Lane
    from labthings_fastapi.thing import Thing

    from .exchange import Exchange

T = TypeVar("T")
NO_METHODS: frozenset[str] = frozenset()


class ThingFailure(LabThingsError):  # noqa: N818 - a name for the log, not for people to catch
    """The code of a Thing failed while it answered a request."""


class PropertyResource:
    """`/{thing}/{property}`; used on the server's event loop."""

    passes_on = NO_METHODS

    def __init__(
        self, thing: Thing, descriptor: BaseProperty[Any], lane: Lane, blobs: BlobStore
    ) -> None:
        """Serve one property of one Thing, with the Thing's lane for its code."""
        self._thing = thing
        self.descriptor = descriptor
        self._lane = lane
        self._context = {"blobs": blobs}
        self.what = f"Property {descriptor.name!r} of Thing {thing.name!r}"
        self.handlers = {"GET": self.get}
        if not descriptor.readonly:
            self.handlers["PUT"] = self.put

    async def get(self, exchange: Exchange) -> None:
        """Read the property: its bare JSON value."""
        await exchange.reply(200, await self.read())

    async def read(self) -> bytes:
        """Return the value as JSON; code of the Thing runs on its lane."""
        if self.descriptor.quick:
            return self.descriptor.read_json(self._thing, self._context)
        return await self.run(self.descriptor.read_json, self._thing, self._context)

    async def put(self, exchange: Exchange) -> None:
        """Write the property from a bare JSON value."""
        body = await exchange.body()
        if not body:
            raise MalformedBodyError(f"{self.what}: the body is empty; send the new value as JSON.")
        await self.write(body)
        await exchange.reply(204)

    async def write(self, body: bytes) -> None:
        """Check and set a value; code of the Thing runs on its lane."""
        if self.descriptor.quick:
            self.descriptor.set_json(self._thing, body)
        else:
            await self.run(self.descriptor.set_json, self._thing, body)

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run the Thing's code on its lane; a failure is logged once, on the Thing's logger."""
        try:
            return await self._lane.run(function, *arguments)
        except (LabThingsError, ValidationError):
            raise
        except Exception as error:  # noqa: BLE001 - drivers raise anything
            raised = error.raised if isinstance(error, UserCodeExit) else error
            log_failure(self._thing.logger, self.what, raised)
            raise ReportedFailure(raised) from raised


class ReportedFailure(Exception):  # noqa: N818 - carries an error that has been logged
    """Wraps an error of user code that is in the log already."""

    def __init__(self, raised: BaseException) -> None:
        """Keep the error."""
        super().__init__(type(raised).__name__)
        self.raised = raised


def log_failure(logger: logging.Logger, what: str, error: BaseException) -> None:
    """Leave one ERROR record with the traceback."""
    logger.error("%s failed: %s", what, type(error).__name__, exc_info=error)


class PropertiesResource:
    """`/{thing}/properties`: all readable properties at once (readallproperties and its like)."""

    passes_on = NO_METHODS

    def __init__(self, thing: Thing, resources: dict[str, PropertyResource]) -> None:
        """Serve the properties of one Thing."""
        self._thing = thing
        self._resources = resources
        self.what = f"The properties of Thing {thing.name!r}"
        self.handlers = {"GET": self.get, "PUT": self.put}

    async def get(self, exchange: Exchange) -> None:
        """Read all properties."""
        values = await asyncio.gather(*(each.read() for each in self._resources.values()))
        members = [
            to_json(name) + b":" + value
            for name, value in zip(self._resources, values, strict=True)
        ]
        await exchange.reply(200, b"{" + b",".join(members) + b"}")

    async def put(self, exchange: Exchange) -> None:
        """Write several properties, all or nothing.

        All values are checked before the first is set; if a setter fails, those that were set
        before it are given back their old values.
        """
        body = await exchange.body()
        try:
            found = as_object(from_json(body), self.what)
        except ValueError as error:
            raise MalformedBodyError(f"{self.what}: the body is not JSON: {error}") from error
        await self._write(self._chosen(found))
        await exchange.reply(204)

    def _chosen(self, found: dict[str, Any]) -> list[tuple[PropertyResource, bytes]]:
        chosen = []
        for name, value in found.items():
            resource = self._resources.get(name)
            if resource is None:
                raise AffordanceNotFoundError(
                    self._thing.name, "property", name, list(self._resources)
                )
            if resource.descriptor.readonly:
                raise resource.descriptor.read_only_error(self._thing)
            chosen.append((resource, to_json(value, inf_nan_mode="constants")))
        return chosen

    async def _write(self, chosen: list[tuple[PropertyResource, bytes]]) -> None:
        for resource, json in chosen:
            await resource.run(resource.descriptor.schema.validate_json, json)
        done: list[tuple[PropertyResource, bytes]] = []
        try:
            for resource, json in chosen:
                before = await resource.read()
                await resource.write(json)
                done.append((resource, before))
        except Exception:
            for resource, before in reversed(done):
                await resource.write(before)
            raise
