"""One run in two vocabularies, each a function of the same record.

`/action_invocations/…` speaks the LabThings words, which existing clients poll; the affordances of
a Thing speak the W3C words (WoT Profiles, ActionStatus). Outputs and results were written as JSON
once, when they were made, and are only put in place here: rendering runs no user code, so it may
happen on an event loop.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias
from urllib.parse import quote

from pydantic_core import to_json

from labthings_fastapi.journal.record import InvocationRecord, stored_output
from labthings_fastapi.messages.message import InvocationStatus
from labthings_fastapi.outputs.blob import Blob

from .invocation_model import ACTION_INVOCATIONS_PATH, LogRecordModel
from .logs import line_members

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from .invocation import Invocation
    from .lifecycle import InvocationState
    from .recorded_invocation import RecordedInvocation

    AnyInvocation: TypeAlias = Invocation | RecordedInvocation

_W3C_STATUS = {
    InvocationStatus.PENDING: "pending",
    InvocationStatus.RUNNING: "running",
    InvocationStatus.COMPLETED: "completed",
    InvocationStatus.ERROR: "failed",
    InvocationStatus.CANCELLED: "failed",
}


class Named(Protocol):
    """A run, as far as its names go."""

    @property
    def id(self) -> UUID:
        """The id under which clients know it."""

    @property
    def action_path(self) -> str:
        """The path of its action."""


class InvocationUrls:
    """Where a server is reached: what hrefs begin with.

    `origin` is `http://host:port` with the root path, or empty for relative references; `prefix`
    is the server's `api_prefix`.
    """

    __slots__ = ("invocations", "origin")

    def __init__(self, origin: str = "", prefix: str = "") -> None:
        """Take the beginning of every URL."""
        self.origin = origin
        self.invocations = f"{origin}{prefix}{ACTION_INVOCATIONS_PATH}/"

    def of_invocation(self, invocation: Named) -> str:
        """The run's own resource, in LabThings words."""
        return f"{self.invocations}{invocation.id}"

    def of_action_invocation(self, invocation: AnyInvocation) -> str:
        """The run as a resource of its action, in W3C words."""
        return self.below_action(invocation.action_path, str(invocation.id))

    def below_action(self, path: str, id: str) -> str:
        """The same by the path of the action and the run's id as text."""
        if not path.isascii():  # the name of a method holds any letter (RFC 3986, section 2.1)
            path = quote(path)
        return f"{self.origin}{path}/{id}"


def _time(value: datetime | None) -> str | None:
    if value is None:
        return None
    return (value if value.tzinfo is UTC else value.astimezone(UTC)).isoformat()


def _joined(members: dict[str, Any], **raw: bytes | None) -> bytes:
    """Write an object of which some members are JSON already."""
    text = to_json(members, inf_nan_mode="strings")
    parts = [b'"%b":%b' % (name.encode(), json) for name, json in raw.items() if json is not None]
    if not parts:
        return text
    return text[:-1] + (b"," if members else b"") + b",".join(parts) + b"}"


def log_json(invocation: AnyInvocation) -> list[dict[str, Any]]:
    """The run's log as it goes out."""
    lines: Iterable[Any] = invocation.log
    return [_line_json(line) for line in lines]


def _line_json(line: Any) -> dict[str, Any]:
    """Return what a `LogRecordModel` of this line says; a live record needs no other checks."""
    if not isinstance(line, logging.LogRecord):
        return LogRecordModel.model_validate(line).model_dump(mode="json")
    members = line_members(line)
    members["created"] = members["created"].isoformat().replace("+00:00", "Z")
    return members


def _links(href: str) -> list[dict[str, str]]:
    return [
        {"rel": "self", "href": href},
        {"rel": "output", "href": f"{href}/output"},
        {"rel": "events", "href": f"{href}/events"},
        {"rel": "files", "href": f"{href}/files"},
    ]


def _summary_members(
    invocation: AnyInvocation, state: InvocationState, place: InvocationUrls
) -> dict[str, Any]:
    id = str(invocation.id)
    href = f"{place.invocations}{id}"
    return {
        "status": state.status.value,
        "id": id,
        "action": invocation.action_path,
        "href": href,
        "timeStarted": _time(state.started),
        "timeRequested": _time(state.requested),
        "timeCompleted": _time(state.ended),
        "links": _links(href),
        "progress": invocation.progress,
        "progressDetail": invocation.progress_detail,
        "phase": state.phase,
        **_remarks(invocation, state),
    }


def _remarks(invocation: AnyInvocation, state: InvocationState) -> dict[str, Any]:
    """Say what is out of the ordinary; left out where nothing is."""
    found = _remarks_on_state(state, journaled=invocation.committed.journaled)
    reference = getattr(invocation, "output_reference", None)
    if reference is not None:
        found["outputReference"] = reference
    return found


def _remarks_on_state(state: InvocationState, *, journaled: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if state.queue_position is not None:
        found["queuePosition"] = state.queue_position
    if state.overdue and not state.finished:
        found["phaseDetail"] = "overdue: it was cancelled and has not stopped"
    if not journaled:
        found["journaled"] = False
    return found


def summary(invocation: AnyInvocation, place: InvocationUrls) -> bytes:
    """Render a run for a listing: without input, output, log and error, in LabThings words."""
    return to_json(
        _summary_members(invocation, invocation.committed.state, place), inf_nan_mode="strings"
    )


def in_full(invocation: AnyInvocation, place: InvocationUrls) -> bytes:
    """Render all of a run in LabThings words: the `InvocationModel`."""
    state = invocation.committed.state
    members = _summary_members(invocation, state, place) | {
        "error": state.problem,
        "log": log_json(invocation),
        "logDropped": invocation.log_dropped,
        "cancelRequested": state.cancel_requested,
    }
    return _joined(members, input=invocation.input_json, output=state.output_json or b"null")


def w3c_word(invocation: AnyInvocation) -> str:
    """The W3C's word for where a run stands: pending, running, completed or failed."""
    return _W3C_STATUS[invocation.committed.state.status]


def action_status(
    invocation: AnyInvocation, place: InvocationUrls, *, short: bool = False
) -> bytes:
    """Render a run in W3C words; members without a value are left out (WoT Profiles, 6.2)."""
    state = invocation.committed.state
    # The answer to each request for a run: what is told twice is written once.
    id, path, ended = str(invocation.id), invocation.action_path, _time(state.ended)
    members = {
        "status": _W3C_STATUS[state.status],
        "href": place.below_action(path, id),
        "timeRequested": _time(state.requested),
        "timeEnded": ended,
        "id": id,
        "action": path,
        "links": _links(f"{place.invocations}{id}"),
        "timeStarted": _time(state.started),
        "timeCompleted": ended,
        "progress": invocation.progress,
        "progressDetail": invocation.progress_detail,
        "phase": state.phase,
        **_remarks(invocation, state),
    }
    if not short:
        members |= {"error": state.problem, "log": log_json(invocation)}
    present = {name: value for name, value in members.items() if value is not None}
    if short:
        return to_json(present, inf_nan_mode="strings")
    return _joined(present, input=invocation.input_json, output=state.output_json)


def status_news(
    invocation: Named, state: InvocationState, place: InvocationUrls, *, journaled: bool = True
) -> bytes:
    """Render a change of state for subscribers; `journaled` says whether its record is safe."""
    return to_json(
        {
            "id": str(invocation.id),
            "action": invocation.action_path,
            "href": place.of_invocation(invocation),
            "status": state.status.value,
            "phase": state.phase,
            "cancelRequested": state.cancel_requested,
            "timeStarted": _time(state.started),
            "timeRequested": _time(state.requested),
            "timeCompleted": _time(state.ended),
            "error": state.problem,
            **_remarks_on_state(state, journaled=journaled),
        },
        inf_nan_mode="strings",
    )


def _stored(state: InvocationState) -> tuple[bytes | None, dict[str, Any] | None]:
    """Return what the journal keeps of an output, and what it says of one that it does not keep."""
    if state.output_json is None:
        return None, None
    if isinstance(state.output, Blob):
        # The link leads nowhere once the server has ended.
        size: int | None = None
        with suppress(OSError):
            size = state.output.size
        return None, {"size": size, "media_type": state.output.media_type}
    return stored_output(state.output_json)


def journal_record(
    invocation: Invocation, state: InvocationState, boot_id: str
) -> InvocationRecord:
    """Render a run for the journal."""
    output, reference = _stored(state)
    return InvocationRecord(
        id=invocation.id,
        thing=invocation.thing_name,
        action=invocation.action_name,
        status=state.status,
        requested_by=invocation.requested_by,
        address=invocation.requested_from,
        input=invocation.input_json,
        time_requested=state.requested,
        time_started=state.started,
        time_ended=state.ended,
        error=state.problem,
        output=output,
        output_reference=reference,
        log=tuple(log_json(invocation)) if state.finished else (),
        progress=invocation.progress_detail,
        boot_id=boot_id,
    )
