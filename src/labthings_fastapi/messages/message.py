"""One thing that happened, in the form in which every protocol publishes it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Literal
from uuid import UUID

MessageKind = Literal[
    "status", "progress", "log", "result", "property", "reading-failed", "event", "gap"
]


class InvocationStatus(Enum):
    """The status of an invocation: the five words that every client may see."""

    PENDING = "pending"
    """Not yet started."""
    RUNNING = "running"
    """In progress."""
    COMPLETED = "completed"
    """Finished without an error."""
    CANCELLED = "cancelled"
    """Stopped after a cancel request."""
    ERROR = "error"
    """Stopped by an error, or rejected before it began."""


class Message:
    """A change of an invocation, a property or an event, or (kind `gap`) a notice of a loss.

    A property has messages of two kinds: a value, or (`reading-failed`) why there is none.

    `payload` is the JSON form: bytes, or a function that renders it when a subscriber first reads
    it, from immutable values only and without code of a Thing; `size` estimates its length.

    `value` is the Python value, for observers in the same process only. A replayed message has
    none: the replay buffer must not keep user objects alive.

    Any thread may read a message. `number` and `boot_id` are set once, by the broker.
    """

    __slots__ = (
        *("kind", "thing", "affordance", "_payload", "value", "invocation", "final", "time"),
        *("number", "boot_id", "size"),
    )

    def __init__(
        self,
        kind: MessageKind,
        thing: str,
        affordance: str,
        payload: bytes | Callable[[], bytes],
        value: Any = None,
        invocation: UUID | None = None,
        final: bool = False,
        time: datetime | None = None,
        number: int = 0,
        boot_id: str = "",
        size: int | None = None,
    ) -> None:
        self.kind: MessageKind = kind
        self.thing = thing
        self.affordance = affordance
        self._payload = payload
        self.value = value
        self.invocation = invocation
        self.final = final  # the last status of an invocation
        self.time = datetime.now(UTC) if time is None else time
        self.number = number
        self.boot_id = boot_id
        self.size = len(payload) if size is None and isinstance(payload, bytes) else size or 0

    @property
    def payload(self) -> bytes:
        """The JSON form; rendered once. Two threads that read it at once may both render it."""
        payload = self._payload
        if not isinstance(payload, bytes):
            payload = self._payload = payload()
        return payload

    @property
    def seq(self) -> str:
        """The sequence number `<boot id>-<n>` of the wire; empty before publishing."""
        return f"{self.boot_id}-{self.number}" if self.boot_id else ""

    def with_payload(self, payload: bytes) -> Message:
        """Return this message with another JSON form, and without the Python value."""
        return Message(
            *(self.kind, self.thing, self.affordance, payload, None, self.invocation),
            *(self.final, self.time, self.number, self.boot_id),
        )

    def without_value(self) -> Message:
        """Return this message as it may be kept for long: without the Python value."""
        if self.value is None:
            return self
        return Message(
            *(self.kind, self.thing, self.affordance, self._payload, None, self.invocation),
            *(self.final, self.time, self.number, self.boot_id, self.size),
        )

    def _compared(self) -> tuple[Any, ...]:
        head = (self.kind, self.thing, self.affordance, self.payload, self.invocation)
        return (*head, self.final, self.time, self.number, self.boot_id)

    def __eq__(self, other: object) -> bool:
        return self._compared() == other._compared() if isinstance(other, Message) else False

    def __hash__(self) -> int:
        return hash(self._compared())

    def __repr__(self) -> str:
        return f"<Message {self.seq} {self.kind} {self.thing}.{self.affordance} {self.payload!r}>"
