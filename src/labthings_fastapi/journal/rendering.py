"""A record of the journal as it goes out; renders in the thread that reads the journal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json, to_json

if TYPE_CHECKING:
    from .record import InvocationRecord, RecordPage


def _time(value: datetime | None) -> str | None:
    return value.astimezone(UTC).isoformat() if value is not None else None


def _read(json: bytes | None) -> Any:
    """Read what was written as JSON; bytes that a disk has damaged cost only themselves."""
    if json is None:
        return None
    try:
        return from_json(json)
    except (ValueError, RecursionError):
        return json.decode("utf-8", "replace")


def summary(record: InvocationRecord, href: str) -> dict[str, Any]:
    """Return a record in short: without input, output and log."""
    return {
        "id": str(record.id),
        "thing": record.thing,
        "action": record.action,
        "status": record.status.value,
        "href": href,
        "kind": record.kind,
        "requestedBy": record.requested_by,
        "address": record.address,
        "request": record.request,
        "timeRequested": _time(record.time_requested),
        "timeStarted": _time(record.time_started),
        "timeCompleted": _time(record.time_ended),
        "error": record.error,
        "progressDetail": record.progress,
        "incarnation": record.boot_id,
    }


def in_full(record: InvocationRecord, href: str) -> bytes:
    """Write all of a record."""
    members = summary(record, href) | {
        "input": _read(record.input),
        "output": _read(record.output),
        "outputReference": record.output_reference,
        "log": list(record.log),
    }
    return to_json(members, inf_nan_mode="strings")


def page(found: RecordPage, base: str) -> bytes:
    """Write a page of summaries; hrefs begin with `base`."""
    records = [summary(record, f"{base}{record.id}") for record in found.records]
    return to_json({"records": records, "next": found.next_cursor}, inf_nan_mode="strings")
