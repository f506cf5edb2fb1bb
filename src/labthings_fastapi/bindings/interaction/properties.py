"""Reading and writing the properties of a Thing, one by one or several at once."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic_core import to_json

from labthings_fastapi.actions.context import current_requester
from labthings_fastapi.actions.logs import thing_log
from labthings_fastapi.actions.turns import PATIENCE, TURN
from labthings_fastapi.descriptors.reading_state import FailedReading
from labthings_fastapi.descriptors.write_report import reported_write
from labthings_fastapi.exceptions import (
    ActionBusyError,
    AffordanceNotFoundError,
    LabThingsError,
    MalformedBodyError,
    ThingBusyError,
    UnsupportedMediaTypeError,
    describe_exception,
)
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.schemas.invalid_values import shown
from labthings_fastapi.schemas.json_text import LARGE
from labthings_fastapi.thing_description.paths import name_of

from .calls import LONG_CALL, CallsInProgress
from .failures import InvalidMembers, PartialReading, ReportedFailure, SetterRefusal, is_expected
from .shared_readings import Reading, SharedReadings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from labthings_fastapi.concurrency.bounded_executor import BoundedExecutor
    from labthings_fastapi.descriptors.property import BaseProperty
    from labthings_fastapi.outputs.store import BlobStore
    from labthings_fastapi.schemas.array_files import ArrayFile
    from labthings_fastapi.thing import Thing

LOGGER = own_logger("server")
_NOT_OF_USERS = (ValidationError, MalformedBodyError, UnsupportedMediaTypeError)
CLIENT_PATIENCE = 5.0
"""How long (s) a request of a client waits for the turn of an exclusive Thing."""


class PropertyInteraction:
    """One property of one Thing; await its coroutines on the server's event loop."""

    def __init__(
        self,
        thing: Thing,
        descriptor: BaseProperty[Any],
        executor: BoundedExecutor,
        blobs: BlobStore,
        readings: BoundedExecutor,
    ) -> None:
        """Run the Thing's code on its executor, and its getter on that for shared readings."""
        descriptor.prepare(thing)
        self._thing = thing
        self.descriptor = descriptor
        self._executor = executor
        self._context = {"blobs": blobs}
        self._blobs = blobs
        self.state = descriptor.reading_state(thing)
        self._opening = thing._thing_server_interface.opening
        self._shared = SharedReadings(self._take, readings) if descriptor.shared else None
        self.thing_name = name_of(thing)
        self.label = f"Property {descriptor.name!r} of Thing {self.thing_name!r}"
        self.reads_quickly = descriptor.quick
        """True if reading runs no user code and does not wait."""
        unlocked = thing._thing_server_interface.global_lock is None
        self.writes_quickly = descriptor.quick_to_write and unlocked
        """True if writing runs no user code, and does not wait for the disk or the global lock.

        A Thing with a turn is written on its executor, because a write may wait for the turn.
        """
        self.calls = CallsInProgress()

    async def read(self) -> bytes:
        """Return the value as JSON; a getter runs on an executor of the Thing."""
        if self.reads_quickly:
            return self.descriptor.read_json(self._thing, self._context)
        return await self.json_of(await self.reading())

    async def json_of(self, reading: Reading) -> bytes:
        """Return a reading as JSON; arrays are written on an executor of the Thing.

        Raises:
            ReportedFailure: it has no JSON form.
        """
        if reading.json is not None:
            return reading.json
        return await self._executor.run(self._written, reading.value)

    def _written(self, value: Any) -> bytes:
        with self._user_code(what="getter"):
            return self.descriptor.value_json(self._thing, value, self._context)

    async def file_of(self, reading: Reading, media_type: str) -> list[Any] | None:
        """Return the parts of a file with the arrays of a reading; None: it has no such form.

        The data are those of the arrays themselves, and not copied.

        Raises:
            ReportedFailure: it has no such form, though its type promises one.
        """
        return await self._executor.run(self._as_file, reading.value, media_type)

    def _as_file(self, value: Any, media_type: str) -> list[Any] | None:
        with self._user_code(what="getter"):
            return self.descriptor.schema.as_file(value, media_type, self._context)

    @cached_property
    def file_types(self) -> tuple[str, ...]:
        """The media types, besides JSON, in which the value can be sent: it has arrays."""
        return self.descriptor.schema.file_types

    def links(self, json: bytes, scope: Mapping[str, Any]) -> bytes:
        """Return a value with the URLs of its blobs, for the answer to a request."""
        return self._blobs.absolute(json, scope) if self.has_links else json

    @cached_property
    def has_links(self) -> bool:
        """Whether values may have links to blobs."""
        return b'"href"' in to_json(self.descriptor.schema.data_schema("serialization"))

    async def reading(self, patience: float = CLIENT_PATIENCE) -> Reading:
        """Call the getter, or share a call that begins after now.

        `patience` is how long (s) it waits for the turn of an exclusive Thing.

        Raises:
            ReportedFailure: the getter failed, or its value does not fit the property's type.
            ThingBusyError: the Thing was not free in that time.
            ThingNotOpenError: there is a getter, and the Thing's hardware is not open.
        """
        if self._opening.refusal is not None:
            self.require_open()
        if self._shared is not None:
            return await self._shared.ask(patience)
        return await self._executor.run(self._take, patience)

    def _take(self, patience: float) -> Reading:
        PATIENCE.set(patience)
        # A poll that fails again and again is logged once.
        logged = patience == 0 and self.state.failure is not None
        try:
            with self._user_code(what="getter", logged=logged):
                value = self.descriptor.get(self._thing)
                json = None
                if self.file_types:
                    value = self.descriptor.checked_reading(self._thing, value)
                else:
                    json = self.descriptor.value_json(self._thing, value, self._context)
                reading = Reading(json, value, datetime.now(UTC))
        except ReportedFailure as failure:
            self.state.failed(failure.raised)
            raise
        if not self.state.worked():
            return reading
        self.descriptor.publish(self._thing, reading.value)
        return reading._replace(told=True)

    def failure(self) -> FailedReading | None:
        """Return why it cannot be read: the last reading failed, or one does not end."""
        hanging = [call for call in self.calls.longer_than(LONG_CALL) if call.what == "getter"]
        if not hanging:
            return self.state.failure
        call = hanging[0]
        return FailedReading({"detail": f"{self.label}: {call.told()}"}, call.since)

    def require_open(self) -> None:
        """Do nothing if no code of the Thing runs for this property, or if it may.

        Raises:
            ThingNotOpenError: the Thing's hardware is not open.
        """
        if not self.descriptor.holds_value:
            self._opening.require()

    async def write(
        self, body: bytes | ArrayFile, assigned: dict[str, bytes] | None = None
    ) -> str | None:
        """Validate and set a value in JSON, or an array; a setter runs on the Thing's executor.

        Return a warning if the value was set and could not be read back. `assigned` gets the JSON
        of the value that the Thing now holds; nothing, if a setter decides what it is.

        Raises:
            pydantic.ValidationError: the value is not valid; nothing has changed.
            ThingNotOpenError: there is a setter, and the Thing's hardware is not open.
        """
        quick = self.writes_quickly and len(body) <= LARGE
        if quick and TURN not in self._thing.__dict__:
            value = self.descriptor.schema.validate_wire(body)
            self.descriptor.set_valid(self._thing, value)
            if assigned is not None:
                self.tell(value, assigned)
            return None
        self.require_open()
        return await self._executor.run(self._write, body, assigned)

    async def reset(self) -> None:
        """Set the property to its default."""
        self.require_open()
        await self._executor.run(self._reset)

    def guard(self) -> AbstractContextManager[None]:
        """Hold the server's global lock, which setting needs, before the value is validated."""
        return self.descriptor.guard(self._thing)

    def _reset(self) -> None:
        PATIENCE.set(CLIENT_PATIENCE)
        self._note_user_code()
        with self._user_code():
            self.descriptor.reset(self._thing)

    def _note_user_code(self) -> None:
        """Note for the audit that a setter is called, which may move and then refuse."""
        requester = current_requester.get()
        if requester is not None and not self.descriptor.holds_value:
            requester.reached_user_code = True

    def _write(self, body: bytes | ArrayFile, assigned: dict[str, bytes] | None) -> str | None:
        PATIENCE.set(CLIENT_PATIENCE)
        with self.guard():
            value = self.checked(body)
            warning = self.set_checked(value)
        if assigned is not None:
            self.tell(value, assigned)
        return warning

    def tell(self, value: Any, assigned: dict[str, bytes]) -> None:
        """Add the JSON of a value that was set, if the Thing holds it as it is."""
        if self.descriptor.holds_value:
            with suppress(LabThingsError):  # it has no JSON form: reading it will tell
                assigned[self.descriptor.name] = self.descriptor.to_json(value, self._context)

    def value(self) -> Any:
        """Return the Python value."""
        with self._user_code(what="getter"):
            return self.descriptor.get(self._thing)

    def checked(self, body: bytes | ArrayFile) -> Any:
        """Return the validated value of a body, or raise `pydantic.ValidationError`."""
        with self._user_code(passing=_NOT_OF_USERS):
            return self.descriptor.schema.validate_wire(body)

    def set_checked(self, value: Any) -> str | None:
        """Set a validated value; return a warning if it could not be read back.

        Raises:
            SetterRefusal: the setter does not accept the value.
        """
        if self.descriptor.readonly:
            raise self.descriptor.read_only_error(self._thing)
        self._note_user_code()
        with reported_write() as report:
            try:
                with self._user_code(passing=ValueError):
                    self.descriptor.set_checked(self._thing, value)
            except ValueError as error:
                if error is report.refusal:
                    thing_log(name_of(self._thing)).warning(
                        "%s refused %s: %s", self.label, shown(value), describe_exception(error)
                    )
                    raise SetterRefusal(self.label, error) from error
                with self._user_code():
                    raise
        return " ".join(report.warnings) or None

    @contextmanager
    def _user_code(
        self,
        passing: type[Exception] | tuple[type[Exception], ...] = (),
        *,
        what: str = "setter",
        logged: bool = False,
    ) -> Iterator[None]:
        """Log a failure once, on the Thing's logger; drivers raise even `SystemExit`."""
        call = self.calls.begin(what)
        try:
            yield
        except passing:
            raise
        except (ThingBusyError, ActionBusyError):
            raise  # nothing has failed: another one uses the Thing
        except BaseException as error:
            if not logged:
                anticipated = isinstance(error, LabThingsError)
                thing_log(name_of(self._thing)).error(
                    "%s failed: %s",
                    self.label,
                    describe_exception(error),
                    exc_info=None if anticipated else error,
                )
            raise ReportedFailure(self.label, error) from error
        finally:
            self.calls.end(call)


class PropertiesInteraction:
    """All properties of one Thing; await its coroutines on the server's event loop."""

    def __init__(
        self, thing: Thing, each: dict[str, PropertyInteraction], executor: BoundedExecutor
    ) -> None:
        """Combine the properties of one Thing."""
        self._thing = thing
        self._each = each
        self._executor = executor
        self.label = f"The properties of Thing {name_of(thing)!r}"

    def named(self, name: str) -> PropertyInteraction:
        """Return one property.

        Raises:
            AffordanceNotFoundError: there is none of that name.
        """
        found = self._each.get(name)
        if found is None:
            raise AffordanceNotFoundError(name_of(self._thing), "property", name, list(self._each))
        return found

    def links(self, json: bytes, scope: Mapping[str, Any]) -> bytes:
        """Return the values of several properties with the URLs of their blobs."""
        for one in self._each.values():
            if not one.reads_quickly and one.has_links:
                return one.links(json, scope)
        return json

    def observable(self) -> list[PropertyInteraction]:
        """Return the properties whose changes clients can follow."""
        return [one for one in self._each.values() if one.descriptor.is_observable]

    async def read(self, names: Iterable[str] | None = None) -> bytes:
        """Return the values of these properties, or of all, as a JSON object.

        Raises:
            PartialReading: some could not be read; it has the values of the others.
        """
        chosen = self._each if names is None else {name: self.named(name) for name in names}
        failures: dict[str, tuple[str, Exception]] = {}

        async def member(name: str, one: PropertyInteraction) -> bytes:
            try:
                return to_json(name) + b":" + await one.read()
            except Exception as error:
                if not is_expected(error):
                    LOGGER.error("%s could not be read.", one.label, exc_info=error)
                failures[name] = one.label, error
                return b""

        members = await asyncio.gather(*(member(name, one) for name, one in chosen.items()))
        values = b"{" + b",".join(filter(None, members)) + b"}"
        if failures:
            ordered = {name: failures[name] for name in chosen if name in failures}
            raise PartialReading(values, ordered)
        return values

    async def write(
        self, values: Mapping[str, Any], assigned: dict[str, bytes] | None = None
    ) -> str | None:
        """Write several properties, all or nothing.

        All values are validated before the first is set. If a setter fails, the properties that
        have been set get their old values again. Return a warning if one was set and could not be
        read back. `assigned`: see `PropertyInteraction.write`.
        """
        chosen = self._chosen(values)
        if TURN not in self._thing.__dict__ and all(one.writes_quickly for one in chosen):
            return self._write(chosen, assigned)
        return await self._executor.run(self._write, chosen, assigned)

    def _chosen(self, values: Mapping[str, Any]) -> dict[PropertyInteraction, bytes]:
        chosen = {}
        for name, value in values.items():
            one = self.named(name)
            if one.descriptor.readonly:
                raise one.descriptor.read_only_error(self._thing)
            one.require_open()
            chosen[one] = to_json(value, inf_nan_mode="constants")
        return chosen

    def _write(
        self, chosen: dict[PropertyInteraction, bytes], assigned: dict[str, bytes] | None
    ) -> str | None:
        PATIENCE.set(CLIENT_PATIENCE)
        with ExitStack() as held:
            for one in chosen:
                held.enter_context(one.guard())
            values = self._checked(chosen)
            warning = self._write_all(values)
        if assigned is not None:
            for one, value in values.items():
                one.tell(value, assigned)
        return warning

    def _write_all(self, values: dict[PropertyInteraction, Any]) -> str | None:
        done: list[tuple[PropertyInteraction, Any]] = []
        warnings: list[str | None] = []
        try:
            for one, value in values.items():
                before = one.value()
                warnings.append(one.set_checked(value))
                done.append((one, before))
        except ReportedFailure:
            for one, before in reversed(done):
                with suppress(ReportedFailure):  # it has been logged; restore the others
                    one.set_checked(before)
            raise
        return " ".join(filter(None, warnings)) or None

    def _checked(self, chosen: dict[PropertyInteraction, bytes]) -> dict[PropertyInteraction, Any]:
        values: dict[PropertyInteraction, Any] = {}
        errors: list[dict[str, Any]] = []
        for one, json in chosen.items():
            try:
                values[one] = one.checked(json)
            except ValidationError as error:
                name = one.descriptor.name
                errors += [{**item, "loc": (name, *item["loc"])} for item in error.errors()]
        if errors:
            raise InvalidMembers(errors)
        return values
