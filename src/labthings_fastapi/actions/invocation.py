"""One run of an action."""

from __future__ import annotations

import logging
import sys
import threading
import time
import weakref
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from labthings_fastapi.exceptions import GlobalLockBusyError, LabThingsError
from labthings_fastapi.messages.message import InvocationStatus
from labthings_fastapi.schemas.signature import arguments

from .action_call import ActionCall, cancelled_ending, failed_ending
from .cancellation import CancelEvent
from .context import INVOCATION_MEMBER, entered
from .deadlines import deadlines
from .group_lock import group_lock_for
from .invocation_limits import NoLimits
from .invocation_view import InvocationView
from .lifecycle import InvocationState
from .logs import capture, thing_log
from .progress import Progress
from .protocols import BelongsToInvocation
from .start_gate import StartGate

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from .context import InvocationContext
    from .invocation_limits import StartLimit
    from .lifecycle import Ending
    from .log_lines import LineMessages
    from .protocols import Host, Runnable


def _done() -> Future[None]:
    done: Future[None] = Future()
    done.set_result(None)
    return done


_COMMITTED = _done()
"""Stands for the commit of every run that has ended, a failed one excepted."""
_STARTED = threading.Lock()
"""Guards the decision to start of every run that has ended, which is made."""
_NO_DEPENDENCIES: dict[str, Any] = {}
"""Stands for the dependencies of every run that has ended; never changed."""


class _NotLaunched(threading.local):
    """Runs that are over without a thread, on the thread that was to launch them."""

    def __init__(self) -> None:
        self.runs: deque[Invocation] = deque()


_not_launched = _NotLaunched()


def _over_in_turn(invocation: Invocation) -> None:
    """Let a run be over, after those that are being so: each may launch the next, which fails too.

    Hundreds in line would be too deep a recursion.
    """
    invocations = _not_launched.runs
    invocations.append(invocation)
    if len(invocations) > 1:
        return
    try:
        while invocations:
            invocations[0]._over()
            invocations.popleft()
    finally:
        invocations.clear()


class Invocation(InvocationView, threading.Thread):
    """One run of an action, in a thread of its own; keeps its output, log and progress.

    Every property may be read from any thread at any time.
    """

    __slots__ = (
        "_asked",
        "_blobs",
        "_dependencies",
        "_limit",
        "_starting",
        "_subjects",
        "_turn",
        "commit",
        "default_stop_timeout",
    )

    def __init__(
        self,
        action: Runnable,
        thing: Host,
        input: BaseModel | None = None,
        dependencies: dict[str, Any] | None = None,
        default_stop_timeout: float = 5,
        log_len: int = 1000,
        id: UUID | None = None,
        cancel_hook: CancelEvent | None = None,
    ) -> None:
        """Prepare a run; `start()` begins it.

        `default_stop_timeout` is in seconds. `dependencies` are keyword arguments added to the
        call. The action and the Thing are held weakly.
        """
        # All runs of an action share one name, as text and in memory.
        name = sys.intern(f"{thing.name}.{action.name}")
        threading.Thread.__init__(self, name=name, daemon=True)
        InvocationView.__init__(self, action, thing, input, log_len, id, cancel_hook)
        self._dependencies = dict(dependencies or {})
        stop = weakref.WeakMethod(self.cancel)
        self._live_context().stop = lambda: (found := stop()) is not None and found()
        self.default_stop_timeout = default_stop_timeout
        self._starting = threading.Lock()  # guards the decision to start, once
        self._asked = False  # whether somebody has started it
        self._turn: StartGate | None = None
        self._limit: StartLimit = NoLimits()
        self.commit: Future[None] | None = None
        """Done when the journal has the run; user code starts after it."""
        self._blobs: Any = None
        # An action and a Thing that live only as long as the run must live that long.
        self._subjects: tuple[Any, Any] | None = None

    def observe(
        self,
        *,
        state: Callable[[InvocationState], None],
        progress: Callable[[Progress], None],
        log: LineMessages,
        result: Callable[[int, Any, bytes], None],
        blobs: Any = None,
    ) -> None:
        """Report to a manager, which never blocks, everything from now on; before the start."""
        self._blobs = blobs
        self._progress.show = progress
        self._log.news = log
        self._results.listener = result
        self._lifecycle.listen(state)

    def limit_by(self, limit: StartLimit) -> None:
        """Begin only when `admission` allows; before the start."""
        self._limit = limit

    def begin_after(self, commit: Future[None]) -> None:
        """Let user code start only once `commit` is done; before the start."""
        self.commit = commit

    def start(self) -> None:
        """Begin the run in its own thread, as soon as its group and the server's limits allow.

        Raises:
            ActionBusyError: the action's place is taken, and its policy is not to wait.
            TooBusyError: as many runs wait as the server takes.
            RuntimeError: it was started before, or no thread can be made.
        """
        with self._starting:
            if self._asked or self.ident is not None:
                raise RuntimeError("threads can only be started once")
            self._asked = True
            try:
                action, thing = self.action, self.thing
            except LabThingsError as error:
                self._end(failed_ending(error))
                raise
            # Before the turn: who cancels the run from then on lets go of both.
            self._subjects = (action, thing)
            self._turn = turn = StartGate(
                NoLimits() if action.stop else self._limit,
                group_lock_for(action, thing),
                owner=self.id,
                launch=self._launch,
            )
        try:
            turn.take(
                f"{self.action_path} (invocation {self.id})" if turn.has_place else "",
                action.concurrency,
                queued=self._lifecycle.queued,
                cancel=self.cancel,
            )
        except LabThingsError as error:
            self._end(failed_ending(error))
            self._over()
            raise
        failure = self.exception
        if failure is not None and self._has_no_thread():
            raise failure

    def _launch(self) -> None:
        """Start the thread: the run's turn has come; on the thread that made room for it."""
        if not self._lifecycle.starting():
            # It was cancelled while its turn came.
            _over_in_turn(self)
            return
        try:
            threading.Thread.start(self)
        except (RuntimeError, MemoryError) as error:
            # No thread could be made: the run must not stay pending for ever, nor keep what others
            # wait for. It is told by `start`, and not here: this may be another run's thread.
            self._end(failed_ending(error))
            _over_in_turn(self)

    def _has_no_thread(self) -> bool:
        return self.ident is None and self.status is InvocationStatus.ERROR

    def _over(self) -> None:
        """Give back what the run holds, once it has ended, and let go of what it needed."""
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.over()
        self._subjects = None
        commit = self.commit
        if commit is not None and commit.done() and commit.exception() is None:
            self.commit = _COMMITTED
        self._compact()

    def _live_context(self) -> InvocationContext:
        if self._context is None:
            raise LabThingsError(f"Invocation {self.id} has ended.")
        return self._context

    def is_alive(self) -> bool:
        """Whether the run was started and has not ended; a queued one is alive."""
        # A thread that is being started has an ident and is not alive yet.
        return threading.Thread.is_alive(self) or (self._asked and not self.state.finished)

    def join(self, timeout: float | None = None) -> None:
        """Wait until the run has ended, at most `timeout` seconds; a queued one is waited for."""
        if not self._asked and self.ident is None:
            raise RuntimeError("cannot join thread before it is started")
        if threading.current_thread() is self:
            raise RuntimeError("cannot join current thread")
        deadline = None if timeout is None else time.monotonic() + timeout
        if self.wait(timeout) and threading.Thread.is_alive(self):
            threading.Thread.join(
                self, None if deadline is None else max(deadline - time.monotonic(), 0)
            )

    def cancel(self) -> bool:
        """Ask the code to stop; False if the run had already ended. Twice is harmless."""
        before = self._lifecycle.ask_cancel(cancelled_ending())
        if before.finished:
            return False
        if self.state.finished:
            self._over()  # it had not begun, so it never will
        elif not before.cancel_requested:
            self._cancel_event.set()
            deadlines().add(time.monotonic() + self.default_stop_timeout, self._check_overdue)
        return True

    def _check_overdue(self) -> None:
        if self._lifecycle.note_overdue():
            self._log_line(
                logging.WARNING,
                "%s was cancelled %g s ago and has not stopped. Threads are never killed: "
                "look at the hardware.",
                self.action_path,
                self.default_stop_timeout,
            )

    def _log_line(self, level: int, message: str, *arguments: object) -> None:
        """Log on the Thing's logger, as a part of this run."""
        extra = {INVOCATION_MEMBER: self._context}
        thing_log(self.thing_name).log(level, message, *arguments, extra=extra)

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the run has ended; False if `timeout` seconds passed first."""
        return self._lifecycle.wait(timeout)

    def run(self) -> None:
        """Call the action's function with the fields of `input` and with `dependencies`."""
        try:
            capture()
            context = self._live_context()
            for dependency in self._dependencies.values():
                if isinstance(dependency, BelongsToInvocation):
                    dependency.enter_invocation(context)
            with entered(context):
                if self._committed():
                    self._run_guarded(context)
        except BaseException as error:  # noqa: BLE001 - whatever happens, the run ends
            self._end(failed_ending(error))
        finally:
            self._over()
            self._dependencies = _NO_DEPENDENCIES
            self._starting = _STARTED

    def _run_guarded(self, context: InvocationContext) -> None:
        """Run under the server's global lock, if there is one; without it, nothing begins."""
        try:
            with self.action.guard(self.thing):
                if self._lifecycle.begin():
                    self._progress.begin()
                    ending = self._perform(context)
                    self._progress.finish()
                    self._end(ending)
        except GlobalLockBusyError as busy:
            self._log_line(busy.log_level, "%s did not start: %s", self.action_path, busy)
            self._end(failed_ending(busy))

    def _perform(self, context: InvocationContext) -> Ending:
        performance = ActionCall(self.action, self.thing, context, self._results, self._blobs)
        return performance.ending(arguments(self.input) | self._dependencies)

    def _committed(self) -> bool:
        """Wait until the journal has the run; an emergency stop does not depend on that."""
        if self.commit is None:
            return True
        if self.action.stop:
            self.commit.add_done_callback(self._note_commit)
            return True
        try:
            self.commit.result()
        except Exception as error:  # noqa: BLE001 - any failure of the journal
            self._end(failed_ending(error))
            return False
        return True

    def _note_commit(self, commit: Future[None]) -> None:
        error = commit.exception()
        if error is not None:
            self._log_line(logging.ERROR, "%s is not in the journal: %s", self.name, error)

    def _end(self, ending: Ending) -> None:
        self._lifecycle.finish(ending)
