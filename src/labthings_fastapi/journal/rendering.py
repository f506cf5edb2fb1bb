"""JSON of journal records, rendered on the thread that reads the journal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json, to_json

from .record import InvocationRecord

if TYPE_CHECKING:
    from .mutation import MutationRecord
    from .query import RecordPage


def _time(value: datetime | None) -> str | None:
    return value.astimezone(UTC).isoformat() if value is not None else None


def _read(json: bytes | None) -> Any:
    """Return a JSON value; bytes that were damaged on the disk are returned as text."""
    if json is None:
        return None
    try:
        return from_json(json)
    except (ValueError, RecursionError):
        return json.decode("utf-8", "replace")


def summary(record: InvocationRecord, href: str) -> dict[str, Any]:
    """Return an invocation without input, output and log."""
    return {
        "id": str(record.id),
        "thing": record.thing,
        "action": record.action,
        "status": record.status.value,
        "href": href,
        "kind": "run",
        "requestedBy": record.requested_by,
        "address": record.address,
        "request": None,
        "timeRequested": _time(record.time_requested),
        "timeStarted": _time(record.time_started),
        "timeCompleted": _time(record.time_ended),
        "error": record.error,
        "progressDetail": record.progress,
        "incarnation": record.boot_id,
        "cancelRequested": record.cancel_requested,
        "partial": record.partial,
        "resultsDropped": record.results_dropped,
        "detailsDropped": record.details_dropped,
        "outputsDropped": record.outputs_dropped,
        "pinned": record.pinned,
    }


def in_full(record: InvocationRecord, href: str) -> bytes:
    """Return all of an invocation as JSON."""
    members = summary(record, href) | {
        "input": _read(record.input),
        "output": _read(record.output),
        "outputReference": record.output_reference,
        "log": list(record.log),
        "logDropped": record.log_dropped,
        "things": list(record.things),
    }
    return to_json(members, inf_nan_mode="strings")


def mutation_summary(record: MutationRecord, href: str) -> dict[str, Any]:
    """Return a mutation with the same members as an invocation."""
    return {
        "id": str(record.id),
        "thing": record.thing,
        "action": record.affordance,
        "status": record.outcome.value,
        "href": href,
        "kind": "mutation",
        "requestedBy": record.actor,
        "address": record.address,
        "request": {
            "method": record.method,
            "path": record.path,
            "status": record.status,
            "count": record.count,
        },
        "timeRequested": _time(record.time),
        "timeStarted": None,
        "timeCompleted": _time(record.last_time),
        "error": None,
        "progressDetail": None,
        "incarnation": record.boot_id,
        "cancelRequested": False,
        "partial": False,
        "resultsDropped": 0,
        "detailsDropped": False,
        "outputsDropped": 0,
        "pinned": False,
    }


def full_mutation(record: MutationRecord, href: str) -> bytes:
    """Return a mutation as JSON, with all members of an invocation."""
    members: dict[str, Any] = {"input": None, "output": None, "outputReference": None, "log": []}
    members |= {"logDropped": 0, "things": [record.thing]}
    return to_json(mutation_summary(record, href) | members)


def page(found: RecordPage[InvocationRecord | MutationRecord], base: str) -> bytes:
    """Return a page of summaries as JSON; hrefs begin with `base`."""
    records = [
        summary(record, f"{base}{record.id}")
        if isinstance(record, InvocationRecord)
        else mutation_summary(record, f"{base}{record.id}")
        for record in found.records
    ]
    return to_json({"records": records, "next": found.next_cursor}, inf_nan_mode="strings")
