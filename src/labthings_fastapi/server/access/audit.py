"""The audit: every request that may have changed something is recorded, with what it is about."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import UUID, uuid4

from labthings_fastapi.actions.deadlines import Deadlines
from labthings_fastapi.actions.invocation_model import ACTION_INVOCATIONS_PATH
from labthings_fastapi.exceptions import InvocationNotFoundError
from labthings_fastapi.journal.mutation import FIRST_ERROR_STATUS, MutationRecord
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
REFUSED_SECONDS: Final = 60.0
MAX_REFUSED: Final = 20
"""Different refused requests of one actor that have a record each, within `REFUSED_SECONDS`."""
MAX_REFUSED_ACTORS: Final = 100
"""Actors and addresses whose refused requests are told apart, within `REFUSED_SECONDS`."""
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


@dataclass(slots=True)
class _Counted:
    """Equal requests: when the first and the last came, how many, and the id of their record."""

    first: datetime
    last: datetime
    count: int = 0
    id: UUID = field(default_factory=uuid4)

    def add(self, now: datetime) -> None:
        self.last = now
        self.count += 1

    def record(self, mutation: Mutation, boot_id: str) -> MutationRecord:
        return MutationRecord(
            id=self.id,
            time=self.first,
            last_time=self.last,
            count=self.count,
            boot_id=boot_id,
            **mutation._asdict(),
        )


class _Refusals:
    """What was refused within `REFUSED_SECONDS`: few records, whatever is sent; not thread-safe."""

    def __init__(self) -> None:
        self._counted: dict[Mutation, _Counted] = {}
        self._of_actor: dict[tuple[str | None, str | None], int] = {}
        self._unwritten: dict[Mutation, None] = {}
        self._repeated: dict[Mutation, None] = {}

    def add(self, mutation: Mutation, now: datetime) -> None:
        mutation = self._recorded_as(mutation)
        counted = self._counted.get(mutation)
        if counted is None:
            counted = self._counted[mutation] = _Counted(now, now)
            self._unwritten[mutation] = None
        elif mutation not in self._unwritten:
            self._repeated[mutation] = None  # the record is there; its count can wait
        counted.add(now)

    def _recorded_as(self, mutation: Mutation) -> Mutation:
        if mutation in self._counted:
            return mutation
        actor = mutation.actor, mutation.address
        if actor not in self._of_actor and len(self._of_actor) >= MAX_REFUSED_ACTORS:
            actor = None, None
        number = self._of_actor.get(actor, 0)
        if number < MAX_REFUSED and actor == (mutation.actor, mutation.address):
            self._of_actor[actor] = number + 1
            return mutation
        return Mutation(*actor, "", "", "", "", mutation.status // 100 * 100)

    def new_records(self, boot_id: str) -> list[MutationRecord]:
        """Return the records that the journal does not have."""
        found = [self._counted[each].record(each, boot_id) for each in self._unwritten]
        self._unwritten.clear()
        return found

    def all_records(self, boot_id: str) -> list[MutationRecord]:
        """Return also those that the journal has with a smaller count."""
        keys = self._unwritten | self._repeated
        self._unwritten.clear()
        self._repeated.clear()
        return [self._counted[each].record(each, boot_id) for each in keys]

    def begin_again(self) -> None:
        self._counted.clear()
        self._of_actor.clear()

    @property
    def has_new(self) -> bool:
        return bool(self._unwritten)


class Audit:
    """Records mutations, with one record for equal ones within a second; any thread may use it.

    A slider in a web page writes a property a hundred times a second. One record has the number of
    these requests and the times of the first and the last one, so the journal stays readable.
    Invocations are not audited here, because each has its own record with its actor.

    Requests that were refused, or failed, are counted for `REFUSED_SECONDS`. Of each actor at one
    address the first `MAX_REFUSED` different ones have a record; the others share one, which says
    how many. It is written at the first of them, and once more with the number at the end of that
    time: whoever is refused cannot fill the journal.
    """

    def __init__(self, journal: Callable[[], Journal], boot_id: str) -> None:
        self._journal = journal
        self._boot_id = boot_id
        self._lock = threading.Lock()  # guards the three below
        self._counted: dict[Mutation, _Counted] = {}
        self._refusals = _Refusals()
        self._armed = False  # whether `_write_soon` will be called
        self._refused_armed = False
        self._deadlines = Deadlines()

    def note(self, mutation: Mutation) -> None:
        """Count a request, which is written within `GATHER_SECONDS`; never waits."""
        now = datetime.now(UTC)
        if len(mutation.affordance) > MAX_TEXT or len(mutation.path) > MAX_TEXT:
            mutation = mutation._replace(
                affordance=_shorten(mutation.affordance), path=_shorten(mutation.path)
            )
        is_refused = mutation.status >= FIRST_ERROR_STATUS
        with self._lock:
            if is_refused:
                self._refusals.add(mutation, now)
            else:
                counted = self._counted.get(mutation)
                if counted is None:
                    counted = self._counted[mutation] = _Counted(now, now)
                counted.last = now  # without a call, because this is done for each write
                counted.count += 1
            is_full = len(self._counted) >= MAX_DISTINCT
            arm = not self._armed and (not is_refused or self._refusals.has_new)
            self._armed = self._armed or arm
            arm_refused = is_refused and not self._refused_armed
            self._refused_armed = self._refused_armed or is_refused
        if arm:
            self._deadlines.add(time.monotonic() + GATHER_SECONDS, self._write_soon)
        if arm_refused:
            self._deadlines.add(time.monotonic() + REFUSED_SECONDS, self._end_refusals)
        if is_full:
            self._write_soon()

    def _write_soon(self) -> list[Future[None]]:
        with self._lock:
            self._armed = False
            records = self._take() + self._refusals.new_records(self._boot_id)
        return self._put(records)

    def write(self) -> list[Future[None]]:
        """Write everything that was counted; readers call it, so what is refused stays counted."""
        with self._lock:
            records = self._take() + self._refusals.all_records(self._boot_id)
        return self._put(records)

    def _end_refusals(self) -> None:
        with self._lock:
            self._refused_armed = False
            records = self._refusals.all_records(self._boot_id)
            self._refusals.begin_again()
        self._put(records)

    def _take(self) -> list[MutationRecord]:
        counted, self._counted = self._counted, {}
        return [each.record(mutation, self._boot_id) for mutation, each in counted.items()]

    def _put(self, records: list[MutationRecord]) -> list[Future[None]]:
        journal = self._journal()
        return [journal.put_mutation(record) for record in records]
