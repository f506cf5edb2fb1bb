"""The locks that invocations of a group on a Thing share, and the way to a start past them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal

from labthings_fastapi.exceptions import ActionBusyError
from labthings_fastapi.thing_description.paths import name_of

from .invocation_limits import StartLimit
from .protocols import Policy, Runnable


@dataclass(eq=False, slots=True)
class LockRequest:
    """A request for a group lock; `what` names its owner in errors.

    Requests with the same `owner` may hold the lock together. `granted` is called once, when the
    lock is held after a wait; `moved` with each new position in the line. None may block.
    """

    owner: Hashable
    what: str
    policy: Policy
    _: KW_ONLY
    granted: Callable[[], None]
    moved: Callable[[int], None] = lambda _position: None
    cancel: Callable[[], Any] = lambda: None


class GroupLock:
    """The lock of one group on one Thing, and the line for it; any thread may use it.

    Callbacks are called without the internal lock, so they may use the group lock.
    """

    __slots__ = ("_depth", "_holder", "_line", "_lock", "_name")

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._holder: LockRequest | None = None
        self._depth = 0
        self._line: deque[LockRequest] = deque()

    def acquire(self, request: LockRequest) -> bool:
        """Take the lock, or get in line; return whether it was taken at once, without `granted`.

        An owner that holds the lock takes it again, and must release it as often.
        `ActionBusyError`: the policy is `reject`, and another owner holds the lock.
        """
        replaced: list[LockRequest] = []
        with self._lock:
            if self._holder is None or self._holder.owner == request.owner:
                self._holder = self._holder or request
                self._depth += 1
                return True
            if request.policy == "reject":
                raise ActionBusyError(
                    f"{request.what} cannot start: {self._holder.what} holds {self._name}. "
                    "Wait for it, or cancel it."
                )
            if request.policy == "replace":
                # Those that wait to replace the holder are replaced as well: the newest counts.
                waiting = [one for one in self._line if one.policy == "replace"]
                replaced = [self._holder, *waiting]
                self._line.appendleft(request)
            else:
                self._line.append(request)
        for one in replaced:
            one.cancel()
        self._report_positions()
        return False

    def release(self, owner: Hashable) -> None:
        """Release the lock, once for each time it was taken; the next in line gets it.

        So do all requests of that next owner, which may wait for them.
        """
        with self._lock:
            if self._holder is None or self._holder.owner != owner:
                return
            self._depth -= 1
            if self._depth:
                return
            self._holder = self._line[0] if self._line else None
            granted = [request for request in self._line if request.owner == self._line[0].owner]
            for request in granted:
                self._line.remove(request)
            self._depth = len(granted)
        if granted:
            self._report_positions()
        for request in granted:
            request.granted()

    def cancel(self, request: LockRequest) -> bool:
        """Leave the line; return False if the request is not in it."""
        with self._lock:
            if request not in self._line:
                return False
            self._line.remove(request)
        self._report_positions()
        return True

    def holder(self) -> str | None:
        return holder.what if (holder := self._holder) is not None else None

    def _report_positions(self) -> None:
        # Until the line stays: of two threads here, the one with the older line may be the last.
        reported: list[LockRequest] = []
        while True:
            with self._lock:
                line = list(self._line)
            if line == reported:
                return
            for position, request in enumerate(line, start=1):
                request.moved(position)
            reported = line


_making = threading.Lock()
_ATTRIBUTE = "_labthings_group_locks"


def group_lock_for(action: Runnable, thing: Any) -> GroupLock | None:
    if action.stop or action.concurrency == "parallel":
        return None
    name = action.group or action.name
    locks = thing.__dict__.get(_ATTRIBUTE)
    if locks is None or name not in locks:
        with _making:
            locks = thing.__dict__.setdefault(_ATTRIBUTE, {})
            locks.setdefault(name, GroupLock(f"{name_of(thing)}.{name}"))
    found: GroupLock = locks[name]
    return found


class StartGate:
    """Waits for the group lock, then for the limits; releases both. Any thread may use it.

    `launch` is called once: on the thread that calls `take`, or of the invocation that made room.
    """

    __slots__ = ("_launch", "_limit", "_lock", "_owner", "_request", "_stage", "_state_lock")

    def __init__(
        self,
        limit: StartLimit,
        lock: GroupLock | None,
        *,
        owner: Hashable,
        launch: Callable[[], None],
    ) -> None:
        self._limit = limit
        self._lock = lock
        self._owner = owner
        self._launch = launch
        # Taken before the locks of the group and the limits, which call back without holding them.
        self._state_lock = threading.Lock()
        self._request: LockRequest | None = None
        self._stage: Literal["new", "group", "limits", "started", "over"] = "new"

    def take(
        self, name: str, policy: Policy, *, queued: Callable[[int], None], cancel: Callable[[], Any]
    ) -> None:
        """Wait in line or launch at once; do neither if `over` was called.

        `name` is for errors, `queued` receives the position in the line, and `cancel` cancels the
        invocation for one that replaces it. `TooBusyError` and `ActionBusyError` leave no trace.
        """
        self._limit.reserve()
        with self._state_lock:
            is_over = self._stage == "over"
            if not is_over:
                self._stage = "group"
        if is_over:
            self._limit.cancel_reservation()
            return
        if self._lock is not None:
            self._request = LockRequest(
                self._owner, name, policy, granted=self._granted, moved=queued, cancel=cancel
            )
            try:
                if not self._lock.acquire(self._request):
                    return
            except ActionBusyError:
                self._request = None
                self.over()
                raise
        self._granted()

    def _granted(self) -> None:
        with self._state_lock:
            is_over = self._stage == "over"
            starts = False
            if not is_over:
                starts = self._limit.start_or_wait(self._start)
                self._stage = "started" if starts else "limits"
        if starts:
            self._launch()
        elif is_over:
            self._release_lock()

    def _start(self) -> None:
        """Launch; called when another invocation has ended."""
        with self._state_lock:
            is_over = self._stage == "over"
            if not is_over:
                self._stage = "started"
        if is_over:
            self._limit.release()
            self._release_lock()
        else:
            self._launch()

    def over(self) -> None:
        """Release what the invocation holds, or leave the lines in which it waits. Idempotent."""
        with self._state_lock:
            stage, self._stage = self._stage, "over"
            if stage == "group":
                self._limit.cancel_reservation()
            elif stage == "limits":
                self._limit.cancel_waiting(self._start)
        if stage == "started":
            self._limit.release()
        if stage not in ("new", "over"):
            self._release_lock()

    def _release_lock(self) -> None:
        lock, request = self._lock, self._request
        if lock is not None and request is not None and not lock.cancel(request):
            lock.release(self._owner)
