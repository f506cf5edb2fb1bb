"""A run's way from the request to its start: first its place, then its share of the limits."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Literal

from labthings_fastapi.exceptions import ActionBusyError

from .group_lock import GroupLock, LockRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from .group_lock import Policy
    from .invocation_limits import StartLimit


class StartGate:
    """Waits for one run to be allowed to begin, and gives back what it holds; any thread.

    `launch` is called once, when the run may begin, on the thread that asks or on that of the run
    which made room. `queued` is told the position in the line for the place.
    """

    __slots__ = ("_claim", "_launch", "_limit", "_lock", "_owner", "_place", "_stage")

    def __init__(
        self,
        limit: StartLimit,
        place: GroupLock | None,
        *,
        owner: Hashable,
        launch: Callable[[], None],
    ) -> None:
        """Prepare to wait for `place`, if there is one, and for `admission`."""
        self._limit = limit
        self._place = place
        self._owner = owner
        self._launch = launch
        # Taken before the locks of the place and the limits, which call back without holding them.
        self._lock = threading.Lock()
        self._claim: LockRequest | None = None
        self._stage: Literal["new", "place", "limits", "begun", "over"] = "new"

    @property
    def has_place(self) -> bool:
        """Whether there is a place to wait for, and so a name for errors to give."""
        return self._place is not None

    def take(
        self,
        what: str,
        policy: Policy,
        *,
        queued: Callable[[int], None],
        cancel: Callable[[], Any],
    ) -> None:
        """Get in line, or launch at once; do neither if it is over already.

        Raises:
            TooBusyError: as many runs wait as are allowed.
            ActionBusyError: the place is taken, and the policy is not to wait.
        """
        self._limit.enlist()
        with self._lock:
            wanted = self._stage != "over"
            if wanted:
                self._stage = "place"
        if not wanted:
            self._limit.strike()
            return
        if self._place is None:
            self._granted()
            return
        self._claim = LockRequest(
            self._owner, what, policy, granted=self._granted, moved=queued, cancel=cancel
        )
        try:
            taken = self._place.ask(self._claim)
        except ActionBusyError:
            self._claim = None
            self.over()
            raise
        if taken:
            self._granted()

    def _granted(self) -> None:
        """The place is ours: ask for a share of the limits."""
        with self._lock:
            if self._stage == "over":
                wanted = begins = False
            else:
                wanted = True
                self._stage = "limits"
                begins = self._limit.ask(self._begin)
                if begins:
                    self._stage = "begun"
        if begins:
            self._launch()
        elif not wanted:
            self._give_back()

    def _begin(self) -> None:
        """Room was made: the run that ended calls this."""
        with self._lock:
            wanted = self._stage != "over"
            if wanted:
                self._stage = "begun"
        if wanted:
            self._launch()
        else:
            # Cancelled while its turn came.
            self._limit.leave()
            self._give_back()

    def over(self) -> None:
        """Give back what the run holds, or leave the lines that it waits in; harmless twice."""
        with self._lock:
            stage, self._stage = self._stage, "over"
            if stage == "place":
                self._limit.strike()
            elif stage == "limits":
                self._limit.withdraw(self._begin)
        if stage == "begun":
            self._limit.leave()
        if stage not in ("new", "over"):
            self._give_back()

    def _give_back(self) -> None:
        if self._place is None or self._claim is None:
            return
        if not self._place.withdraw(self._claim):
            self._place.give_back(self._owner)
