"""What the journal keeps of requests that changed something: a write, a reset, a cancel."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from labthings_fastapi.messages.message import InvocationStatus

from .record import SortKey, require_zone

FIRST_ERROR_STATUS = 400
"""From this HTTP status on, the request was refused or failed."""


@dataclass(frozen=True, slots=True)
class MutationRecord:
    """Equal requests of one actor within a short time, also refused ones.

    `time` is the time of the first request and `last_time` that of the last one, both aware UTC.
    `actor` is None for requests without authentication. `affordance` is its name, or the rest of
    the path below the Thing. `method` is the HTTP method; for a WebSocket it is the name of the
    operation, and `path` is `ws`. `status` is the HTTP status, also on a WebSocket.

    Raises:
        RequestError: a time has no zone.
    """

    id: UUID
    time: datetime
    last_time: datetime
    actor: str | None
    address: str | None
    thing: str
    affordance: str
    method: str
    path: str
    status: int
    count: int = 1
    boot_id: str = ""

    def __post_init__(self) -> None:
        require_zone(f"Mutation {self.id}: time", self.time)
        require_zone(f"Mutation {self.id}: last_time", self.last_time)

    @property
    def outcome(self) -> InvocationStatus:
        """The status in the words of invocations, by which both are searched together."""
        if self.status < FIRST_ERROR_STATUS:
            return InvocationStatus.COMPLETED
        return InvocationStatus.ERROR

    @property
    def sort_key(self) -> SortKey:
        """The order of a listing, descending: the time of the request, then the id."""
        return self.time, self.id
