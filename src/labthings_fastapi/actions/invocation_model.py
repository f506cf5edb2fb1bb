"""An invocation on the wire, in the words that LabThings clients poll."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator
from pydantic_core import to_json

from labthings_fastapi.exceptions import describe_exception
from labthings_fastapi.messages.message import InvocationStatus
from labthings_fastapi.outputs.links import BareLinks
from labthings_fastapi.problems import well_formed
from labthings_fastapi.schemas.wire_values import to_wire_json

from .array_outputs import with_input_links
from .logs import line_members

ACTION_INVOCATIONS_PATH = "/action_invocations"

InputT = TypeVar("InputT")
OutputT = TypeVar("OutputT")


# A naive time is this computer's local time.
UtcTime = Annotated[datetime, AfterValidator(lambda value: value.astimezone(UTC))]


class LogRecordModel(BaseModel):
    """One line of a run's log; made from a `logging.LogRecord` by `model_validate`."""

    model_config = ConfigDict(extra="ignore", from_attributes=True)

    message: str
    levelname: str
    levelno: int
    lineno: int
    filename: str
    created: UtcTime
    exception_type: str | None = None
    traceback: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_record(cls, value: Any) -> Any:
        """Format a record here, so that one bad log call never breaks a listing."""
        return line_members(value) if isinstance(value, logging.LogRecord) else value


class Link(BaseModel):
    """A link from a run to something that belongs to it."""

    rel: str
    href: str


class GenericInvocationModel(BaseModel, Generic[InputT, OutputT]):
    """One run of an action, with its input and output typed."""

    status: InvocationStatus
    id: UUID
    action: str
    href: str
    timeStarted: UtcTime | None  # noqa: N815 - the names on the wire
    timeRequested: UtcTime | None  # noqa: N815
    timeCompleted: UtcTime | None  # noqa: N815
    input: InputT
    output: OutputT
    log: Sequence[LogRecordModel]
    links: Sequence[Link] = ()
    error: dict[str, Any] | None = None
    progress: float | None = None
    progressDetail: dict[str, Any] | None = None  # noqa: N815
    phase: str | None = None
    queuePosition: int | None = None  # noqa: N815
    cancelRequested: bool = False  # noqa: N815
    """Whether somebody asked it to stop, also if its code went on all the same."""
    partial: bool = False
    """Whether the output has the values yielded so far, because it did not complete."""
    logDropped: int = 0  # noqa: N815
    """How many lines of the log are no longer kept, the oldest."""
    resultsDropped: int = 0  # noqa: N815
    """How many of the values that it yielded are no longer kept, the oldest."""
    detailsDropped: bool = False  # noqa: N815
    """Whether input, output and log were given up for their age, or for the space they take."""


InvocationModel = GenericInvocationModel[Any, Any]


# Of its own, so that a `random.seed` in a lab's code does not repeat ids.
_random_bits = random.Random().getrandbits  # noqa: S311 - ids are no secrets


def new_id() -> UUID:
    """Return a fresh UUID of version 4; `uuid.uuid4` asks the system for each one."""
    return UUID(int=_random_bits(128), version=4)


class EmptyInput(BaseModel):
    """The input of an invocation that was given none."""


NO_INPUT = EmptyInput()


_LINKS = {"blobs": BareLinks()}


def input_json(input: BaseModel, run: UUID) -> bytes:
    """Render the input of a run; one that has no JSON form is described instead.

    Large arrays are linked: `ActionCall.keep_blobs_of` keeps them.
    """
    if input is NO_INPUT or not (type(input).model_fields or input.model_extra):
        return b"{}"
    try:
        members = input.model_dump(by_alias=True, context=_LINKS)
        return to_wire_json(with_input_links(members, run))
    except Exception as error:  # noqa: BLE001 - a user's serialiser may raise anything
        return to_json({"unserialisable": well_formed(describe_exception(error))})


__all__ = ["GenericInvocationModel", "InvocationModel", "InvocationStatus", "LogRecordModel"]
