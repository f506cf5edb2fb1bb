"""Actions that Python code calls: plain method calls that hold the lock of their group.

The call belongs to its invocation, which may hold the lock already; outside one, to the thread or,
if it is awaited, to the task.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Self

from labthings_fastapi.concurrency.threadsafe_event import ThreadsafeEvent
from labthings_fastapi.thing_description.paths import name_of

from .cancellation import CancelEvent
from .context import InvocationContext, current_invocation
from .group_lock import GroupLock, LockRequest, group_lock_for
from .protocols import Runnable
from .threads import outermost_id


def needs_group_lock(action: Runnable) -> bool:
    return current_invocation() is not None or (
        action.concurrency != "parallel" and not action.stop
    )


class _Call:
    """One call that needs a group lock. Any thread may grant it."""

    def __init__(
        self, action: Runnable, thing: Any, lock: GroupLock, wake: Callable[[], None]
    ) -> None:
        self.invocation = current_invocation()
        self.has_lock = False
        self._wake = wake
        self._lock = lock
        self._owner = _owner(self.invocation)
        self._request = LockRequest(
            self._owner,
            f"a call of {name_of(thing)}.{action.name}",
            action.concurrency,
            granted=self._granted,
            # A plain thread cannot be cancelled, so a call that replaces it waits.
            cancel=(lambda: None) if self.invocation is None else self.invocation.request_cancel,
        )

    def _granted(self) -> None:
        self.has_lock = True
        self._wake()

    def __enter__(self) -> Self:
        if self._lock.acquire(self._request):  # if not, it may be granted before the next line
            self.has_lock = True
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or self.invocation is None or not self.has_lock:
            self._over()
        else:
            # Not before the hardware is at rest: the next in line would move what is being stopped.
            self.invocation.hold_until_safe(self._over)

    def _over(self) -> None:
        if not self._lock.cancel(self._request):
            self._lock.release(self._owner)


_CALLER: ContextVar[object | None] = ContextVar("labthings_caller", default=None)
"""On an event loop, where all tasks share a thread: a task and those that it begins in the call."""


@contextmanager
def _one_caller() -> Iterator[None]:
    before = _CALLER.set(_CALLER.get() or object())
    try:
        yield
    finally:
        with suppress(ValueError):  # a loop that has ended releases its tasks in no context
            _CALLER.reset(before)


def _owner(invocation: InvocationContext | None) -> Any:
    if invocation is not None:
        return outermost_id(invocation)
    return _CALLER.get() or ("thread", threading.get_ident())


def _lock_needed(action: Runnable, thing: Any) -> GroupLock | None:
    """Note that the invocation enters a Thing, and return the lock that this needs."""
    invocation = current_invocation()
    if invocation is not None:
        invocation.release_held()
        invocation.enter_thing(thing)
    return group_lock_for(action, thing)


@contextmanager
def group_lock_held(action: Runnable, thing: Any) -> Iterator[None]:
    """Hold the lock that a call from Python needs; waiting for it is a cancellation point."""
    lock = _lock_needed(action, thing)
    if lock is None:
        yield
        return
    awake = threading.Event()
    with _Call(action, thing, lock, awake.set) as call:
        if not call.has_lock:
            _wait(call, awake)
        yield


def _wait(call: _Call, awake: threading.Event) -> None:
    # Outside an invocation nobody sets this one.
    cancel = CancelEvent() if call.invocation is None else call.invocation.cancel
    forget = cancel.listen(awake.set)
    try:
        while not call.has_lock:
            awake.wait()
            awake.clear()
            cancel.raise_if_set()
    finally:
        forget()


@asynccontextmanager
async def group_lock_held_async(action: Runnable, thing: Any) -> AsyncIterator[None]:
    """Do the same without blocking the loop; a cancel of the invocation cancels the task."""
    lock = _lock_needed(action, thing)
    if lock is None:
        yield
        return
    awake = ThreadsafeEvent()
    with _one_caller(), _Call(action, thing, lock, awake.set) as call:
        while not call.has_lock:
            await awake.wait()
        yield
