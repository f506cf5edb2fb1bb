"""The life of a run: the only place where a status changes.

::

    pending ─→ running ─→ completed | error | cancelled
       └────→ cancelled (before it began) | error (rejected, or the server stopped first)
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from labthings_fastapi.messages.message import InvocationStatus, is_final
from labthings_fastapi.own_log import own_logger

if TYPE_CHECKING:
    from collections.abc import Callable


LOGGER = own_logger("actions")


def utc_now() -> datetime:
    """Return the time of day for people: aware, UTC."""
    return datetime.now(UTC)


class InvocationState(NamedTuple):
    """Everything that is true of a run at one moment; replaced as a whole, never changed.

    `phase` says more than `status`, for people. `overdue`: it was cancelled and has not stopped in
    time. `queue_position` is 1 for the next in line. `expires` is a reading of the monotonic clock.
    """

    status: InvocationStatus
    phase: str
    requested: datetime
    started: datetime | None = None
    ended: datetime | None = None
    output: Any = None
    output_json: bytes | None = None
    problem: dict[str, Any] | None = None
    exception: BaseException | None = None
    cancel_requested: bool = False
    overdue: bool = False
    queue_position: int | None = None
    expires: float | None = None

    @property
    def finished(self) -> bool:
        """Whether the run has ended, in whatever way."""
        return is_final(self.status)


class Ending(NamedTuple):
    """How a run ended: what `Lifecycle.finish` sets in one step."""

    status: InvocationStatus
    output: Any = None
    output_json: bytes | None = None
    problem: dict[str, Any] | None = None
    exception: BaseException | None = None


_ENDED = threading.RLock()
"""The lock of every run that has ended: nothing changes in it any more.

It is re-entrant because the garbage collector may run a finaliser that asks for another such run
while we hold it.
"""


class Lifecycle:
    """Moves one run from state to state, under one lock.

    `state` may be read from any thread at any time without the lock: it is one reference to an
    immutable value. The listener hears every change once and in order, under the lock, so it must
    neither block nor come back; those who wait for the end are told after the lock is released.
    """

    __slots__ = ("_listener", "_lock", "_retention", "_waiters", "state")

    def __init__(self, retention: float) -> None:
        """Begin as pending; `retention` seconds after its end the run expires."""
        self._lock: threading.Lock | threading.RLock = threading.Lock()
        self._retention = retention
        self._listener: Callable[[InvocationState], None] | None = None
        self._waiters: tuple[Callable[[], None], ...] = ()  # an empty one takes no memory
        self.state = InvocationState(InvocationStatus.PENDING, "queued", utc_now())

    def listen(self, listener: Callable[[InvocationState], None]) -> None:
        """Tell `listener` the present state and every later one."""
        with self._lock:
            self._listener = listener
            self._report()

    def _become(self, state: InvocationState) -> None:
        self.state = state
        self._report()

    def _report(self) -> None:
        if self._listener is None:
            return
        try:
            self._listener(self.state)
        except Exception:
            # The run goes on and those who wait for its end are told of it, come what may.
            LOGGER.exception("A change of a run could not be reported.")

    def queued(self, position: int) -> None:
        """Note the place in the line for the action's group, 1 for the next."""
        with self._lock:
            if self.state.phase == "queued" and self.state.queue_position != position:
                self._become(self.state._replace(queue_position=position))

    def starting(self) -> bool:
        """Note that a thread is being started; False if one was before, or the run has ended."""
        with self._lock:
            if self.state.phase != "queued":
                return False
            self._become(self.state._replace(phase="starting", queue_position=None))
            return True

    def note_overdue(self) -> bool:
        """Note that a cancelled run has not stopped in time; False if it has, or nobody asked."""
        with self._lock:
            if self.state.finished or not self.state.cancel_requested:
                return False
            self._become(self.state._replace(overdue=True))
            return True

    def begin(self) -> bool:
        """Go from pending to running; False if the run was cancelled before it began."""
        with self._lock:
            if self.state.status is not InvocationStatus.PENDING:
                return False
            self._become(
                self.state._replace(
                    status=InvocationStatus.RUNNING, phase="running", started=utc_now()
                )
            )
            return True

    def ask_cancel(self, ending: Ending) -> InvocationState:
        """Note a cancel request and return the state before it.

        A run that has not begun ends at once with `ending`; one that has ended is left alone.
        """
        with self._lock:
            before = self.state
            if before.finished:
                return before
            if before.status is InvocationStatus.PENDING:
                waiters = self._end(ending, cancel_requested=True)
            else:
                waiters = ()
                if not before.cancel_requested:
                    self._become(before._replace(phase="cancelling", cancel_requested=True))
        self._tell(waiters)
        return before

    def finish(self, ending: Ending) -> bool:
        """Set status, output, end and expiry in one step; False if the run had ended already."""
        with self._lock:
            if self.state.finished:
                return False
            waiters = self._end(ending, cancel_requested=self.state.cancel_requested)
        self._tell(waiters)
        return True

    def _end(self, ending: Ending, *, cancel_requested: bool) -> tuple[Callable[[], None], ...]:
        self._become(
            InvocationState(
                status=ending.status,
                phase="finished",
                requested=self.state.requested,
                started=self.state.started,
                ended=utc_now(),
                output=ending.output,
                output_json=ending.output_json,
                problem=ending.problem,
                exception=ending.exception,
                cancel_requested=cancel_requested,
                expires=time.monotonic() + self._retention,
            )
        )
        self._listener = None  # it has heard the last; a retained run need not keep it
        self._lock = _ENDED  # whoever waits for the other lock will find that the run has ended
        waiters, self._waiters = self._waiters, ()
        return waiters

    @staticmethod
    def _tell(waiters: tuple[Callable[[], None], ...]) -> None:
        for waiter in waiters:
            try:
                waiter()
            except Exception:
                LOGGER.exception("Somebody who waited for the end of a run could not be told.")

    def on_end(self, waiter: Callable[[], None]) -> None:
        """Call `waiter` once the run has ended, at once if it has; it must not block."""
        with self._lock:
            if not self.state.finished:
                self._waiters = (*self._waiters, waiter)
                return
        waiter()

    def forget(self, waiter: Callable[[], None]) -> None:
        """Stop waiting for the end."""
        with self._lock:
            # By equality: each look at a method makes another object of it.
            self._waiters = tuple(one for one in self._waiters if one != waiter)

    def wait(self, timeout: float | None = None) -> bool:
        """Block this thread until the run has ended; False if `timeout` seconds passed first."""
        if self.state.finished:
            return True
        ended = threading.Event()
        self.on_end(ended.set)
        try:
            return ended.wait(timeout)
        finally:
            self.forget(ended.set)
