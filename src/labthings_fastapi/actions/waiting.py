"""How code waits for a lock of an invocation or a Thing: it can be cancelled, and ends in a circle.

A wait belongs to its invocation, which may have the lock already; outside one, to the thread or,
if it is awaited, to the task.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import NamedTuple

from labthings_fastapi.concurrency.threadsafe_event import ThreadsafeEvent
from labthings_fastapi.exceptions import ActionBusyError, LabThingsError

from .cancellation import CancelEvent
from .context import INVOCATION_MEMBER, InvocationContext, current_invocation
from .group_lock import GroupLock, LockRequest, Obstacles
from .logs import thing_log
from .protocols import Policy
from .threads import outermost_id

CHECK_SECONDS = 1.0
"""Interval (s) at which one that waits looks for a circle that others have closed meanwhile."""

CALLER: ContextVar[Hashable | None] = ContextVar("labthings_caller", default=None)
"""Who calls, where threads do not tell: a task and those that it begins in the call, or the caller
of a Thing's own thread."""


@contextmanager
def one_caller() -> Iterator[None]:
    """Let a task, and those that it begins, be one caller."""
    before = CALLER.set(object() if CALLER.get() is None else CALLER.get())
    try:
        yield
    finally:
        with suppress(ValueError):  # a loop that has ended releases its tasks in no context
            CALLER.reset(before)


_CHAIN: ContextVar[Hashable | None] = ContextVar("labthings_chain", default=None)


@contextmanager
def one_chain() -> Iterator[Hashable]:
    """Let calls inside the `with` block, also in threads that begin there, be parts of one call."""
    before = _CHAIN.get()
    chain = object() if before is None else before
    token = _CHAIN.set(chain)
    try:
        yield chain
    finally:
        with suppress(ValueError):  # a loop that has ended releases its tasks in no context
            _CHAIN.reset(token)


def caller() -> Hashable:
    """Return who would own a lock that this code takes."""
    invocation = current_invocation()
    if invocation is not None:
        return outermost_id(invocation)
    known = CALLER.get()
    return ("thread", threading.get_ident()) if known is None else known


def _label(invocation: InvocationContext | None) -> str:
    if invocation is not None:
        return invocation.label
    return f"thread {threading.current_thread().name!r}"


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class Deadline(NamedTuple):
    """How long (s) to wait for a lock, and the error after that."""

    seconds: float
    error: type[LabThingsError]
    told: float | None = None
    """The seconds to tell, if this is only a part of them."""


class LockWait:
    """One caller's wait for a lock, and its hold of it. Made by the caller; any thread grants."""

    def __init__(
        self,
        lock: GroupLock,
        what: str,
        policy: Policy = "queue",
        *,
        is_hold: bool = False,
        owner: Hashable | None = None,
    ) -> None:
        """Prepare a wait; `what` says for what the lock is needed, as in 'a call of stage.move'.

        `owner` is one of several in an invocation or thread; a failure does not prolong its hold.
        """
        self.invocation = invocation = current_invocation()
        self._has_lock = False
        self._wake: Callable[[], None] = lambda: None
        self._lock = lock
        self._waits_for_safety = invocation is not None and owner is None
        self._began = time.monotonic()
        self._is_patient = False
        self._told = False
        label = _label(invocation)
        loop = _running_loop()
        self._request = LockRequest(
            caller() if owner is None else owner,
            f"{label} with lt.hold" if is_hold else f"{what} by {label}",
            policy,
            granted=self._granted,
            # A plain thread cannot be cancelled, so a call that replaces it waits; so does one
            # that would replace a hold.
            cancel=(lambda: None) if invocation is None or is_hold else invocation.request_cancel,
            invocation=invocation,
            is_hold=is_hold,
            gives_way=True,
            needs_this_loop=(lambda: False) if loop is None else lambda: _running_loop() is loop,
        )

    def _granted(self) -> None:
        self._has_lock = True
        self._wake()

    def _acquire(self, wake: Callable[[], None]) -> bool:
        self._wake = wake
        taken = self._lock.acquire(self._request)
        if taken:  # if not, it may be granted before the next line
            self._has_lock = True
        return taken

    def over(self) -> None:
        """Release the lock, or leave the line."""
        if not self._lock.cancel(self._request):
            self._lock.release(self._request.owner, self._request)

    def over_once_safe(self) -> None:
        """Release it after a failure, but not before the hardware is at rest.

        Otherwise the next in line would move what is being stopped.
        """
        if self.invocation is None or not self._waits_for_safety or not self._has_lock:
            self.over()
        else:
            self.invocation.hold_until_safe(self.over)

    def take(self, deadline: Deadline | None = None) -> None:
        """Wait in the calling thread until the lock is had; a cancellation point.

        Raises:
            ActionBusyError: the policy is `reject`; or the holder waits for the caller.
            LabThingsError: as the deadline says.
        """
        awake = threading.Event()
        try:
            if not self._acquire(awake.set):
                self._wait(awake, deadline)
        except BaseException:
            self.over_once_safe()
            raise

    def _wait(self, awake: threading.Event, deadline: Deadline | None) -> None:
        ends = None if deadline is None else time.monotonic() + deadline.seconds
        # Outside an invocation nobody sets this one.
        cancel = CancelEvent() if self.invocation is None else self.invocation.cancel
        forget = cancel.listen(awake.set)
        try:
            while not self._has_lock:
                self._is_patient = deadline is None
                self._check(blocks=True)
                left = CHECK_SECONDS if ends is None else ends - time.monotonic()
                if deadline is not None and left <= 0:
                    raise self._refusal(deadline)
                awake.wait(min(left, CHECK_SECONDS))
                awake.clear()
                cancel.raise_if_set()
        finally:
            forget()

    async def take_async(self, deadline: Deadline | None = None) -> None:
        """Do the same without blocking the loop; a cancel of the invocation cancels the task."""
        awake = ThreadsafeEvent()
        ends = None if deadline is None else time.monotonic() + deadline.seconds
        try:
            if self._acquire(awake.set):
                return
            while not self._has_lock:
                self._check(blocks=False)
                left = CHECK_SECONDS if ends is None else ends - time.monotonic()
                if deadline is not None and left <= 0:
                    raise self._refusal(deadline)
                await awake.wait(min(left, CHECK_SECONDS))
        except BaseException:
            self.over_once_safe()
            raise

    def _refusal(self, deadline: Deadline) -> LabThingsError:
        holder = self._lock.kept_from(self._request.owner) or self._lock.holder_request
        who = "another one" if holder is None else holder.what
        seconds = deadline.told or deadline.seconds
        return deadline.error(
            f"{self._request.what} is refused: {who} has held {self._lock.name} for "
            f"{seconds:g} s and more. Try again later, or cancel what holds it."
        )

    def _check(self, *, blocks: bool) -> None:
        """Raise an error if the wait cannot end; tell what it waits for if that takes long."""
        obstacles = Obstacles(self._request)
        if obstacles.latest is self._request:
            raise ActionBusyError(_circle_text(obstacles.circle))
        for holder in obstacles.holders:
            if self.invocation is not None:
                holder.hurry()
            if blocks and holder.needs_this_loop():
                raise ActionBusyError(
                    f"{self._request.what} would wait for ever: {holder.what} holds "
                    f"{self._lock.name} and needs the event loop that this wait blocks. Use "
                    "`async with lt.hold(…)`, or `await` an async action."
                )
        if self.invocation is None and self._is_patient and obstacles.holders:
            self._look_at(obstacles.holders[0])

    def _look_at(self, holder: LockRequest) -> None:
        """Tell of a thread outside any invocation that waits for one: it may wait for itself."""
        waits_for = holder.invocation
        if waits_for is None:
            return
        if waits_for.is_overdue:
            raise ActionBusyError(
                f"{self._request.what} is refused: {holder.what} holds {self._lock.name}, was "
                f"cancelled, and does not stop. {_POOL_REMEDY}"
            )
        if time.monotonic() - self._began < CHECK_SECONDS or self._told:
            return
        self._told = True
        thing_log(self._lock.name.partition(".")[0]).warning(
            "%s waits: %s holds %s. %s",
            self._request.what,
            holder.what,
            self._lock.name,
            _POOL_REMEDY,
            extra={INVOCATION_MEMBER: waits_for},
        )


_POOL_REMEDY = (
    "If that invocation started this thread, or its pool, and waits for it, it waits for itself: "
    "start lt.ThreadWithInvocationID, or call contextvars.copy_context().run in the thread, so "
    "that the thread belongs to the invocation."
)


def _circle_text(circle: list[LockRequest]) -> str:
    """Name all who wait for one another; the first of them is refused."""
    steps = []
    for waiting in circle:
        lock = waiting.lock
        holder = None if lock is None else lock.holder_request
        if lock is not None and holder is not None:
            steps.append(f"{waiting.what} waits for {lock.name}, which {holder.what} holds")
    return (
        f"{circle[0].what} is refused, because it would wait for ever in a circle: "
        f"{'; '.join(steps)}. Call in one direction only, or keep all of them with one lt.hold."
    )
