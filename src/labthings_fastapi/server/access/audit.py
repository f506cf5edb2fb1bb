"""The audit: every request that may have changed something is recorded, with what it is about."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import UUID, uuid4

from labthings_fastapi.actions.deadlines import Deadlines
from labthings_fastapi.actions.invocation_model import ACTION_INVOCATIONS_PATH
from labthings_fastapi.exceptions import InvocationNotFoundError
from labthings_fastapi.journal.mutation import MutationRecord
from labthings_fastapi.thing_description.paths import name_of, path_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from labthings_fastapi.actions.manager import ActionManager
    from labthings_fastapi.journal.journal import Journal
    from labthings_fastapi.thing import Thing

GATHER_SECONDS: Final = 1.0
"""Equal requests within this time become one record."""
MAX_DISTINCT: Final = 1000
"""With this many different requests the records are written at once."""
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


class RequestTarget(NamedTuple):
    thing: str | None
    part: str


class RequestTargets:
    def __init__(self, manager: ActionManager, prefix: str) -> None:
        self._manager = manager
        self._invocations = f"{prefix}{ACTION_INVOCATIONS_PATH}/"
        self._names: dict[str, str] = {}  # path → name; replaced, never changed

    def add(self, thing: Thing) -> None:
        self._names = {**self._names, path_of(thing): name_of(thing)}

    def find(self, path: str) -> RequestTarget:
        end = len(path)
        while (end := path.rfind("/", 0, end)) >= 0:
            name = self._names.get(path[: end + 1])
            if name is not None:
                return RequestTarget(name, path[end + 1 :])
        if path.startswith(self._invocations):
            id = path.removeprefix(self._invocations).partition("/")[0]
            try:
                return RequestTarget(self._manager.get_invocation(UUID(id)).record.thing, id)
            except (ValueError, InvocationNotFoundError):
                return RequestTarget(None, id)
        return RequestTarget(None, path)


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"


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
        # Times of the first and the last request, and their number.
        self._counted: dict[Mutation, tuple[datetime, datetime, int]] = {}
        self._refused = 0
        self._deadlines = Deadlines()

    def note(self, mutation: Mutation) -> None:
        """Count a request, which is written within `GATHER_SECONDS`; never waits."""
        now = datetime.now(UTC)
        if len(mutation.affordance) > MAX_TEXT or len(mutation.path) > MAX_TEXT:
            mutation = mutation._replace(
                affordance=_shorten(mutation.affordance), path=_shorten(mutation.path)
            )
        with self._lock:
            if mutation.status == 403 and mutation not in self._counted:
                self._refused += 1
                if self._refused > MAX_REFUSED:  # their details could fill the journal
                    mutation = mutation._replace(affordance="", method="", path="", thing="")
            first, _, count = self._counted.get(mutation, (now, now, 0))
            self._counted[mutation] = first, now, count + 1
            distinct = len(self._counted)
        if count > 0:
            return
        if distinct == 1:
            self._deadlines.add(time.monotonic() + GATHER_SECONDS, self.write)
        elif distinct >= MAX_DISTINCT:
            self.write()

    def write(self) -> list[Future[None]]:
        with self._lock:
            counted, self._counted = self._counted, {}
            self._refused = 0
        journal = self._journal()
        return [
            journal.put_mutation(
                MutationRecord(
                    id=uuid4(),
                    time=first,
                    last_time=last,
                    count=count,
                    boot_id=self._boot_id,
                    **mutation._asdict(),
                )
            )
            for mutation, (first, last, count) in counted.items()
        ]
