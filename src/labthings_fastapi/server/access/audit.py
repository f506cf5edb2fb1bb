"""The audit: every request that may have changed something is recorded in the journal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from uuid import uuid4

from labthings_fastapi.actions.deadlines import Deadlines
from labthings_fastapi.journal.journal import Journal
from labthings_fastapi.journal.keys import utc_now
from labthings_fastapi.journal.mutation import MutationRecord

GATHER_SECONDS: Final = 1.0  # equal requests within this time become one record
MAX_DISTINCT: Final = 1000  # with this many different requests the records are written at once
MAX_REFUSED: Final = 20
"""With more different refused requests within `GATHER_SECONDS`, the rest become one record."""
MAX_TEXT: Final = 200  # longest path or name in a record, in characters; clients choose both


class Mutation(NamedTuple):
    """The parts of a request by which equal requests are counted together."""

    actor: str | None
    address: str | None
    thing: str
    affordance: str
    method: str
    path: str
    status: int


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"


@dataclass(slots=True)
class _Counter:
    first: datetime
    last: datetime
    count: int = 1


class Audit:
    """Records mutations, with one record for equal ones within a second; any thread may use it.

    A slider in a web page writes a property a hundred times a second. One record has the number of
    these requests and the times of the first and the last one, so the journal stays readable.
    Invocations are not audited here, because each has its own record with its actor.
    """

    def __init__(self, journal: Callable[[], Journal], boot_id: str) -> None:
        self._journal = journal
        self._boot_id = boot_id
        self._lock = threading.Lock()  # guards the two below
        self._counters: dict[Mutation, _Counter] = {}
        self._refused = 0
        self._deadlines = Deadlines()

    def note(self, mutation: Mutation) -> None:
        now = utc_now()
        if len(mutation.affordance) > MAX_TEXT or len(mutation.path) > MAX_TEXT:
            mutation = mutation._replace(
                affordance=_shorten(mutation.affordance), path=_shorten(mutation.path)
            )
        with self._lock:
            mutation = self._merge_refused(mutation)
            if (counter := self._counters.get(mutation)) is not None:
                counter.count, counter.last = counter.count + 1, now
                return
            self._counters[mutation] = _Counter(now, now)
            distinct = len(self._counters)
        if distinct == 1:
            self._deadlines.add(time.monotonic() + GATHER_SECONDS, self._write_due)
        elif distinct >= MAX_DISTINCT:
            self.write()

    def _merge_refused(self, mutation: Mutation) -> Mutation:
        """Drop the details of many refused requests, which could otherwise fill the journal."""
        if mutation.status != 403 or mutation in self._counters:
            return mutation
        self._refused += 1
        if self._refused <= MAX_REFUSED:
            return mutation
        return mutation._replace(affordance="", method="", path="", thing="")

    def _write_due(self) -> None:
        self.write()

    def write(self) -> list[Future[None]]:
        with self._lock:
            counters, self._counters = self._counters, {}
            self._refused = 0
        journal = self._journal()
        return [journal.put_mutation(self._record(*item)) for item in counters.items()]

    def _record(self, mutation: Mutation, counter: _Counter) -> MutationRecord:
        return MutationRecord(
            id=uuid4(),
            time=counter.first,
            last_time=counter.last,
            count=counter.count,
            boot_id=self._boot_id,
            **mutation._asdict(),
        )
