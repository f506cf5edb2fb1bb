"""Final records that the disk refused, and when to write them again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .schema import LOGGER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from uuid import UUID

    from .record import InvocationRecord

MAX_RECORDS: Final = 1000
FIRST_PAUSE: Final = 1.0
"""Seconds until the first retry; each failure doubles the pause."""
MAX_PAUSE: Final = 60.0


class RetryQueue:
    """Final records to be written later; only the writer's thread uses it."""

    def __init__(self, monotonic: Callable[[], float], limit: int = MAX_RECORDS) -> None:
        self._monotonic = monotonic
        self._limit = limit
        self._records: dict[UUID, InvocationRecord] = {}
        self._pause = FIRST_PAUSE
        self._next = 0.0

    def __len__(self) -> int:
        return len(self._records)

    def add(self, record: InvocationRecord) -> None:
        """Keep a record for later; above the limit the oldest one is dropped and logged."""
        if not self._records:
            self._pause = FIRST_PAUSE
            self._next = self._monotonic() + self._pause
        self._records[record.id] = record
        if len(self._records) > self._limit:
            lost = self._records.pop(next(iter(self._records)))
            LOGGER.error(
                "The end of run %s (%s.%s: %s) is lost: more than %s records could not be written "
                "to the journal.",
                *(lost.id, lost.thing, lost.action, lost.status.value, self._limit),
            )

    def discard(self, ids: Iterable[UUID]) -> None:
        """Remove records, because they or newer ones of the same invocations were written."""
        if self._records:
            for id in ids:
                self._records.pop(id, None)

    def records(self) -> list[InvocationRecord]:
        """Return all records, the next one to be tried first."""
        return list(self._records.values())

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the next retry; None if the queue is empty."""
        return max(0.0, self._next - self._monotonic()) if self._records else None

    def postpone(self, record: InvocationRecord) -> None:
        """Wait longer before the next retry, and begin it with another record than this."""
        self._records[record.id] = self._records.pop(record.id)
        self._pause = min(2 * self._pause, MAX_PAUSE)
        self._next = self._monotonic() + self._pause
