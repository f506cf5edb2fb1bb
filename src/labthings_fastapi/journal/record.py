"""What a journal keeps of a run, and how it is asked for."""

from __future__ import annotations

import base64
import binascii
import json
import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from labthings_fastapi.exceptions import RequestError
from labthings_fastapi.messages.message import InvocationStatus, is_final

RecordKind = Literal["run", "mutation"]
"""A run of an action, or another request that changed something: a write, a reset, a cancel."""

OUTPUT_LIMIT = 64 * 1024
"""The largest output, in bytes of JSON, that is kept in full."""


class InvocationRecord(NamedTuple):
    """One invocation at one moment; replaced as a whole, never changed. Times are aware UTC.

    The journal, HTTP, server-sent events and WebSockets all render from this. The journal stores
    everything above `action_path`.

    A mutation is recorded in the same form: `action` is the affordance or the path of the request,
    and `request` describes it. `requested_by` is the actor's name and `address` the network
    address that the request came from; both are None for what the server's own code did.

    `input` and `output` are JSON. Of an output that is too large for the journal or binary, the
    journal keeps `output_reference` instead, with its `size` (bytes) and `media_type`: see
    `for_journal`.
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
    """Which start of the server ran it: an open record of another start was interrupted."""
    kind: RecordKind = "run"
    address: str | None = None
    request: dict[str, Any] | None = None
    """Of a mutation: its `method`, `path`, `status`, and the `count` of those alike in a row."""
    action_path: str = ""
    """The path of the action's URL, with the server's prefix."""
    phase: str = "finished"
    """More than the status says: queued, starting, running, cancelling, finished."""
    log_dropped: int = 0
    cancel_requested: bool = False
    overdue: bool = False
    """Whether it was cancelled and has not stopped in time."""
    queue_position: int | None = None
    """1 for the next in line."""
    journaled: bool = True
    """Whether the journal could take the final state."""

    @property
    def is_open(self) -> bool:
        """Whether the invocation had not ended at this moment."""
        return not is_final(self.status)

    @property
    def percent(self) -> float | None:
        """Percent done, 0 to 100; None when unknown."""
        progress = self.progress or {}
        return percent_done(progress.get("done"), progress.get("total"))

    def for_journal(self) -> InvocationRecord:
        """Return this record with an output that the journal keeps."""
        output, reference = stored_output(self.output) if self.output else (None, None)
        if reference is None or self.output_reference is not None:
            return self
        return self._replace(output=output, output_reference=reference)


def percent_done(done: Any, total: Any) -> float | None:
    """Return 0 to 100; None when the total is unknown."""
    if not isinstance(done, int | float) or not isinstance(total, int | float) or total <= 0:
        return None
    try:
        percent = 100 * (done / total)
    except OverflowError:
        return None
    return round(min(max(percent, 0.0), 100.0), 2) if math.isfinite(percent) else None


def stored_output(
    output: bytes, media_type: str = "application/json"
) -> tuple[bytes | None, dict[str, Any] | None]:
    """Decide what a record keeps of an output: `(output, output_reference)`, one of them None."""
    if media_type == "application/json" and len(output) <= OUTPUT_LIMIT:
        return output, None
    return None, {"size": len(output), "media_type": media_type}


_NOTHING = (b"{}", b"null")


def searchable_text(record: InvocationRecord) -> str:
    """Return what `JournalQuery.text` is looked for in, the same in every journal."""
    parts = [record.thing, record.action, record.requested_by or "", _readable(record.input)]
    if record.output is not None:
        parts.append(_readable(record.output))
    if record.error is not None:
        parts.append(json.dumps(record.error, ensure_ascii=False))
    parts.extend(str(entry.get("message", "")) for entry in record.log)
    text = "\n".join(parts).casefold()
    # Half a surrogate pair is legal in JSON and cannot be written to a database.
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _readable(payload: bytes) -> str:
    """Undo JSON's escapes, so that people find what they typed."""
    if payload in _NOTHING:  # as most actions take and return
        return payload.decode()
    try:
        return json.dumps(json.loads(payload), ensure_ascii=False)
    except (ValueError, RecursionError):
        return payload.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class JournalQuery:
    """Which runs are looked for; a filter that is None lets all through.

    `since` (inclusive) and `until` (exclusive) are about the time of the request. `text` is looked
    for in names, who asked, input, output, error and log, without regard to case.

    Raises:
        RequestError: a time has no zone, or `limit` is not positive.
    """

    thing: str | None = None
    action: str | None = None
    status: InvocationStatus | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None
    limit: int = 100
    cursor: str | None = None
    """The `next_cursor` of the page before."""
    actor: str | None = None
    """Who asked, by name."""
    kind: RecordKind | None = "run"

    def __post_init__(self) -> None:
        _refuse_naive("since", self.since)
        _refuse_naive("until", self.until)
        if self.limit < 1:
            raise RequestError(
                f"limit is {self.limit}, but a page has at least one run: ask for 1."
            )

    def matches(self, record: InvocationRecord) -> bool:
        """Whether a record passes every filter; the cursor is not one of them."""
        return (
            self.thing in (None, record.thing)
            and self.action in (None, record.action)
            and self.status in (None, record.status)
            and self.actor in (None, record.requested_by)
            and self.kind in (None, record.kind)
            and (self.since is None or self.since <= record.time_requested)
            and (self.until is None or record.time_requested < self.until)
            and (not self.text or self.text.casefold() in searchable_text(record))
        )


@dataclass(frozen=True, slots=True)
class RecordPage:
    """Some of the runs that were looked for, newest first."""

    records: tuple[InvocationRecord, ...]
    next_cursor: str | None = None
    """Where the next page begins; None on the last one."""


def newest_first(record: InvocationRecord) -> tuple[datetime, UUID]:
    """Return what records are sorted by, descending: the time of the request, then the id."""
    return record.time_requested, record.id


def encode_cursor(record: InvocationRecord) -> str:
    """Name the place just after this record in a listing, whatever is added meanwhile."""
    text = f"{record.time_requested.isoformat()} {record.id.hex}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> tuple[datetime, UUID]:
    """Return the `newest_first` key of the record that a cursor was made from.

    Raises:
        RequestError: no journal made this cursor.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        time, id = base64.b64decode(padded, altchars=b"-_", validate=True).decode().split(" ")
        key = datetime.fromisoformat(time), UUID(id)
        _refuse_naive("cursor", key[0])
    except (ValueError, binascii.Error) as error:
        raise RequestError(
            f"The cursor {cursor!r} was not made by this journal: "
            "pass on the next_cursor of a page, or leave it out to begin with the newest run."
        ) from error
    return key


def _refuse_naive(name: str, time: datetime | None) -> None:
    if time is not None and time.utcoffset() is None:
        raise RequestError(
            f"{name} is {time.isoformat()}, which has no time zone: add one, as +00:00."
        )
