"""One invocation in two vocabularies: LabThings words and W3C words (WoT Profiles, ActionStatus).

Outputs are JSON already, so rendering runs no user code and may happen on an event loop.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

from pydantic_core import to_json

from labthings_fastapi.journal.record import InvocationRecord
from labthings_fastapi.messages.message import InvocationStatus
from labthings_fastapi.outputs.links import LINK_START, absolute_links

from .invocation_model import ACTION_INVOCATIONS_PATH

_W3C_STATUS = {
    InvocationStatus.PENDING: "pending",
    InvocationStatus.RUNNING: "running",
    InvocationStatus.COMPLETED: "completed",
    InvocationStatus.ERROR: "failed",
    InvocationStatus.CANCELLED: "failed",
}


class InvocationUrls:
    """The URLs of invocations; `origin` includes the root path, empty: relative references."""

    __slots__ = ("invocations", "origin", "prefix")

    def __init__(self, origin: str = "", prefix: str = "") -> None:
        self.origin = origin
        self.prefix = prefix
        self.invocations = f"{origin}{prefix}{ACTION_INVOCATIONS_PATH}/"

    def of_invocation(self, id: UUID) -> str:
        return f"{self.invocations}{id}"

    def links(self, json: bytes) -> bytes:
        """Return an input or output with the URLs of its blobs."""
        if LINK_START not in json:
            return json
        return absolute_links(json, f"{self.origin}{self.prefix}")

    def of_action_invocation(self, record: InvocationRecord) -> str:
        path = record.action_path
        if not path.isascii():  # the name of a method holds any letter (RFC 3986, section 2.1)
            path = quote(path)
        return f"{self.origin}{path}/{record.id}"


def _time(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()


def _with_json(
    members: dict[str, Any], input: bytes, output: bytes | None, urls: InvocationUrls
) -> bytes:
    if LINK_START in input:
        input = urls.links(input)
    text = to_json(members, inf_nan_mode="strings")[:-1] + b',"input":' + input
    return text + b"}" if output is None else text + b',"output":' + urls.links(output) + b"}"


def _links(href: str, record: InvocationRecord) -> list[dict[str, str]]:
    found = [
        {"rel": "self", "href": href},
        {"rel": "output", "href": f"{href}/output"},
        {"rel": "events", "href": f"{href}/events"},
        {"rel": "files", "href": f"{href}/files"},
    ]
    for rel, name in record.file_links:
        found.append({"rel": rel, "href": f"{href}/files/{quote(name)}"})
    return found


def _remarks(record: InvocationRecord) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if record.queue_position is not None:
        found["queuePosition"] = record.queue_position
    if record.waits_for:
        found["phaseDetail"] = f"waits for {record.waits_for}"
    if record.cancel_requested:
        found["cancelRequested"] = True
        if record.status is InvocationStatus.COMPLETED:
            found["phaseDetail"] = "somebody asked it to stop, but its code completed all the same"
    if record.overdue and record.is_open:
        found["phaseDetail"] = "overdue: it was cancelled and has not stopped"
    return found | _what_is_missing(record)


def _what_is_missing(record: InvocationRecord) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if record.partial:
        found["partial"] = True
    if record.results_dropped:
        found["resultsDropped"] = record.results_dropped
    if not record.journaled:
        found["journaled"] = False
    if record.details_dropped:
        found["detailsDropped"] = True
    if record.outputs_dropped:
        found["outputsDropped"] = record.outputs_dropped
    if record.pinned:
        found["pinned"] = True
    if record.output_reference is not None and record.output is None:
        found["outputReference"] = record.output_reference
    return found


def _status_members(record: InvocationRecord, href: str) -> dict[str, Any]:
    return {
        "status": record.status.value,
        "id": str(record.id),
        "action": record.action_path,
        "href": href,
        "timeStarted": _time(record.time_started),
        "timeRequested": _time(record.time_requested),
        "timeCompleted": _time(record.time_ended),
        "phase": record.phase,
        **_remarks(record),
    }


def _summary_members(record: InvocationRecord, urls: InvocationUrls) -> dict[str, Any]:
    href = urls.of_invocation(record.id)
    members = _status_members(record, href)
    progress = {"progress": record.percent, "progressDetail": record.progress}
    return {**members, "links": _links(href, record), **progress}


def summary(record: InvocationRecord, urls: InvocationUrls) -> bytes:
    """Render for a listing, in LabThings words: without input, output, log and error."""
    return to_json(_summary_members(record, urls), inf_nan_mode="strings")


def invocation_json(record: InvocationRecord, urls: InvocationUrls) -> bytes:
    """Render everything in LabThings words: the `InvocationModel`."""
    members = _summary_members(record, urls) | {
        "error": record.error,
        "log": record.log,
        "logDropped": record.log_dropped,
        "cancelRequested": record.cancel_requested,
    }
    return _with_json(members, record.input, record.output or b"null", urls)


def w3c_word(record: InvocationRecord) -> str:
    return _W3C_STATUS[record.status]


def as_begun(record: InvocationRecord) -> InvocationRecord:
    """Return the record for the answer to a request to begin: never as ended already.

    The standards let this answer say `pending` or `running` only, however quick the action was
    (WoT Profiles, 6.2.2; Web Thing Protocol, 6.4.1.2.2).
    """
    if record.is_open:
        return record
    has_started = record.time_started is not None
    return record._replace(
        status=InvocationStatus.RUNNING if has_started else InvocationStatus.PENDING,
        phase="running" if has_started else "starting",
        time_ended=None,
        output=None,
        output_reference=None,
        error=None,
    )


def action_status(record: InvocationRecord, urls: InvocationUrls, *, short: bool = False) -> bytes:
    """Render in W3C words; members without a value are left out (WoT Profiles, 6.2)."""
    id = str(record.id)
    word = _W3C_STATUS[record.status]
    # The HTTP Basic Profile and the Web Thing Protocol have two names for one thing.
    members: dict[str, Any] = {
        "status": word,
        "state": word,
        "actionID": id,
        "href": urls.of_action_invocation(record),
        "timeRequested": record.time_requested.isoformat(),
        "id": id,
        "action": record.action_path,
        "links": _links(f"{urls.invocations}{id}", record),
        "phase": record.phase,
    }
    if record.time_started is not None:
        members["timeStarted"] = record.time_started.isoformat()
    if record.time_ended is not None:
        members["timeEnded"] = members["timeCompleted"] = record.time_ended.isoformat()
    if record.progress is not None:
        if record.percent is not None:
            members["progress"] = record.percent
        members["progressDetail"] = record.progress
    members |= _remarks(record)
    if short:
        return to_json(members, inf_nan_mode="strings")
    if record.error is not None:
        members["error"] = record.error
    members["log"] = record.log
    return _with_json(members, record.input, record.output, urls)


def status_json(record: InvocationRecord, urls: InvocationUrls) -> bytes:
    members = _status_members(record, urls.of_invocation(record.id))
    members |= {"error": record.error, "cancelRequested": record.cancel_requested}
    return to_json(members, inf_nan_mode="strings")
