"""One thing at a time: runs of a group on a Thing share one place."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Literal, Protocol

from labthings_fastapi.exceptions import ActionBusyError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

Policy = Literal["parallel", "queue", "reject", "replace"]


class LockRequest:
    """Somebody who wants a place: a run, or a thread that calls an action from Python.

    `owner` tells whether it is the one who holds the place already. `granted` is called once, when
    the place is theirs; `moved` when they come closer in the line; `cancel` asks them to give way.
    None of them may block.
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
        """Gather what the place needs to know; `what` names the run in errors."""
        self.owner = owner
        self.what = what
        self.policy: Policy = policy
        self.granted = granted
        self.moved = moved
        self.cancel = cancel


class GroupLock:
    """The place of one group on one Thing, and the line for it; any thread may use it.

    Callbacks are called after the lock is released, so that they may come back.
    """

    __slots__ = ("_depth", "_holder", "_line", "_lock", "_name")

    def __init__(self, name: str) -> None:
        """Be free; `name` is for errors."""
        self._name = name
        self._lock = threading.Lock()
        self._holder: LockRequest | None = None
        self._depth = 0
        self._line: deque[LockRequest] = deque()

    def ask(self, claim: LockRequest) -> bool:
        """Take the place, or get in line for it; says whether it was taken at once.

        `granted` is called only for those who had to wait. One who holds the place takes it again,
        and must give it back as often.

        Raises:
            ActionBusyError: the policy is `reject`, and somebody else holds the place.
        """
        yielding: list[LockRequest] = []
        with self._lock:
            if self._holder is None or self._holder.owner == claim.owner:
                self._holder = self._holder or claim
                self._depth += 1
                return True
            if claim.policy == "reject":
                raise ActionBusyError(
                    f"{claim.what} cannot start: {self._holder.what} holds {self._name}. "
                    "Wait for it, or cancel it."
                )
            if claim.policy == "replace":
                # Whoever waits to replace the holder is replaced as well: only the newest counts.
                yielding = [self._holder, *(one for one in self._line if one.policy == "replace")]
                self._line.appendleft(claim)
            else:
                self._line.append(claim)
        for one in yielding:
            one.cancel()
        self._tell_positions()
        return False

    def give_back(self, owner: Hashable) -> None:
        """Leave the place, once for each time it was taken; the next in line gets it.

        With it get it all others in line that are of the same owner: it may wait for them.
        """
        with self._lock:
            if self._holder is None or self._holder.owner != owner:
                return
            self._depth -= 1
            if self._depth:
                return
            self._holder = self._line[0] if self._line else None
            mates = [] if self._holder is None else self._of(self._holder.owner)
            for claim in mates:
                self._line.remove(claim)
            self._depth = len(mates)
        if mates:
            self._tell_positions()
        for claim in mates:
            claim.granted()

    def _of(self, owner: Hashable) -> list[LockRequest]:
        return [claim for claim in self._line if claim.owner == owner]

    def withdraw(self, claim: LockRequest) -> bool:
        """Leave the line; False if the claim was not in it (any more)."""
        with self._lock:
            if claim not in self._line:
                return False
            self._line.remove(claim)
        self._tell_positions()
        return True

    def holder(self) -> str | None:
        """Return what the one who holds the place calls itself."""
        holder = self._holder
        return holder.what if holder is not None else None

    def _tell_positions(self) -> None:
        """Tell those in line where they stand, and again if the line has changed meanwhile.

        Of two threads that do this at once, the one that knows less may be the last to tell.
        """
        told: list[LockRequest] = []
        while True:
            with self._lock:
                line = list(self._line)
            if line == told:
                return
            for position, claim in enumerate(line, start=1):
                claim.moved(position)
            told = line


class Grouped(Protocol):
    """An action, as far as its place is concerned."""

    @property
    def name(self) -> str:
        """The name of the action."""

    @property
    def concurrency(self) -> Policy:
        """What happens when the place is taken."""

    @property
    def group(self) -> str | None:
        """Whose place it shares; its own if None."""

    @property
    def stop(self) -> bool:
        """Whether it is an emergency stop, which asks nobody."""


_making = threading.Lock()
_ATTRIBUTE = "_labthings_places"


def group_lock_for(action: Grouped, thing: Any) -> GroupLock | None:
    """Return the place that a run of `action` on `thing` needs; None if it needs none."""
    if action.stop or action.concurrency == "parallel":
        return None
    name = action.group or action.name
    places = thing.__dict__.get(_ATTRIBUTE)
    if places is None or name not in places:
        with _making:
            places = thing.__dict__.setdefault(_ATTRIBUTE, {})
            places.setdefault(name, GroupLock(f"{thing.name}.{name}"))
    found: GroupLock = places[name]
    return found
