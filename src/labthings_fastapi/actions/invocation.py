"""One run of an action."""

from __future__ import annotations

import logging
import sys
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from labthings_fastapi.exceptions import GlobalLockBusyError, LabThingsError
from labthings_fastapi.journal.record import InvocationRecord
from labthings_fastapi.messages.message import InvocationStatus
from labthings_fastapi.schemas.signature import arguments
from labthings_fastapi.thing_description.paths import name_of, path_of

from .action_call import ActionCall, cancelled_ending, failed_ending
from .as_model import as_model
from .cancellation import CancelEvent
from .context import current_requester, entered
from .deadlines import deadlines
from .invocation_limits import NoLimits, StartLimit
from .invocation_model import (
    NO_INPUT,
    InvocationModel,
    input_json,
    new_id,
)
from .live_invocation import LiveInvocation, release, release_guard, release_in_turn
from .logs import capture_again, thing_log
from .protocols import BelongsToInvocation, HasRunnable, Host, Runnable, UrlSource, runnable
from .publisher import InvocationPublisher
from .results import InvocationFiles, size_in_memory
from .start_gate import StartGate, locks_needed, loop_check


class Invocation(threading.Thread):
    """One run of an action, in a thread of its own. Any thread may use it at any time."""

    # While it may change, `_live` holds its record; after that `_record` is final.

    def __init__(
        self,
        action: Runnable | HasRunnable,
        thing: Host,
        input: BaseModel | None = None,
        dependencies: dict[str, Any] | None = None,
        default_stop_timeout: float = 5,
        log_len: int = 1000,
        id: UUID | None = None,
        cancel_hook: CancelEvent | None = None,
    ) -> None:
        """Prepare an invocation; `start()` begins it.

        The action and the Thing are held weakly: `action_ref()` and `thing_ref()` are None once
        they no longer exist.

        `dependencies` are keyword arguments added to the call. A cancelled invocation that has not
        stopped after `default_stop_timeout` seconds is overdue. `log_len` log records are kept.
        """
        action = runnable(action)
        name = sys.intern(f"{name_of(thing)}.{action.name}")  # one in memory for all
        threading.Thread.__init__(self, name=name, daemon=True)
        self.action_ref = weakref.ref(action)
        self.thing_ref = weakref.ref(thing)
        self.default_stop_timeout = default_stop_timeout
        self.response_timeout = action.response_timeout
        self.retention_time = action.retention_time
        self.input: BaseModel = NO_INPUT if input is None else input
        self._output: Any = None
        self._exception: BaseException | None = None
        self._parts: tuple[Any, Any, Any] = (None, None, None)
        requester = current_requester.get()
        id = id or new_id()
        self._record = InvocationRecord(
            id=id,
            thing=name_of(thing),
            action=action.name,
            status=InvocationStatus.PENDING,
            requested_by=None if requester is None else requester.name,
            input=input_json(self.input, id),
            time_requested=datetime.now(UTC),
            address=None if requester is None else requester.address,
            action_path=sys.intern(f"{path_of(thing)}{action.name}"),
            phase="queued",
        )
        if requester is not None:
            requester.made_invocation = True
        self.takes_global_lock = True  # if there is one
        self._asked = False  # whether `start` was called
        self._limit: StartLimit = NoLimits()
        self._open_commit: Future[None] | None = None
        self._live: LiveInvocation | None = LiveInvocation(
            self._record, cancel_hook, dict(dependencies or {}), log_len, self
        )

    def retire(self, live: LiveInvocation) -> None:
        """Keep the final record and what the code left; for `live`, once, under its lock."""
        self._record = live.record
        self._output, self._exception = live.output, live.exception
        self._parts = live.parts()
        commit = live.commit
        if commit is not None and not (commit.done() and commit.exception() is None):
            self._open_commit = commit
        self._live = None
        live.commit = None  # its callbacks refer to `live`, which must go with its invocation

    @property
    def id(self) -> UUID:
        """The id under which clients know this invocation."""
        return self._record.id

    def note_pin(self, *, pinned: bool) -> None:
        """Let clients see whether it is kept beyond every age and limit."""
        if (live := self._live) is not None:
            live.note_pin(pinned)
        self._record = self._record._replace(pinned=pinned)

    def size(self, final: InvocationRecord) -> int:
        """Return about how many bytes it keeps in memory, once it has ended with this record."""
        log, results, _ = self._parts if (live := self._live) is None else live.parts()
        return size_in_memory(final, log, results, 0 if live is None else live.blob_bytes)

    @property
    def record(self) -> InvocationRecord:
        """Everything about it at this moment, except progress and log: see `snapshot`."""
        return self._record if (live := self._live) is None else live.record

    @property
    def status(self) -> InvocationStatus:
        """The status: pending, running, completed, error or cancelled."""
        return self.record.status

    @property
    def phase(self) -> str:
        """More than the status says: queued, starting, running, cancelling, finished."""
        return self.record.phase

    @property
    def output(self) -> Any:
        """The return value of the action; None until it has finished."""
        live = self._live
        return self._output if live is None else live.output

    @property
    def exception(self) -> BaseException | None:
        """The exception that the action raised, without its traceback; None if it raised none."""
        live = self._live
        return self._exception if live is None else live.exception

    def _part(self, index: int) -> Any:
        live = self._live
        return self._parts[index] if live is None else live.parts()[index]

    @property
    def log(self) -> list[logging.LogRecord]:
        """The newest `log_len` records logged in this invocation."""
        log = self._part(0)
        return [] if log is None else log.records

    @property
    def results(self) -> list[Any]:
        """The values that a generator action has yielded so far, the newest 10,000."""
        results = self._part(1)
        return [] if results is None else results.values()

    @property
    def files(self) -> InvocationFiles:
        """The files of this invocation."""
        live = self._live
        if live is not None:
            return live.files
        if self._parts[2] is None:
            self._parts = (*self._parts[:2], InvocationFiles())
        files: InvocationFiles = self._parts[2]
        return files

    @property
    def dependencies(self) -> dict[str, Any]:
        """Keyword arguments that were added to the call; none once it has ended."""
        return {} if (live := self._live) is None else live.dependencies

    @property
    def cancel_hook(self) -> CancelEvent | None:
        """The event of its cancel requests; None once it has ended."""
        return None if (live := self._live) is None else live.cancel

    @property
    def expiry_time(self) -> datetime | None:
        """When it may be forgotten; None until it has ended."""
        ended = self.record.time_ended
        return None if ended is None else ended + timedelta(seconds=self.retention_time)

    @property
    def error_model(self) -> dict[str, Any] | None:
        """The problem (RFC 9457) that ended it, as clients see it; None without one."""
        return self.record.error

    @property
    def progress(self) -> float | None:
        """Percent done, 0 to 100; None when unknown."""
        return self.snapshot().percent

    @property
    def progress_detail(self) -> dict[str, Any] | None:
        """The newest progress report in full; None when there was none."""
        return self.snapshot().progress

    def snapshot(self, *, log: bool = False) -> InvocationRecord:
        """Return what clients may see now: a final status only once the journal has it."""
        live = self._live
        record, kept = (self._record, self._parts[0]) if live is None else (live.shown, live._log)
        if live is not None and record.is_open:
            if live._progress is not None:
                record = record._replace(progress=live.progress_detail())
            if live._results is not None:
                record = record._replace(results_dropped=live._results.dropped)
        return record._replace(log=kept.members()) if log and kept is not None else record

    @property
    def action(self) -> Runnable:
        """The action that runs; an error once it no longer exists."""
        action = self.action_ref()
        if action is None:
            raise self._gone("action")
        return action

    @property
    def thing(self) -> Host:
        """The Thing on which it runs; an error once it no longer exists."""
        thing = self.thing_ref()
        if thing is None:
            raise self._gone("Thing")
        return thing

    def _gone(self, kind: str) -> LabThingsError:
        path = self._record.action_path
        return LabThingsError(f"The {kind} of invocation {self.id} ({path}) no longer exists.")

    def belongs_to(self, action: Runnable | None = None, thing: Host | None = None) -> bool:
        """Return whether it is of that action and on that Thing; None stands for any."""
        return (action is None or self.action_ref() is action) and (
            thing is None or self.thing_ref() is thing
        )

    def response(self, request: UrlSource | None = None) -> InvocationModel:
        """Return this invocation as an instance of its action's own invocation model."""
        return as_model(self, request)

    def report_to(self, publisher: InvocationPublisher, limit: StartLimit) -> None:
        """Report every change from now on, and start only when `limit` allows; for a manager."""
        self._limit = limit
        live = self._live
        if live is None:  # it has run already
            publisher.ended(self._record)
        else:
            live.report_to(publisher)

    def begin_after(self, commit: Future[None]) -> None:
        """Run no code of the action before `commit` is done."""
        if self._live is not None:
            self._live.commit = commit

    @property
    def commit(self) -> Future[None] | None:
        """Done when the journal has this invocation; None if nothing is to be waited for."""
        own = self._open_commit
        return own if (live := self._live) is None else live.commit or own

    def start(self) -> None:
        """Begin in a thread of its own, as soon as the journal, its group and the limits allow.

        Raises:
            ActionBusyError: the group lock is taken, and the action's policy is not to wait.
            GlobalLockBusyError: it would begin now, and another task holds the global lock.
            TooBusyError: as many invocations wait as the server takes.
            RuntimeError: it was started before, or no thread can be made.
        """
        live = self._live
        with nullcontext() if live is None else live.lock:
            if self._asked or self.ident is not None:
                raise RuntimeError("threads can only be started once")
            self._asked = True
        if live is None:
            return  # it was cancelled
        with live.lock:
            action, thing = live.subjects = self.action_ref(), self.thing_ref()
            if action is None or thing is None:
                gone = self._gone("action" if action is None else "Thing")
                live.finish(failed_ending(gone))
                raise gone
            locks = locks_needed(action, thing)
            limit = NoLimits() if action.stop else self._limit
            id = self._record.id
            live.gate = gate = StartGate(limit, locks, owner=id, launch=self._launch)
            live.starter = threading.get_ident()
        name = live.label if locks else ""
        try:
            gate.take(
                name,
                queued=self._queued,
                cancel=self.cancel,
                invocation=live,
                needs_this_loop=loop_check(action, thing) if locks else bool,
            )
        except LabThingsError as error:
            live.finish(failed_ending(error))
            release(live)
            raise
        finally:
            live.starter = None
        if live.refused is not None:
            raise live.refused

    def _queued(self, position: int, holder: str) -> None:
        live = self._live
        told = None if live is None else (live.record.queue_position, live.record.waits_for)
        if live is not None and told != (position, holder):
            live.change("queued", queue_position=position, waits_for=holder)

    def _launch(self) -> None:
        # On the thread that made room; the journal's thread starts ours once it has committed.
        live = self._live
        if live is None:
            return
        waited = live.record.queue_position is not None  # else it runs in the next millisecond
        if not live.change(
            "queued", tell=waited, phase="starting", queue_position=None, waits_for=None
        ):
            release_in_turn(live)  # it was cancelled
            return
        begins_now = live.starter == threading.get_ident()
        if begins_now and self.takes_global_lock and not self._take_global_lock(live):
            return
        commit = live.commit
        if commit is None:
            self._start_thread(live)
        elif live.subjects is not None and live.subjects[0].stop:
            commit.add_done_callback(self._warn_if_not_committed)
            self._start_thread(live)
        else:
            commit.add_done_callback(partial(self._start_committed, live))

    def _take_global_lock(self, live: LiveInvocation) -> bool:
        """Take the server's global lock for an invocation that begins now; False: it is refused.

        One that has waited in line takes it when its code begins.
        """
        action, thing = live.subjects or (self.action, self.thing)
        guard = action.guard(thing)
        if action.stop:
            return True  # its code passes the lock
        try:
            if type(guard) is not nullcontext:
                with entered(live):
                    guard.__enter__()
        except GlobalLockBusyError as busy:
            live.refused = busy
            self._refuse(live, busy)
            release_in_turn(live)
            return False
        with live.lock:
            if not live.thread_over:
                live.guard = guard
                return True
        release_guard(live, guard)  # it was cancelled
        return False

    def _refuse(self, live: LiveInvocation, busy: GlobalLockBusyError) -> None:
        path = self._record.action_path
        self._log_line(busy.log_level, "%s did not start: %s", path, busy)
        live.finish(failed_ending(busy))

    def _start_committed(self, live: LiveInvocation, commit: Future[None]) -> None:
        if (error := commit.exception()) is not None:
            live.finish(failed_ending(error))
            release_in_turn(live)
        else:
            self._start_thread(live)

    def _start_thread(self, live: LiveInvocation) -> None:
        if not live.record.is_open:
            return  # it was cancelled
        try:
            threading.Thread.start(self)
        except (RuntimeError, MemoryError) as error:
            # It must not stay pending for ever, nor keep what others wait for.
            live.refused = error
            live.finish(failed_ending(error))
            release_in_turn(live)

    def _warn_if_not_committed(self, commit: Future[None]) -> None:
        if (error := commit.exception()) is not None:
            self._log_line(logging.ERROR, "%s is not in the journal: %s", self.name, error)

    def run(self) -> None:
        """Call the action's function with the fields of `input` and with `dependencies`."""
        live = self._live
        if live is None:
            return
        try:
            capture_again()
            for dependency in live.dependencies.values():
                if isinstance(dependency, BelongsToInvocation):
                    dependency.enter_invocation(live)
            with entered(live):
                self._run_committed(live)
        except BaseException as error:  # noqa: BLE001 - whatever happens, the invocation ends
            live.finish(failed_ending(error))
        finally:
            release(live)

    def _run_committed(self, live: LiveInvocation) -> None:
        """Run under the server's global lock, if there is one; without it, nothing begins."""
        subjects = live.subjects
        action, thing = (self.action, self.thing) if subjects is None else subjects
        if live.commit is not None and not action.stop:
            live.commit.result()
        try:
            with action.guard(thing) if live.guard is None else nullcontext():
                if live.begin():
                    if action.timeout is not None:
                        live.limit_time(action.timeout)
                    call = ActionCall(action, thing, live)
                    call.keep_blobs_of(self.input)
                    live.finish(call.ending(arguments(self.input) | live.dependencies))
        except GlobalLockBusyError as busy:
            self._refuse(live, busy)

    def cancel(self) -> bool:
        """Ask the code to stop; return False if the invocation has ended.

        One request is delivered once; the next one after that is delivered again, so that it also
        stops a clean-up that takes too long.
        """
        live = self._live
        if live is None:
            return False
        pending = live.record.status is InvocationStatus.PENDING
        if pending and live.finish(cancelled_ending(), only_pending=True):
            release(live)  # it will never begin
            return True
        requested = live.request_stop()
        if requested:
            deadlines().add(time.monotonic() + self.default_stop_timeout, self._check_overdue)
        else:
            live.repeat_stop()
        return requested or live.record.is_open

    def _check_overdue(self) -> None:
        if (live := self._live) is not None and live.change("cancelling", overdue=True):
            path, seconds = self._record.action_path, self.default_stop_timeout
            text = "%s was cancelled %g s ago and has not stopped. Threads are never killed: %s"
            self._log_line(logging.WARNING, text, path, seconds, "look at the hardware.")

    def _log_line(self, level: int, message: str, *arguments: object) -> None:
        with nullcontext() if (live := self._live) is None else entered(live):
            thing_log(self._record.thing).log(level, message, *arguments)

    def is_alive(self) -> bool:
        """Return whether it was started and has not ended; a queued one is alive."""
        # A thread that is being started has an ident and is not alive yet.
        waits = (live := self._live) is not None and self._asked and live.record.is_open
        return waits or threading.Thread.is_alive(self)

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has ended, at most `timeout` seconds; also for a queued one."""
        if not self._asked and self.ident is None:
            raise RuntimeError("cannot join thread before it is started")
        if threading.current_thread() is self:
            raise RuntimeError("cannot join current thread")
        began = time.monotonic()
        if self.wait(timeout) and threading.Thread.is_alive(self):
            left = None if timeout is None else max(began + timeout - time.monotonic(), 0)
            threading.Thread.join(self, left)

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the invocation has ended; return False after `timeout` seconds."""
        return (live := self._live) is None or live.wait(timeout)

    def on_end(self, waiter: Callable[[], None]) -> Callable[[], None]:
        """Call `waiter` once clients may see the end; return a function that removes it."""
        if (live := self._live) is not None:
            return live.on_end(waiter)
        waiter()
        return lambda: None
