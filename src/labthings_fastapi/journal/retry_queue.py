"""The ends of runs that the disk refused, and when to try again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .schema import LOGGER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from uuid import UUID

    from .record import InvocationRecord

KEPT: Final = 1000
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0


class RetryQueue:
    """Final records to be written later; used by the writer's thread only."""

    def __init__(self, monotonic: Callable[[], float], limit: int = KEPT) -> None:
        self._monotonic = monotonic
        self._limit = limit
        self._records: dict[UUID, InvocationRecord] = {}
        self._pause = FIRST_PAUSE
        self._next = 0.0

    def __len__(self) -> int:
        return len(self._records)

    def add(self, record: InvocationRecord) -> None:
        """Keep a record for later; over the limit the oldest is given up, loudly."""
        if not self._records:
            self._pause = FIRST_PAUSE
            self._next = self._monotonic() + self._pause
        self._records[record.id] = record
        if len(self._records) > self._limit:
            lost = self._records.pop(next(iter(self._records)))
            LOGGER.error(
                "The end of run %s (%s.%s: %s) is lost to the journal: more than %s could not be "
                "written.",
                *(lost.id, lost.thing, lost.action, lost.status.value, self._limit),
            )

    def drop(self, ids: Iterable[UUID]) -> None:
        """Forget records, because they or newer ones of the same runs are written."""
        if self._records:
            for id in ids:
                self._records.pop(id, None)

    def records(self) -> list[InvocationRecord]:
        """Return all that waits."""
        return list(self._records.values())

    @property
    def seconds_left(self) -> float | None:
        """How long until the next try is due; None if nothing waits."""
        return max(0.0, self._next - self._monotonic()) if self._records else None

    def failed(self, record: InvocationRecord) -> None:
        """Wait longer before the next try, and begin it with another record than this."""
        self._records[record.id] = self._records.pop(record.id)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        self._next = self._monotonic() + self._pause
