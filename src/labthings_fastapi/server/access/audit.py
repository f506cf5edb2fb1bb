"""Who changed what: every request that may have changed something, in the journal."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import uuid4

from labthings_fastapi.actions.deadlines import Deadlines
from labthings_fastapi.journal.keys import utc_now
from labthings_fastapi.journal.record import InvocationRecord
from labthings_fastapi.messages.message import InvocationStatus

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from datetime import datetime

    from labthings_fastapi.journal.journal import Journal

GATHER_SECONDS: Final = 1.0
"""For how long requests that are alike are counted before they become one record."""
MOST_GATHERED: Final = 1000
MOST_REFUSED: Final = 20
"""Of different requests within that time that were not allowed; all others become one."""
LONGEST_TEXT: Final = 200
"""Of a path or a name, which clients choose."""


class Mutation(NamedTuple):
    """What one request was; those that are equal are counted."""

    actor: str | None
    address: str | None
    thing: str
    affordance: str
    method: str
    path: str
    status: int


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"


class _Count:
    __slots__ = ("first", "last", "number")

    def __init__(self, now: datetime) -> None:
        self.first = self.last = now
        self.number = 1


class Audit:
    """Records mutations, those alike within a second as one; any thread may use it.

    Somebody who drags a slider writes a property a hundred times a second: the record says how
    often, from when and until when, and the journal stays readable. Runs are not noted here: each
    has a record of its own, with its actor.
    """

    def __init__(self, journal: Callable[[], Journal], boot_id: str) -> None:
        """Record in the journal that `journal` gives at the time."""
        self._journal = journal
        self._boot_id = boot_id
        self._lock = threading.Lock()  # guards the two below
        self._counts: dict[Mutation, _Count] = {}
        self._refused = 0
        self._deadlines = Deadlines()

    def note(self, mutation: Mutation) -> None:
        """Count a request; it is in the journal within a second. Never waits."""
        now = utc_now()
        if len(mutation.affordance) > LONGEST_TEXT or len(mutation.path) > LONGEST_TEXT:
            mutation = mutation._replace(
                affordance=_short(mutation.affordance), path=_short(mutation.path)
            )
        with self._lock:
            mutation = self._gathered(mutation)
            found = self._counts.get(mutation)
            if found is not None:
                found.number += 1
                found.last = now
                return
            self._counts[mutation] = _Count(now)
            waiting = len(self._counts)
        if waiting == 1:
            self._deadlines.add(time.monotonic() + GATHER_SECONDS, self._flush)
        elif waiting >= MOST_GATHERED:
            self._flush()

    def _gathered(self, mutation: Mutation) -> Mutation:
        """Return as what to count a request: who may change nothing could else fill the journal."""
        if mutation.status != 403 or mutation in self._counts:
            return mutation
        self._refused += 1
        if self._refused <= MOST_REFUSED:
            return mutation
        return mutation._replace(affordance="", method="", path="", thing="")

    def _flush(self) -> None:
        self.write()

    def write(self) -> list[Future[None]]:
        """Hand what was counted to the journal; the futures are done when it is committed."""
        with self._lock:
            counts, self._counts = self._counts, {}
            self._refused = 0
        journal = self._journal()
        return [journal.put(self._record(*item)) for item in counts.items()]

    def _record(self, mutation: Mutation, count: _Count) -> InvocationRecord:
        done = mutation.status < 400
        return InvocationRecord(
            id=uuid4(),
            thing=mutation.thing,
            action=mutation.affordance,
            status=InvocationStatus.COMPLETED if done else InvocationStatus.ERROR,
            requested_by=mutation.actor,
            input=b"null",
            time_requested=count.first,
            time_ended=count.last,
            boot_id=self._boot_id,
            kind="mutation",
            address=mutation.address,
            request={
                "method": mutation.method,
                "path": mutation.path,
                "status": mutation.status,
                "count": count.number,
            },
        )
