"""How the journal is searched: filters, pages and cursors."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Generic, TypeVar
from uuid import UUID

from labthings_fastapi.exceptions import RequestError

from .mutation import MutationRecord
from .record import InvocationRecord, SortKey, require_zone, searchable_text

if TYPE_CHECKING:
    from labthings_fastapi.messages.message import InvocationStatus

RecordT = TypeVar("RecordT", InvocationRecord, MutationRecord)
RecordT_co = TypeVar("RecordT_co", bound=InvocationRecord | MutationRecord, covariant=True)


@dataclass(frozen=True, slots=True)
class JournalQuery:
    """Filters for invocations and mutations; None lets everything through.

    `since` (inclusive) and `until` (exclusive) limit the time of the request. `text` is searched
    in names, actor, input, output, error and log, without regard to case. `action` is the
    affordance of a mutation. `cursor` is the `next_cursor` of the previous page.

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
    actor: str | None = None

    def __post_init__(self) -> None:
        require_zone("since", self.since)
        require_zone("until", self.until)
        if self.limit < 1:
            raise RequestError(f"limit is {self.limit}, but the smallest page has 1 record.")

    def matches(self, record: InvocationRecord) -> bool:
        """Return whether an invocation passes every filter except the cursor."""
        return (
            self.thing in (None, record.thing)
            and self.action in (None, record.action)
            and self.status in (None, record.status)
            and self.actor in (None, record.requested_by)
            and self._includes(record.time_requested)
            and (not self.text or self.text.casefold() in searchable_text(record))
        )

    def matches_mutation(self, record: MutationRecord) -> bool:
        """Return whether a mutation passes every filter except the cursor."""
        text = f"{record.thing}\n{record.affordance}\n{record.actor or ''}"
        return (
            self.thing in (None, record.thing)
            and self.action in (None, record.affordance)
            and self.status in (None, record.outcome)
            and self.actor in (None, record.actor)
            and self._includes(record.time)
            and (not self.text or self.text.casefold() in text.casefold())
        )

    def _includes(self, time: datetime) -> bool:
        return (self.since is None or self.since <= time) and (
            self.until is None or time < self.until
        )


@dataclass(frozen=True, slots=True)
class RecordPage(Generic[RecordT_co]):
    """Some of the records that match a query, newest first."""

    records: tuple[RecordT_co, ...]
    next_cursor: str | None = None
    """The start of the next page; None on the last page."""


def encode_cursor(key: SortKey) -> str:
    """Return a cursor for the position just after the record with this key."""
    text = f"{key[0].isoformat()} {key[1].hex}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> SortKey:
    """Return the sort key of the record that a cursor was made from.

    Raises:
        RequestError: no journal made this cursor.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        time, id = base64.b64decode(padded, altchars=b"-_", validate=True).decode().split(" ")
        key = datetime.fromisoformat(time), UUID(id)
        require_zone("cursor", key[0])
    except (ValueError, binascii.Error) as error:
        raise RequestError(
            f"The cursor {cursor!r} was not made by this journal: use the next_cursor of a page, "
            "or leave the cursor out to begin with the newest record."
        ) from error
    return key
