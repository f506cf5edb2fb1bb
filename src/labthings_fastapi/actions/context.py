"""The invocation that code belongs to, found by a context variable.

Threads and tasks started with a copy of the context belong to the same invocation.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from labthings_fastapi.exceptions import NoInvocationContextError

from .cancellation import CancelEvent


class InvocationContext:
    """What code inside an invocation may reach. Any thread may use it."""

    # The parts of a LiveInvocation: their modules import this one.
    log: Any = None
    progress: Any = None
    files: Any = None

    def __init__(self, id: UUID, cancel: CancelEvent | None = None) -> None:
        self.id = id
        # Re-entrant, because the garbage collector may run a finaliser that logs or sets a
        # property while this thread holds it.
        self.lock = threading.RLock()
        self._cancel = cancel
        self._things: list[Any] = []  # the latest last, each once
        self._held: list[Callable[[], None]] = []
        self._at_rest = False

    @property
    def label(self) -> str:
        """Its name for people, in messages to others."""
        return f"invocation {self.id}"

    @property
    def is_overdue(self) -> bool:
        """Whether it was cancelled and has not stopped in time."""
        return False

    @property
    def cancel(self) -> CancelEvent:
        """The cancel request of this invocation."""
        if self._cancel is None:
            with self.lock:
                if self._cancel is None:
                    self._cancel = CancelEvent.get_for_id(self.id)
        return self._cancel

    def request_cancel(self) -> None:
        """Ask the invocation to stop, as a client would."""
        self.cancel.set()

    def enter_thing(self, thing: Any) -> None:
        """Note that code of this Thing runs: it is made safe if the invocation fails."""
        with self.lock:
            self._things = [*(one for one in self._things if one is not thing), thing]

    def touch_thing(self, thing: Any) -> None:
        """Note that a property of this Thing is set; a Thing that was entered keeps its place."""
        if not any(one is thing for one in self._things):
            self.enter_thing(thing)

    def take_things(self) -> list[Any]:
        """Return the Things entered, the latest first, and forget them."""
        with self.lock:
            things, self._things = self._things, []
        return things[::-1]

    def hold_until_safe(self, release: Callable[[], None]) -> None:
        """Keep the group lock of an action that failed: nothing may begin before all is at rest."""
        with self.lock:
            if not self._at_rest:
                self._held.append(release)
                return
        release()  # this thread has outlived its invocation

    def release_held(self) -> None:
        """Release the group locks that were kept: the code has handled the failure."""
        with self.lock:
            held, self._held = self._held, []
        for release in reversed(held):
            release()

    def come_to_rest(self) -> None:
        """Release what was kept, and from now on at once: the invocation is over."""
        with self.lock:
            self._at_rest = True
        self.release_held()


INVOCATION_MEMBER = "labthings_run"  # of a log record: the context of its invocation
CURRENT_INVOCATION: ContextVar[InvocationContext | None] = ContextVar(
    INVOCATION_MEMBER, default=None
)


def current_invocation() -> InvocationContext | None:
    """Return the invocation that this code belongs to, or None outside one."""
    return CURRENT_INVOCATION.get()


def touch(thing: Any) -> None:
    """Note that this invocation, if there is one, sets a property of a Thing: it takes part."""
    invocation = CURRENT_INVOCATION.get()
    if invocation is not None:
        invocation.touch_thing(thing)


@contextmanager
def entered(invocation: InvocationContext) -> Iterator[InvocationContext]:
    """Make this thread or task belong to an invocation inside the `with` block."""
    token = CURRENT_INVOCATION.set(invocation)
    try:
        yield invocation
    finally:
        CURRENT_INVOCATION.reset(token)


def _needed_for(what: str) -> InvocationContext:
    invocation = CURRENT_INVOCATION.get()
    if invocation is None:
        raise NoInvocationContextError(what)
    return invocation


def get_invocation_id() -> UUID:
    """Return the id of this invocation; outside one: `NoInvocationContextError`."""
    return _needed_for("invocation id").id


def get_cancel_event(id: UUID | None = None) -> CancelEvent:
    """Return the cancel event of this invocation, or of the one with that id.

    Raises:
        NoInvocationContextError: no id was given, and this code does not run inside an action.
    """
    return _needed_for("cancel event").cancel if id is None else CancelEvent.get_for_id(id)


def output_folder() -> Path:
    """Return the folder for files of this invocation, which is made when it is first asked for.

    Clients see the files at once, also while they are written, under the `files` link of the run;
    folders in the folder are shown as well. They stay as long as the record of the run.

    Raises:
        NoInvocationContextError: this code does not run inside an action.
        OSError: the folder cannot be made.
    """
    files = _needed_for("folder for files").files
    if files is None:
        raise NoInvocationContextError("folder for files")
    directory: Path = files.directory
    return directory


get_invocation_directory = output_folder
"""The older name of `output_folder`."""


@contextmanager
def set_invocation_id(id: UUID) -> Iterator[None]:
    """Let a test run code as if inside an invocation with this id."""
    invocation = InvocationContext(id, CancelEvent.get_for_id(id))
    with entered(invocation):
        try:
            yield
        finally:
            invocation.come_to_rest()


@contextmanager
def fake_invocation_context() -> Iterator[UUID]:
    """Let a test run code as if inside an invocation; gives its id."""
    id = uuid.uuid4()
    with set_invocation_id(id):
        yield id


def cancellable_sleep(interval: float) -> None:
    """Sleep for `interval` seconds; a cancel of the invocation ends it early.

    Outside an invocation this is a plain sleep.

    Raises:
        InvocationCancelledError: the invocation was cancelled.
    """
    invocation = CURRENT_INVOCATION.get()
    if invocation is None:
        time.sleep(interval)
    else:
        invocation.cancel.sleep(interval)


def raise_if_cancelled() -> None:
    """Raise `InvocationCancelledError` if this invocation was cancelled; else do nothing."""
    invocation = CURRENT_INVOCATION.get()
    if invocation is not None:
        invocation.cancel.raise_if_set()


def shield() -> AbstractContextManager[None]:
    """Delay a cancel until the end of the `with` block, for a section that must not be torn."""
    invocation = CURRENT_INVOCATION.get()
    return nullcontext() if invocation is None else invocation.cancel.shielded()


@dataclass(slots=True, eq=False)
class Requester:
    """The name and the network address of a client, for records of what it requested.

    Several threads may use it. Only the marks change, once.
    """

    name: str | None
    address: str | None
    made_invocation: bool = False
    """Whether an invocation was made for it: that has its own record."""
    reached_user_code: bool = False
    """Whether code of a Thing was called that may move something: an endpoint or a setter."""
    is_restricted: bool = False
    """Whether the client may use single Things only, and so has a share of the places to run."""


current_requester: ContextVar[Requester | None] = ContextVar("labthings_requester", default=None)
"""The requester of what this code does; None if it was not requested over the network."""
