"""Which run is this? Code deep in a call stack asks a context variable.

Threads and tasks started with a copy of the context belong to the same run.
"""

from __future__ import annotations

import time
import uuid
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from itertools import count
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from labthings_fastapi.exceptions import LabThingsError

from .cancellation import CancelEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path
    from uuid import UUID

    from .protocols import Files, Log, Meter


class NoInvocationContextError(LabThingsError, RuntimeError):
    """Something that belongs to a run was asked for outside any run."""

    def __init__(self, what: str) -> None:
        """Name what was asked for."""
        super().__init__(f"There is no {what} here: this code does not run inside an action.")


class InvocationContext:
    """What code inside a run may reach: its id, cancel event, log, progress and files.

    Any thread may use it: what changes is changed by single steps of a dictionary and a list, so
    that threads of one run lose nothing of one another's. The Things are those whose actions the
    run has entered, in order.
    """

    __slots__ = (
        "__weakref__",
        "_at_rest",
        "_held",
        "_things",
        "cancel",
        "files",
        "id",
        "log",
        "progress",
        "stop",
    )

    def __init__(
        self,
        id: UUID,
        cancel: CancelEvent,
        log: Log | None = None,
        progress: Meter | None = None,
        files: Files | None = None,
    ) -> None:
        """Gather the parts of one run."""
        self.id = id
        self.cancel = cancel
        self.log = log
        self.progress = progress
        self.files = files
        self._things: dict[int, tuple[int, Any]] = {}  # by identity: when entered last, and what
        self._held: list[Callable[[], None]] = []
        self._at_rest = False
        self.stop: Callable[[], Any] = cancel.set
        """Asks the run to stop, as a client would."""

    def enter_thing(self, thing: Any) -> None:
        """Remember that code of this Thing runs: it is made safe if the run does not end well."""
        self._things[id(thing)] = next(_entries), thing

    def hold_until_safe(self, release: Callable[[], None]) -> None:
        """Keep what an action that failed holds: nobody else may begin before all is at rest."""
        self._held.append(release)
        # A thread that has outlived its run looks here after adding, the run before taking.
        if self._at_rest:
            self.release_held()

    def release_held(self) -> None:
        """Give back what was kept, the latest first: the run has dealt with the failure."""
        while self._held:
            try:
                release = self._held.pop()
            except IndexError:  # another thread of the run has taken the last
                return
            release()

    def come_to_rest(self) -> None:
        """Give back what was kept, and from now on at once: the run is over, and all is at rest."""
        self._at_rest = True
        self.release_held()

    def take_things(self) -> tuple[Any, ...]:
        """Return the Things entered, the latest first, and let go of them."""
        taken: list[tuple[int, Any]] = []
        with suppress(KeyError):
            while True:
                taken.append(self._things.popitem()[1])
        taken.sort(key=itemgetter(0), reverse=True)
        return tuple(thing for _, thing in taken)


_entries = count()
"""Numbers the entries into Things, of all runs."""
INVOCATION_MEMBER = "labthings_run"
"""By this member a log record may name its run."""
CURRENT_INVOCATION: ContextVar[InvocationContext | None] = ContextVar(
    INVOCATION_MEMBER, default=None
)
"""For where each call counts; all others ask `current_invocation`."""


def current_invocation() -> InvocationContext | None:
    """Return the run that this code belongs to, or None outside a run."""
    return CURRENT_INVOCATION.get()


@contextmanager
def entered(invocation: InvocationContext) -> Iterator[InvocationContext]:
    """Make this thread or task belong to `run` for a while."""
    token = CURRENT_INVOCATION.set(invocation)
    try:
        yield invocation
    finally:
        CURRENT_INVOCATION.reset(token)


def get_invocation_id() -> UUID:
    """Return the id of the run that this code belongs to; an error outside a run."""
    invocation = CURRENT_INVOCATION.get()
    if invocation is None:
        raise NoInvocationContextError("invocation id")
    return invocation.id


def get_cancel_event() -> CancelEvent:
    """Return the cancel event of the run that this code belongs to; an error outside a run."""
    invocation = CURRENT_INVOCATION.get()
    if invocation is None:
        raise NoInvocationContextError("cancel event")
    return invocation.cancel


def get_invocation_directory() -> Path:
    """Return the folder for files that this run leaves behind, served under its `files` link."""
    invocation = CURRENT_INVOCATION.get()
    if invocation is None or invocation.files is None:
        raise NoInvocationContextError("folder for files")
    return invocation.files.directory


@contextmanager
def set_invocation_id(id: UUID) -> Iterator[None]:
    """Pretend, for tests, to be inside a run with this id."""
    invocation = InvocationContext(id, CancelEvent(id))
    with entered(invocation):
        try:
            yield
        finally:
            invocation.come_to_rest()


@contextmanager
def fake_invocation_context() -> Iterator[UUID]:
    """Pretend, for tests, to be inside a run; gives the made-up id."""
    id = uuid.uuid4()
    with set_invocation_id(id):
        yield id


def cancellable_sleep(interval: float) -> None:
    """Sleep for `interval` seconds, ended early by a cancel of the run; plain sleep outside one."""
    invocation = CURRENT_INVOCATION.get()
    if invocation is None:
        time.sleep(interval)
    else:
        invocation.cancel.sleep(interval)


def raise_if_cancelled() -> None:
    """Raise `InvocationCancelledError` if a cancel of this run waits; nothing outside a run."""
    invocation = CURRENT_INVOCATION.get()
    if invocation is not None:
        invocation.cancel.raise_if_set()


def shield() -> AbstractContextManager[None]:
    """Hold a cancel back over a section that must not be torn; nothing outside a run."""
    invocation = CURRENT_INVOCATION.get()
    return nullcontext() if invocation is None else invocation.cancel.shielded()
