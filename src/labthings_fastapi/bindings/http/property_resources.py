"""Properties as HTTP resources: one by one, and all of a Thing at once."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from labthings_fastapi.exceptions import (
    AffordanceNotFoundError,
    LabThingsError,
    MalformedBodyError,
    describe_exception,
)

from .exchange import InvalidMembers, ReportedFailure
from .observing import Observed, observe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labthings_fastapi.descriptors.property import BaseProperty
    from labthings_fastapi.outputs.store import BlobStore
    from labthings_fastapi.portal.workers import Lane
    from labthings_fastapi.thing import Thing

    from .exchange import Exchange

NO_METHODS: frozenset[str] = frozenset()
READS_AT_ONCE = 4
"""How many getters one request may run at once, so that it leaves room in the lane for others."""

_OBJECT: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])


class PropertyResource:
    """`/{thing}/{property}`; used on the server's event loop."""

    passes_on = NO_METHODS

    def __init__(
        self, thing: Thing, descriptor: BaseProperty[Any], lane: Lane, blobs: BlobStore
    ) -> None:
        """Serve one property of one Thing, with the Thing's lane for its code."""
        descriptor.prepare(thing)
        self._thing = thing
        self.descriptor = descriptor
        self._lane = lane
        self._context = {"blobs": blobs}
        self.what = f"Property {descriptor.name!r} of Thing {thing.name!r}"
        broker = thing._thing_server_interface.broker
        self._observed = (
            Observed(broker, thing.name, "property", descriptor.name)
            if descriptor.is_observable
            else None
        )
        self.handlers = {"GET": self.get}
        if not descriptor.readonly:
            self.handlers["PUT"] = self.put

    async def get(self, exchange: Exchange) -> None:
        """Read the property, its bare JSON value, or follow its changes."""
        if await observe(exchange, self._observed, self.what):
            return
        await exchange.reply(200, await self.read())

    async def read(self) -> bytes:
        """Return the value as JSON; code of the Thing runs on its lane."""
        if self.descriptor.quick:
            return self.descriptor.read_json(self._thing, self._context)
        return await self._lane.run(self._read)

    def _read(self) -> bytes:
        with self._user_code():
            return self.descriptor.read_json(self._thing, self._context)

    async def put(self, exchange: Exchange) -> None:
        """Write the property from a bare JSON value; code of the Thing runs on its lane."""
        body = await exchange.body()
        if not body:
            raise MalformedBodyError(f"{self.what}: the body is empty; send the new value as JSON.")
        if self.writes_quickly():
            # A plain value of a data property: no code runs and no lock is held.
            self.descriptor.set_valid(self._thing, self.descriptor.schema.validate_json(body))
        else:
            await self._lane.run(self._write, body)
        await exchange.reply(204)

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Hold what setting needs, before the value is looked at: the server's global lock."""
        with self.descriptor.guard(self._thing):
            yield

    def writes_quickly(self) -> bool:
        """Whether writing waits for nothing: neither code, nor disk, nor the global lock."""
        unlocked = self._thing._thing_server_interface.global_lock is None
        return self.descriptor.quick_to_write and unlocked

    def reset(self) -> None:
        """Give the property its default back; on a worker."""
        with self._user_code():
            self.descriptor.reset(self._thing)

    def _write(self, body: bytes) -> None:
        with self.guard():
            self.set_checked(self.checked(body))

    def value(self) -> Any:
        """Return the value as the Thing's own code sees it."""
        with self._user_code():
            return self.descriptor.get(self._thing)

    def checked(self, body: bytes) -> Any:
        """Return the value that a client sent, or raise `pydantic.ValidationError`."""
        with self._user_code(passing=ValidationError):
            return self.descriptor.schema.validate_json(body)

    def set_checked(self, value: Any) -> None:
        """Set a value that has been checked."""
        if self.descriptor.readonly:
            raise self.descriptor.read_only_error(self._thing)
        with self._user_code():
            self.descriptor.set_checked(self._thing, value)

    @contextmanager
    def _user_code(self, passing: type[Exception] | tuple[()] = ()) -> Iterator[None]:
        """Log a failure once, on the Thing's logger; drivers raise anything, `SystemExit` too."""
        try:
            yield
        except passing:
            raise
        except BaseException as error:
            anticipated = isinstance(error, LabThingsError)
            self._thing.logger.error(
                "%s failed: %s",
                self.what,
                describe_exception(error),
                exc_info=None if anticipated else error,
            )
            raise ReportedFailure(self.what, error) from error


class ResetResource:
    """`/{thing}/{property}/reset`; used on the server's event loop."""

    passes_on = NO_METHODS

    def __init__(self, resource: PropertyResource, lane: Lane) -> None:
        """Reset one property of one Thing."""
        self._resource = resource
        self._lane = lane
        self.what = f"The reset of {resource.what[0].lower()}{resource.what[1:]}"
        self.handlers = {"POST": self.post}

    async def post(self, exchange: Exchange) -> None:
        """Give the property its default back."""
        await exchange.body()
        await self._lane.run(self._resource.reset)
        await exchange.reply(204)


class PropertiesResource:
    """`/{thing}/properties`: all readable properties at once (readallproperties and its like)."""

    passes_on = NO_METHODS

    def __init__(self, thing: Thing, resources: dict[str, PropertyResource], lane: Lane) -> None:
        """Serve the properties of one Thing."""
        self._thing = thing
        self._resources = resources
        self._lane = lane
        self.what = f"The properties of Thing {thing.name!r}"
        self._observed = Observed(thing._thing_server_interface.broker, thing.name, "property")
        self.handlers = {"GET": self.get, "PUT": self.put}

    async def get(self, exchange: Exchange) -> None:
        """Read all properties, or follow all changes."""
        if await observe(exchange, self._observed, self.what):
            return
        places = asyncio.Semaphore(READS_AT_ONCE)

        async def read(resource: PropertyResource) -> bytes:
            if resource.descriptor.quick:
                return await resource.read()
            async with places:
                return await resource.read()

        values = await asyncio.gather(*map(read, self._resources.values()))
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
        chosen = self._chosen(_OBJECT.validate_json(await exchange.body()))
        if all(resource.writes_quickly() for resource in chosen):
            self._write(chosen)
        else:
            await self._lane.run(self._write, chosen)
        await exchange.reply(204)

    def _chosen(self, found: dict[str, Any]) -> dict[PropertyResource, bytes]:
        chosen = {}
        for name, value in found.items():
            resource = self._resources.get(name)
            if resource is None:
                raise AffordanceNotFoundError(
                    self._thing.name, "property", name, list(self._resources)
                )
            if resource.descriptor.readonly:
                raise resource.descriptor.read_only_error(self._thing)
            chosen[resource] = to_json(value, inf_nan_mode="constants")
        return chosen

    def _write(self, chosen: dict[PropertyResource, bytes]) -> None:
        with ExitStack() as held:
            for resource in chosen:
                held.enter_context(resource.guard())
            self._write_all(chosen)

    def _write_all(self, chosen: dict[PropertyResource, bytes]) -> None:
        done: list[tuple[PropertyResource, Any]] = []
        try:
            for resource, value in self._checked(chosen).items():
                before = resource.value()
                resource.set_checked(value)
                done.append((resource, before))
        except ReportedFailure:
            for resource, before in reversed(done):
                with suppress(ReportedFailure):  # it is in the log; the others still go back
                    resource.set_checked(before)
            raise

    def _checked(self, chosen: dict[PropertyResource, bytes]) -> dict[PropertyResource, Any]:
        values: dict[PropertyResource, Any] = {}
        wrong: list[dict[str, Any]] = []
        for resource, json in chosen.items():
            try:
                values[resource] = resource.checked(json)
            except ValidationError as error:
                name = resource.descriptor.name
                wrong += [{**item, "loc": (name, *item["loc"])} for item in error.errors()]
        if wrong:
            raise InvalidMembers(wrong)
        return values
