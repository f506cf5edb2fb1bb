"""One thing that happened, as subscribers of every protocol are told of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from uuid import UUID

MessageKind = Literal["status", "progress", "log", "result", "property", "event", "gap"]


class InvocationStatus(Enum):
    """Where a run stands; the five words that every client may see."""

    PENDING = "pending"
    """Not yet started."""
    RUNNING = "running"
    """In progress."""
    COMPLETED = "completed"
    """Finished without an error."""
    CANCELLED = "cancelled"
    """Stopped because somebody asked for it."""
    ERROR = "error"
    """Stopped by an error, or rejected before it began."""


_PENDING, _RUNNING = InvocationStatus.PENDING, InvocationStatus.RUNNING


def is_final(status: InvocationStatus) -> bool:
    """Whether a run never leaves this state; asked some thirty times for each run."""
    # To look for a member of an enumeration in a set runs Python code, and up to Python 3.11 the
    # look for one by its name costs five times what that for a variable does.
    return status is not _PENDING and status is not _RUNNING


FINAL_STATUSES = frozenset(
    {InvocationStatus.COMPLETED, InvocationStatus.CANCELLED, InvocationStatus.ERROR}
)
"""The states that a run never leaves."""


def _now() -> datetime:
    return datetime.now(UTC)


# Immutable by the type checker's word: `frozen=True` would make each message cost five times as
# much, and every line that a run logs is one.
@dataclass(slots=True, unsafe_hash=True)
class Message:
    """A change of a run, a property or an event, or (kind `gap`) the news that some were missed.

    `payload` is the JSON form, made once by the publisher for all subscribers. `value` is the
    Python value, for observers in the same process only: it takes no part in comparison, and a
    replayed message has none, because the replay buffer must not keep user objects alive.

    Immutable, so every thread may read it.
    """

    kind: Final[MessageKind]
    thing: Final[str]
    affordance: Final[str]
    payload: Final[bytes]
    value: Final[Any] = field(default=None, compare=False, repr=False)
    invocation: Final[UUID | None] = None
    final: Final[bool] = False
    """Whether this is the terminal status of a run."""
    time: Final[datetime] = field(default_factory=_now)
    """Aware UTC."""
    number: Final[int] = 0
    """The broker's rising number; 0 before publishing."""
    boot_id: Final[str] = ""
    """Which life of the server gave the number; empty before publishing."""

    @property
    def seq(self) -> str:
        """The sequence number `<incarnation>-<n>` of the wire; empty before publishing."""
        return f"{self.boot_id}-{self.number}" if self.boot_id else ""

    def numbered(self, boot_id: str, number: int) -> Message:
        """Return this message as number `number` of that incarnation."""
        # Spelt out, and not `dataclasses.replace`, because every publish passes through here.
        return Message(
            self.kind,
            self.thing,
            self.affordance,
            self.payload,
            self.value,
            self.invocation,
            self.final,
            self.time,
            number,
            boot_id,
        )

    def without_value(self) -> Message:
        """Return this message as it may be kept for long: the JSON, not the Python value."""
        if self.value is None:
            return self
        return Message(
            self.kind,
            self.thing,
            self.affordance,
            self.payload,
            None,
            self.invocation,
            self.final,
            self.time,
            self.number,
            self.boot_id,
        )
