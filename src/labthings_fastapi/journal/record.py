"""One invocation at one moment, as the journal and every protocol see it."""

from __future__ import annotations

import json
import logging
import math
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from labthings_fastapi.exceptions import RequestError
from labthings_fastapi.messages.message import InvocationStatus
from labthings_fastapi.problems import message_problem

SortKey = tuple[datetime, UUID]
"""The order of a listing: the time of the request, then the id."""

_PENDING, _RUNNING = InvocationStatus.PENDING, InvocationStatus.RUNNING
OUTPUT_LIMIT = 64 * 1024
"""The largest output, in bytes of JSON, that is kept in full."""
HEAD_TEXT = 200
"""The longest text of an error, in characters, that the head of an invocation keeps."""
HEAD_THINGS = 8
_OUTPUT_FACTS = ("size", "media_type")


class InvocationRecord(NamedTuple):
    """One invocation at one moment; replaced as a whole, never changed. Times are aware UTC.

    The journal, HTTP, server-sent events and WebSockets all render from this. The journal stores
    everything above `action_path`.

    `requested_by` is the actor's name and `address` the network address of the client; both are
    None for invocations that the server's own code started.

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
    """The start of the server that ran it: an open record of an earlier start was interrupted."""
    address: str | None = None
    log_dropped: int = 0
    """How many lines of the log are no longer kept, the oldest."""
    results_dropped: int = 0
    """How many of the values that it yielded are no longer kept, the oldest."""
    partial: bool = False
    """Whether the output has the values yielded so far, because it did not complete."""
    cancel_requested: bool = False
    """Whether somebody asked it to stop, also if its code went on all the same."""
    other_things: tuple[str, ...] = ()
    """The names of the Things that its code entered besides its own, in that order."""
    details_dropped: bool = False
    """Whether only the head is left: input, output, log and progress were given up for space or
    age."""
    outputs_dropped: int = 0
    """The bytes of blobs and files that were deleted because there were too many."""
    pinned: bool = False
    """Whether it is kept beyond every age and limit; `Journal.pin` decides, and not `put`."""
    action_path: str = ""
    """The path of the action's URL, with the server's prefix."""
    phase: str = "finished"
    """More detailed than the status: queued, starting, running, cancelling, finished."""
    overdue: bool = False
    """Whether it was cancelled and has not stopped in time."""
    queue_position: int | None = None
    waits_for: str | None = None
    """1 for the next in line."""
    file_links: tuple[tuple[str, str], ...] = ()
    """Relation and name of the files to which its code has asked for a link."""
    journaled: bool = True
    """Whether the journal could take the final state."""

    @property
    def is_open(self) -> bool:
        """Whether the invocation had not ended at this moment."""
        status = self.status
        return status is _PENDING or status is _RUNNING

    @property
    def things(self) -> tuple[str, ...]:
        """The names of the Things that took part: its own and those that it entered."""
        return (self.thing, *self.other_things)

    @property
    def sort_key(self) -> SortKey:
        """The order of a listing, descending: the time of the request, then the id."""
        return self.time_requested, self.id

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

    def head(self) -> InvocationRecord:
        """Return what is left of this record when its details are given up; it is short."""
        reference = self.output_reference
        if reference is None and self.output is not None:
            reference = {"size": len(self.output), "media_type": "application/json"}
        error = self.error and {
            name: value[:HEAD_TEXT] if isinstance(value, str) else value
            for name in ("type", "title", "status", "detail")
            if isinstance(value := self.error.get(name), str | int)
        }
        return self._replace(
            input=b"null",
            output=None,
            output_reference=reference and {key: reference.get(key) for key in _OUTPUT_FACTS},
            error=error,
            log=(),
            log_dropped=self.log_dropped + len(self.log),
            progress=None,
            other_things=self.other_things[:HEAD_THINGS],
            details_dropped=True,
        )


def interrupted(record: InvocationRecord, now: datetime) -> InvocationRecord:
    """Return the final record of an invocation whose server stopped."""
    progress = "was in progress" if record.time_started else "was waiting or had just begun"
    problem = message_problem(
        "interrupted",
        "The run was interrupted",
        500,
        f"The server stopped while this run {progress}. It was not run again.",
    )
    return record._replace(status=InvocationStatus.ERROR, time_ended=now, error=problem.members())


def journal_line(message: str, level: str, now: datetime) -> dict[str, Any]:
    """Return a line for the log of a record, from code that has no run around it."""
    created = now.isoformat().replace("+00:00", "Z")
    number = logging.getLevelNamesMapping().get(level, logging.INFO)
    members = {"message": message, "levelname": level, "levelno": number, "lineno": 0}
    return {
        **members,
        "filename": "",
        "created": created,
        "exception_type": None,
        "traceback": None,
    }


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
