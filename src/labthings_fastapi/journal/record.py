"""What the journal keeps of an invocation."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from labthings_fastapi.exceptions import RequestError
from labthings_fastapi.messages.message import InvocationStatus, is_final

SortKey = tuple[datetime, UUID]
"""The order of a listing: the time of the request, then the id."""

OUTPUT_LIMIT = 64 * 1024
"""The largest output, in bytes of JSON, that is kept in full."""

_TIMES = ("time_requested", "time_started", "time_ended")


@dataclass(frozen=True, slots=True)
class InvocationRecord:
    """One invocation, as it was when the record was made; times are aware UTC.

    `requested_by` is the actor's name and `address` the network address of the client; both are
    None for invocations that the server's own code started.

    `input` and `output` are JSON. For an output that is too large or binary, `output` is None and
    `output_reference` has its `size` (bytes) and `media_type`: see `stored_output`.

    Raises:
        RequestError: a time has no zone.
    """

    id: UUID
    thing: str
    action: str
    status: InvocationStatus
    requested_by: str | None
    input: bytes
    time_requested: datetime
    time_started: datetime | None = None
    time_ended: datetime | None = None
    error: dict[str, Any] | None = None
    output: bytes | None = None
    output_reference: dict[str, Any] | None = None
    log: tuple[dict[str, Any], ...] = ()
    progress: dict[str, Any] | None = None
    boot_id: str = ""
    """The start of the server that ran it: an open record of an earlier start was interrupted."""
    address: str | None = None

    def __post_init__(self) -> None:
        for name in _TIMES:
            time = getattr(self, name)
            if time is not None and time.tzinfo is not UTC:
                require_zone(f"Run {self.id}: {name}", time)

    @property
    def is_open(self) -> bool:
        """Whether the invocation had not ended when the record was made."""
        return not is_final(self.status)

    @property
    def sort_key(self) -> SortKey:
        """The order of a listing, descending: the time of the request, then the id."""
        return self.time_requested, self.id


def stored_output(
    output: bytes, media_type: str = "application/json"
) -> tuple[bytes | None, dict[str, Any] | None]:
    """Decide what a record keeps of an output: `(output, output_reference)`, one of them None."""
    if media_type == "application/json" and len(output) <= OUTPUT_LIMIT:
        return output, None
    return None, {"size": len(output), "media_type": media_type}


def searchable_text(record: InvocationRecord) -> str:
    """Return the text in which `JournalQuery.text` is searched, the same in every journal."""
    parts = [record.thing, record.action, record.requested_by or "", _readable(record.input)]
    if record.output is not None:
        parts.append(_readable(record.output))
    if record.error is not None:
        parts.append(json.dumps(record.error, ensure_ascii=False))
    parts.extend(str(entry.get("message", "")) for entry in record.log)
    text = "\n".join(parts).casefold()
    # JSON may have half a surrogate pair, which cannot be written to a database.
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _readable(payload: bytes) -> str:
    """Return JSON without its escapes, so that a search finds the text that people typed."""
    if b"\\" in payload:
        with suppress(ValueError, RecursionError):
            return json.dumps(json.loads(payload), ensure_ascii=False, separators=(",", ":"))
    return payload.decode("utf-8", "replace")


def require_zone(name: str, time: datetime | None) -> None:
    """Refuse a time without a time zone.

    Raises:
        RequestError: the message begins with `name`.
    """
    if time is not None and time.utcoffset() is None:
        raise RequestError(
            f"{name} is {time.isoformat()}, which has no time zone: add one, as +00:00."
        )
