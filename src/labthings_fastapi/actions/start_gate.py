"""The way of an invocation to its start: past the locks that it needs, and the limits."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Literal, NamedTuple

from labthings_fastapi.concurrency.things_loop import loop_of
from labthings_fastapi.exceptions import ActionBusyError
from labthings_fastapi.thing_description.paths import name_of

from .group_lock import GroupLock, LockRequest, group_lock_for
from .invocation_limits import StartLimit
from .protocols import Policy, Runnable
from .turns import TURN, Turn


class NeededLock(NamedTuple):
    """A lock that an invocation needs, either while it runs or (`keeps` is False) to pass once."""

    lock: GroupLock
    policy: Policy
    keeps: bool = True


def locks_needed(action: Runnable, thing: Any) -> Sequence[NeededLock]:
    """Return the locks that an invocation of an action needs, in the order to take them."""
    group = group_lock_for(action, thing)
    turn: Turn | None = thing.__dict__.get(TURN)
    if turn is None or action.stop:
        return () if group is None else (NeededLock(group, action.concurrency),)
    own = () if group is None else (NeededLock(group, action.concurrency),)
    if turn.exclusive:
        turn.lock.name = turn.name
        return (
            *own,
            NeededLock(turn.lock, "reject" if action.concurrency == "reject" else "queue"),
        )
    # A hold has the locks of all groups, so only an action without a group must wait for its end.
    if group is None and turn.lock.holder_request is not None:
        return (NeededLock(turn.lock, "queue", keeps=False),)
    return own


def loop_check(action: Runnable, thing: Any) -> Callable[[], bool]:
    """Return what tells whether an invocation needs the event loop of the calling code."""
    plain = inspect.unwrap(action.func)
    if inspect.iscoroutinefunction(plain) or inspect.isasyncgenfunction(plain):
        return loop_of(thing._thing_server_interface, name_of(thing)).is_current
    return lambda: False


class StartGate:
    """Waits for the locks in turn, then for the limits; releases them all. Any thread may use it.

    `launch` is called once: on the thread that calls `take`, or of the invocation that made room.
    """

    __slots__ = (
        "_ahead",
        "_launch",
        "_limit",
        "_owner",
        "_requests",
        "_stage",
        "_state_lock",
        "_template",
    )

    def __init__(
        self,
        limit: StartLimit,
        locks: Sequence[NeededLock] = (),
        *,
        owner: Hashable,
        launch: Callable[[], None],
    ) -> None:
        self._limit = limit
        self._ahead = list(locks)
        self._owner = owner
        self._launch = launch
        # Taken before the locks of the group and the limits, which call back without holding them.
        self._state_lock = threading.Lock()
        self._requests: list[tuple[GroupLock, LockRequest]] = []
        self._stage: Literal["new", "locks", "limits", "started", "over"] = "new"
        self._template: dict[str, Any] = {}

    @property
    def is_started(self) -> bool:
        """Whether the invocation was launched, and is not over."""
        return self._stage == "started"

    @property
    def _is_over(self) -> bool:
        return self._stage == "over"

    def take(
        self,
        name: str,
        *,
        queued: Callable[[int, str], None],
        cancel: Callable[[], Any],
        invocation: Any = None,
        needs_this_loop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Wait in line or launch at once; do neither if `over` was called.

        `name` is for errors, `queued` receives the position in the line and the holder's name, and
        `cancel` cancels the invocation for one that replaces it. `TooBusyError` and
        `ActionBusyError` leave no trace.
        """
        self._limit.reserve()
        with self._state_lock:
            is_over = self._stage == "over"
            if not is_over:
                self._stage = "locks"
        if is_over:
            self._limit.cancel_reservation()
            return
        if not self._ahead:
            self._pass_locks()
            return
        self._template = {
            "what": name,
            "moved": queued,
            "cancel": cancel,
            "hurry": self._hurry,
            "invocation": invocation,
            "needs_this_loop": needs_this_loop,
        }
        try:
            self._advance()
        except ActionBusyError:
            self.over()
            raise

    def _advance(self) -> None:
        """Take the locks ahead; return when one must be waited for. One thread at a time."""
        while self._ahead:
            lock, policy, keeps = self._ahead[0]
            request = LockRequest(
                self._owner, policy=policy, granted=self._granted, **self._template
            )
            with self._state_lock:
                if self._stage == "over":
                    break
                self._requests.append((lock, request))
            taken = lock.acquire(request)
            if self._is_over:  # `over` may have missed the lock; releasing twice is safe
                if not lock.cancel(request):
                    lock.release(self._owner, request)
                break
            if not taken:
                return
            self._had(keeps=keeps)
        self._pass_locks()

    def _had(self, *, keeps: bool) -> None:
        """Go on to the next lock; one that was to be passed only is released."""
        del self._ahead[0]
        if not keeps:
            with self._state_lock:
                passed = self._requests.pop() if self._requests else None
            if passed is not None:
                passed[0].release(self._owner, passed[1])

    def _granted(self) -> None:
        lock, _, keeps = self._ahead[0]
        if self._is_over:
            lock.release(self._owner)
            return
        self._had(keeps=keeps)
        self._advance()

    def _pass_locks(self) -> None:
        with self._state_lock:
            is_over = self._stage == "over"
            starts = False
            if not is_over:
                starts = self._limit.start_or_wait(self._start)
                self._stage = "started" if starts else "limits"
        if starts:
            self._launch()
        elif is_over:
            self._release_locks()

    def _start(self) -> None:
        """Launch; called when another invocation has ended, or waits for this one."""
        with self._state_lock:
            is_over = self._stage == "over"
            if not is_over:
                self._stage = "started"
        if is_over:
            self._limit.release()
            self._release_locks()
        else:
            self._launch()

    def _hurry(self) -> None:
        """Start past the limits: one that runs waits for this one, which waits for its end."""
        if self._stage == "limits":
            self._limit.start_now(self._start)

    def over(self) -> None:
        """Release what the invocation holds, or leave the lines in which it waits. Idempotent."""
        with self._state_lock:
            stage, self._stage = self._stage, "over"
            if stage == "locks":
                self._limit.cancel_reservation()
            elif stage == "limits":
                self._limit.cancel_waiting(self._start)
        if stage == "started":
            self._limit.release()
        if stage not in ("new", "over"):
            self._release_locks()

    def _release_locks(self) -> None:
        with self._state_lock:
            requests, self._requests = self._requests, []
        for lock, request in reversed(requests):
            if not lock.cancel(request):
                lock.release(self._owner, request)
