"""What an invocation adds to its record while it goes on, so that a killed server loses little."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from .record import InvocationRecord

T = TypeVar("T")


class Addition(NamedTuple, Generic[T]):
    """Items since the addition before; `kept` is how many of the newest the invocation keeps."""

    items: tuple[T, ...]
    total: int
    """How many items there were so far, with these and with those that are no longer kept."""
    kept: int

    @property
    def first(self) -> int:
        """The number of the first item, counted from 1."""
        return self.total - len(self.items) + 1


class InvocationPart(NamedTuple):
    """What an open invocation has added since its part before; None and () stand for nothing."""

    id: UUID
    log: Addition[dict[str, Any]] | None = None
    results: Addition[bytes] | None = None
    """Each is JSON."""
    progress: dict[str, Any] | None = None
    things: tuple[str, ...] = ()
    """All Things that the invocation has entered besides its own, in that order."""


class PartsSoFar:
    """All parts of one invocation; for one thread at a time."""

    def __init__(self) -> None:
        """Begin without any."""
        self._log: deque[dict[str, Any]] = deque()
        self._results: deque[bytes] = deque()
        self._lines = self._yielded = 0
        self._progress: dict[str, Any] | None = None
        self._things: tuple[str, ...] = ()

    def add(self, part: InvocationPart) -> None:
        """Add a part, and drop what the invocation no longer keeps."""
        if part.log is not None:
            self._lines = _extend(self._log, part.log.items, part.log)
        if part.results is not None:
            self._yielded = _extend(self._results, part.results.items, part.results)
        self._progress = part.progress or self._progress
        self._things = part.things or self._things

    def added_to(self, record: InvocationRecord, *, results: bool) -> InvocationRecord:
        """Return an open record with all of it; with `results`, those so far are its output."""
        record = record._replace(
            log=tuple(self._log),
            log_dropped=self._lines - len(self._log),
            progress=self._progress or record.progress,
            other_things=self._things or record.other_things,
        )
        if not self._results or not results:
            return record
        return record._replace(
            output=b"[" + b",".join(self._results) + b"]",
            partial=True,
            results_dropped=self._yielded - len(self._results),
        )


def _extend(kept: deque[T], items: Sequence[T], addition: Addition[Any]) -> int:
    kept.extend(items)
    while len(kept) > addition.kept:
        kept.popleft()
    return addition.total
