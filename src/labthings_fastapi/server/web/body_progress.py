"""How the body of one request comes in: how fast, and how much of it is no body."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .connection_limits import Limits

FRAMING_PER_BYTE: Final = 8
"""A chunk with one byte needs five bytes around it (RFC 9112, section 7.1)."""

LONGEST_STEP: Final = 2.0
"""A longer time between two checks is that of an event loop that was held up."""


def declared_length(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """Return the `Content-Length`; None for a body in chunks."""
    for name, value in headers:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return None


class BodyProgress:
    """Counts the bytes of a body, what is around them, and the time; used on the event loop.

    The parser keeps a field, or the extension of a chunk, until it is complete. So the bytes that
    are no body are counted, wherever they stand.
    """

    __slots__ = ("_body", "_checked", "_declared", "_received", "_seconds", "_unfinished")

    def __init__(self, declared: int | None = None) -> None:
        self._declared = declared
        self._received = 0  # without the chunk of bytes in which the body begins
        self._unfinished = 0  # since the last byte of body and the last size of a chunk
        self._body = 0
        self._seconds = 0.0  # in which the server waited for the client
        self._checked: float | None = None

    def note_received(self, size: int) -> None:
        self._received += size
        self._unfinished += size

    def note_body(self, size: int) -> None:
        self._body += size
        self._unfinished = 0

    def note_chunk(self) -> None:
        self._unfinished = 0

    def has_excess(self, limit: int) -> bool:
        framing = self._received - self._body
        return self._unfinished > limit or framing > limit + FRAMING_PER_BYTE * self._body

    def note_time(self, now: float, *, counts: bool) -> None:
        """Count the time since the last check, unless the app does not read (`counts`)."""
        if counts and self._checked is not None:
            self._seconds += min(now - self._checked, LONGEST_STEP)
        self._checked = now

    def _is_small(self, limits: Limits) -> bool:
        return self._declared is not None and self._declared <= limits.small_body_bytes

    def is_late(self, limits: Limits) -> bool:
        if self._is_small(limits):
            return self._seconds > limits.small_body_seconds
        return self._seconds > limits.body_seconds + self._body / limits.body_rate

    def lateness(self, limits: Limits) -> str:
        if self._is_small(limits):
            return f"{self._declared} bytes must come within {limits.small_body_seconds:g} s"
        return f"it came with less than {limits.body_rate:g} bytes in a second"
