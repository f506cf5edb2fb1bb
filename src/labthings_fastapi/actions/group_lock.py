"""One thing at a time: invocations of a group on a Thing share one lock."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Literal, Protocol

from labthings_fastapi.exceptions import ActionBusyError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

Policy = Literal["parallel", "queue", "reject", "replace"]


class LockRequest:
    """A request for a group lock, by an invocation or by a call from Python.

    Requests with the same `owner` may hold the lock together. `granted` is called once, when the
    lock is held after a wait; `moved` with each new position in the line; `cancel` cancels the
    owner. None of them may block.
    """

    __slots__ = ("cancel", "granted", "moved", "owner", "policy", "what")

    def __init__(
        self,
        owner: Hashable,
        what: str,
        policy: Policy,
        *,
        granted: Callable[[], None],
        moved: Callable[[int], None] = lambda _position: None,
        cancel: Callable[[], Any] = lambda: None,
    ) -> None:
        """Describe a request; `what` names the owner in errors."""
        self.owner = owner
        self.what = what
        self.policy: Policy = policy
        self.granted = granted
        self.moved = moved
        self.cancel = cancel


class GroupLock:
    """The lock of one group on one Thing, and the line for it; any thread may use it.

    Callbacks are called without the internal lock, so they may use the group lock.
    """

    __slots__ = ("_depth", "_holder", "_line", "_lock", "_name")

    def __init__(self, name: str) -> None:
        """Start free; `name` is for errors."""
        self._name = name
        self._lock = threading.Lock()
        self._holder: LockRequest | None = None
        self._depth = 0
        self._line: deque[LockRequest] = deque()

    def acquire(self, request: LockRequest) -> bool:
        """Take the lock, or get in line for it; return whether it was taken at once.

        `granted` is called only after a wait. An owner that holds the lock takes it again, and
        must release it as often.

        Raises:
            ActionBusyError: the policy is `reject`, and another owner holds the lock.
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

        All other requests of that owner in the line get it as well: the owner may wait for them.
        """
        with self._lock:
            if self._holder is None or self._holder.owner != owner:
                return
            self._depth -= 1
            if self._depth:
                return
            self._holder = self._line[0] if self._line else None
            granted = [] if self._holder is None else self._of(self._holder.owner)
            for request in granted:
                self._line.remove(request)
            self._depth = len(granted)
        if granted:
            self._report_positions()
        for request in granted:
            request.granted()

    def _of(self, owner: Hashable) -> list[LockRequest]:
        return [request for request in self._line if request.owner == owner]

    def cancel(self, request: LockRequest) -> bool:
        """Leave the line; return False if the request is not in it."""
        with self._lock:
            if request not in self._line:
                return False
            self._line.remove(request)
        self._report_positions()
        return True

    def holder(self) -> str | None:
        """Return the name of the holder, or None."""
        holder = self._holder
        return holder.what if holder is not None else None

    def _report_positions(self) -> None:
        """Report the positions in the line, and again if the line has changed meanwhile.

        Of two threads that do this at once, the one with the older line may be the last.
        """
        reported: list[LockRequest] = []
        while True:
            with self._lock:
                line = list(self._line)
            if line == reported:
                return
            for position, request in enumerate(line, start=1):
                request.moved(position)
            reported = line


class Grouped(Protocol):
    """An action, as far as its group is concerned."""

    @property
    def name(self) -> str:
        """The name of the action."""

    @property
    def concurrency(self) -> Policy:
        """What happens while the lock is taken."""

    @property
    def group(self) -> str | None:
        """The group whose lock it shares; its own if None."""

    @property
    def stop(self) -> bool:
        """Whether it is an emergency stop, which passes locks."""


_making = threading.Lock()
_ATTRIBUTE = "_labthings_group_locks"


def group_lock_for(action: Grouped, thing: Any) -> GroupLock | None:
    """Return the lock that an invocation of `action` on `thing` needs; None if it needs none."""
    if action.stop or action.concurrency == "parallel":
        return None
    name = action.group or action.name
    locks = thing.__dict__.get(_ATTRIBUTE)
    if locks is None or name not in locks:
        with _making:
            locks = thing.__dict__.setdefault(_ATTRIBUTE, {})
            locks.setdefault(name, GroupLock(f"{thing.name}.{name}"))
    found: GroupLock = locks[name]
    return found
