"""An invocation's way to its start: first the lock of its group, then the server's limits."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Literal

from labthings_fastapi.exceptions import ActionBusyError

from .group_lock import LockRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from .group_lock import GroupLock, Policy
    from .invocation_limits import StartLimit


class StartGate:
    """Waits until one invocation may start, and releases what it holds. Any thread may use it.

    `launch` is called once, when the invocation may start: on the thread that calls `take`, or on
    the thread of the invocation that made room.
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
        """Wait for the group lock `lock`, if there is one, and for `limit`."""
        self._limit = limit
        self._lock = lock
        self._owner = owner
        self._launch = launch
        # Taken before the locks of the group and the limits, which call back without holding them.
        self._state_lock = threading.Lock()
        self._request: LockRequest | None = None
        self._stage: Literal["new", "group", "limits", "started", "over"] = "new"

    def take(
        self,
        name: str,
        policy: Policy,
        *,
        queued: Callable[[int], None],
        cancel: Callable[[], Any],
    ) -> None:
        """Wait in line or launch at once; do neither if `over` was called.

        `name` is for errors, `queued` receives the position in the line, and `cancel` cancels the
        invocation for one that replaces it.

        Raises:
            TooBusyError: as many invocations wait as are allowed.
            ActionBusyError: the group lock is taken, and the policy is not to wait.
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
        """Wait for the limits, now that the group lock is held."""
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
