"""The locks that invocations share: of a group of actions, and of a whole Thing.

Who waits for which lock is known for the whole process, so that a circle is found.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from labthings_fastapi.exceptions import ActionBusyError
from labthings_fastapi.thing_description.paths import name_of

from .protocols import Policy, Runnable

_numbers = itertools.count()


@dataclass(eq=False, slots=True)
class LockRequest:
    """A request for a lock; `what` names its owner in errors.

    Requests with the same `owner` may hold the lock together. `granted` is called once, when the
    lock is held after a wait; `moved` with each new position in the line and the name of the
    holder; `hurry` when a caller in an invocation waits for the owner. None may block.
    """

    owner: Hashable
    what: str
    policy: Policy
    _: KW_ONLY
    granted: Callable[[], None]
    moved: Callable[[int, str], None] = lambda _position, _holder: None
    cancel: Callable[[], Any] = lambda: None
    hurry: Callable[[], None] = lambda: None
    invocation: Any = None
    """The `InvocationContext` of the owner, if it is one."""
    is_hold: bool = False
    """Whether the owner keeps a Thing with `lt.hold`, and does not run an action of it."""
    gives_way: bool = False
    """Whether the owner can be told of a circle of waits, and then leaves the line."""
    needs_this_loop: Callable[[], bool] = lambda: False
    """Returns whether the owner needs the event loop of the calling code to go on."""
    lock: GroupLock | None = None
    """The lock in whose line it stands; guarded by the lock of the waits."""
    number: int = field(default_factory=lambda: next(_numbers))


# Guards the next, and is the last lock to be taken: see `GroupLock`.
_waits_lock = threading.Lock()
_waits: dict[Hashable, list[LockRequest]] = {}  # owner → its requests that stand in a line


def _begin_wait(request: LockRequest, lock: GroupLock) -> None:
    with _waits_lock:
        request.lock = lock
        _waits.setdefault(request.owner, []).append(request)


def _end_wait(request: LockRequest) -> None:
    with _waits_lock:
        request.lock = None
        requests = _waits.get(request.owner, [])
        if request in requests:
            requests.remove(request)
        if not requests:
            _waits.pop(request.owner, None)


class Obstacles:
    """Whom a request in a line waits for: the holder, those for whom the holder waits, and so on.

    `circle` begins with the request, if it waits for itself in the end; otherwise it is empty.
    """

    def __init__(self, request: LockRequest) -> None:
        self.holders: list[LockRequest] = []
        self.circle: list[LockRequest] = []
        reached_from: dict[LockRequest, LockRequest] = {}
        ahead = deque([request])
        seen: set[Hashable] = {request.owner}
        with _waits_lock:
            while ahead:
                waiting = ahead.popleft()
                holder = None if waiting.lock is None else waiting.lock.holder_request
                if holder is None or holder is waiting:
                    continue
                if holder.owner == request.owner and waiting is not request:
                    self.circle = [*_path(waiting, reached_from)][::-1]
                    return
                if holder.owner not in seen:
                    seen.add(holder.owner)
                    self.holders.append(holder)
                    for found in _waits.get(holder.owner, ()):
                        reached_from[found] = waiting
                        ahead.append(found)

    @property
    def latest(self) -> LockRequest | None:
        """The request of the circle that gives way: the latest of those that can."""
        able = [request for request in self.circle if request.gives_way]
        return max(able, key=lambda request: request.number, default=None)


def _path(
    request: LockRequest, reached_from: dict[LockRequest, LockRequest]
) -> Iterator[LockRequest]:
    found: LockRequest | None = request
    while found is not None:
        yield found
        found = reached_from.get(found)


class GroupLock:
    """The lock of one group on one Thing, and the line for it; any thread may use it.

    Callbacks are called without the internal lock, so they may use the group lock.
    """

    __slots__ = ("__weakref__", "_depth", "_holder", "_holds", "_line", "_lock", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = threading.Lock()
        self._holder: LockRequest | None = None
        self._holds: tuple[LockRequest, ...] = ()
        self._depth = 0
        self._line: deque[LockRequest] = deque()

    @property
    def holder_request(self) -> LockRequest | None:
        """The request that has the lock at this moment; readable without the lock."""
        return self._holder

    def kept_from(self, owner: Hashable) -> LockRequest | None:
        """Return the `lt.hold` that has the lock, unless it is the owner's own."""
        holds = self._holds
        return holds[-1] if holds and holds[-1].owner != owner else None

    def refuses(self, request: LockRequest, holder: LockRequest) -> bool:  # noqa: ARG002
        """Return whether a request that finds this holder is refused at once."""
        return request.policy == "reject"

    def acquire(self, request: LockRequest) -> bool:
        """Take the lock, or get in line; return whether it was taken at once, without `granted`.

        An owner that holds the lock takes it again, and must release it as often.
        `ActionBusyError`: the policy is `reject`, and another owner holds the lock.
        """
        replaced: list[LockRequest] = []
        with self._lock:
            if self._holder is None or self._holder.owner == request.owner:
                self._holder = self._holder or request
                self._note_held(request)
                return True
            if self.refuses(request, self._holder):
                raise ActionBusyError(
                    f"{request.what} cannot start: {(self._holds or (self._holder,))[-1].what} "
                    f"holds {self.name}. Wait for it, or cancel it."
                )
            if request.policy == "replace":
                # Those that wait to replace the holder are replaced as well: the newest counts.
                waiting = [one for one in self._line if one.policy == "replace"]
                replaced = [self._holder, *waiting]
                self._line.appendleft(request)
            else:
                self._line.append(request)
            _begin_wait(request, self)
        for one in replaced:
            one.cancel()
        self._report_positions()
        return False

    def _note_held(self, request: LockRequest) -> None:
        self._depth += 1
        if request.is_hold:
            self._holds = (*self._holds, request)

    def release(self, owner: Hashable, request: LockRequest | None = None) -> None:
        """Release the lock, once for each time it was taken; the next in line gets it.

        So do all requests of that next owner, which may wait for them. A hold gives its request.
        """
        with self._lock:
            if self._holder is None or self._holder.owner != owner:
                return
            if request in self._holds:
                self._holds = tuple(hold for hold in self._holds if hold is not request)
            self._depth -= 1
            if self._depth:
                return
            self._holder = self._line[0] if self._line else None
            granted = [request for request in self._line if request.owner == self._line[0].owner]
            for one in granted:
                self._line.remove(one)
                self._note_held(one)
                _end_wait(one)
        if granted:
            self._report_positions()
        for one in granted:
            one.granted()

    def cancel(self, request: LockRequest) -> bool:
        """Leave the line; return False if the request is not in it."""
        with self._lock:
            if request not in self._line:
                return False
            self._line.remove(request)
            _end_wait(request)
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
                holder = "" if self._holder is None else (self._holds or (self._holder,))[-1].what
            if line == reported:
                return
            for position, request in enumerate(line, start=1):
                request.moved(position, holder)
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
