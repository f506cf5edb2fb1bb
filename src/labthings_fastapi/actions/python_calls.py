"""Actions that Python code calls: plain method calls that keep their group's place meanwhile.

Inside a run the call belongs to that run, which may hold the place already; outside of one it
belongs to the thread or, if it is awaited, to the task. So an autofocus that moves the stage keeps
another client's move out.
"""

from __future__ import annotations

import threading
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from labthings_fastapi.concurrency.threadsafe_event import ThreadsafeEvent

from .context import current_invocation
from .group_lock import GroupLock, LockRequest, group_lock_for
from .threads import outermost_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from .context import InvocationContext
    from .group_lock import Grouped


def needs_group_lock(action: Grouped) -> bool:
    """Whether a call from Python has to do more than to call the function."""
    return current_invocation() is not None or (
        action.concurrency != "parallel" and not action.stop
    )


class _Call:
    """One call that wants a place; `mine` says whether it has it. Any thread may grant it."""

    def __init__(
        self, action: Grouped, thing: Any, place: GroupLock, wake: Callable[[], None]
    ) -> None:
        self.invocation = current_invocation()
        self.mine = False
        self._wake = wake
        self._place = place
        self._owner = _owner(self.invocation)
        self._claim = LockRequest(
            self._owner,
            f"a call of {thing.name}.{action.name}",
            action.concurrency,
            granted=self._granted,
            cancel=self.invocation.stop if self.invocation is not None else _nothing,
        )

    def _granted(self) -> None:
        self.mine = True
        self._wake()

    def ask(self) -> bool:
        """Take the place, or get in line."""
        taken = self._place.ask(self._claim)
        if taken:  # if not, it may be granted before the next line
            self.mine = True
        return taken

    def over(self) -> None:
        """Give the place back, or leave the line."""
        if not self._place.withdraw(self._claim):
            self._place.give_back(self._owner)

    def over_once_safe(self) -> None:
        """Give the place back when the run has brought its hardware to rest.

        Until then nobody else may begin: the next in line would move what is being stopped.
        """
        if self.invocation is None or not self.mine:
            self.over()
        else:
            self.invocation.hold_until_safe(self.over)


_CALLER: ContextVar[object | None] = ContextVar("labthings_caller", default=None)
"""Who calls outside of a run on an event loop, all tasks of which share a thread: one task, and
those that it begins meanwhile."""


@contextmanager
def _one_caller() -> Iterator[None]:
    """Let this task, and those that it begins meanwhile, be one caller."""
    before = _CALLER.set(_CALLER.get() or object())
    try:
        yield
    finally:
        with suppress(ValueError):  # a loop that has ended lets go of its tasks in no context
            _CALLER.reset(before)


def _owner(invocation: InvocationContext | None) -> Any:
    if invocation is not None:
        return outermost_id(invocation)
    return _CALLER.get() or ("thread", threading.get_ident())


def _nothing() -> None:
    """A plain thread cannot be asked to give way: whoever would replace it waits."""


def _place_to_hold(action: Grouped, thing: Any) -> GroupLock | None:
    """Let the run know that it enters a Thing, and return the place that this needs."""
    invocation = current_invocation()
    if invocation is not None:
        invocation.release_held()
        invocation.enter_thing(thing)
    return group_lock_for(action, thing)


@contextmanager
def group_lock_held(action: Grouped, thing: Any) -> Iterator[None]:
    """Hold what a call from Python needs; waiting for the place is a cancellation point.

    Raises:
        ActionBusyError: the place is taken, and the action's policy is `reject`.
        InvocationCancelledError: the run was cancelled while it waited.
    """
    place = _place_to_hold(action, thing)
    if place is None:
        yield
        return
    awake = threading.Event()
    call = _Call(action, thing, place, awake.set)
    taken = call.ask()
    try:
        if not taken:
            _wait(call, awake)
        yield
    except BaseException:
        call.over_once_safe()
        raise
    call.over()


def _wait(call: _Call, awake: threading.Event) -> None:
    forget = call.invocation.cancel.listen(awake.set) if call.invocation is not None else _nothing
    try:
        while not call.mine:
            awake.wait()
            awake.clear()
            if call.invocation is not None:
                call.invocation.cancel.raise_if_set()
    finally:
        forget()


@asynccontextmanager
async def group_lock_held_async(action: Grouped, thing: Any) -> AsyncIterator[None]:
    """Do the same without blocking the loop; a cancel of the run cancels the task."""
    place = _place_to_hold(action, thing)
    if place is None:
        yield
        return
    bell = ThreadsafeEvent()
    with _one_caller():
        call = _Call(action, thing, place, bell.set)
        taken = call.ask()
        try:
            if not taken:
                while not call.mine:
                    await bell.wait()
            yield
        except BaseException:
            call.over_once_safe()
            raise
        call.over()
