"""The life of an invocation: the only place where its record changes.

::

    pending ─→ running ─→ completed | error | cancelled
       └────→ cancelled (before it began) | error (rejected, or the server stopped first)
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple, Protocol

from labthings_fastapi.journal.part import InvocationPart
from labthings_fastapi.journal.record import OUTPUT_LIMIT, InvocationRecord, stored_output
from labthings_fastapi.messages.message import InvocationStatus
from labthings_fastapi.outputs.blob import Blob
from labthings_fastapi.outputs.blob_data import LocalBlobData
from labthings_fastapi.outputs.kept import KeptOutputs
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.thing_description.paths import name_of

from .cancellation import CancelEvent
from .context import InvocationContext, entered
from .deadlines import deadlines
from .invocation_log import InvocationLog, Line
from .progress import Progress, ProgressMeter
from .publisher import InvocationPublisher
from .results import InvocationFiles, InvocationResults
from .saver import Saved
from .start_gate import StartGate

LOGGER = own_logger("actions")
NOTE_SECONDS = 1.0  # how long a stuck disk may keep an action from another Thing
_PENDING, _RUNNING = InvocationStatus.PENDING, InvocationStatus.RUNNING


class Ending(NamedTuple):
    """How an invocation ended."""

    status: InvocationStatus
    output: Any = None
    output_json: bytes | None = None
    problem: dict[str, Any] | None = None
    exception: BaseException | None = None
    partial: bool = False
    """Whether the output has the values yielded so far, because the code did not complete."""


class Owner(Protocol):
    """The `Invocation` of a `LiveInvocation`."""

    def cancel(self) -> bool: ...
    def retire(self, live: LiveInvocation) -> None: ...


class LiveInvocation(InvocationContext):
    """One invocation until it has ended; any thread may use it.

    One lock guards all of it; `record`, which is replaced as a whole, may be read without it. The
    log, the progress, the results and the files are made on first use: most invocations have none.
    """

    # What the journal has of them, for the saver; of the class, because most never need it.
    saved = Saved()
    has_unsaved = False
    saving: Future[None] | None = None
    blob_bytes = 0
    """Of blobs in memory."""

    def __init__(
        self,
        record: InvocationRecord,
        cancel: CancelEvent | None,
        dependencies: dict[str, Any],
        log_length: int,
        owner: Owner,
    ) -> None:
        super().__init__(record.id, cancel)
        self.record = record
        self.shown = record  # for clients: the final record only once the journal has it
        self.output: Any = None
        self.exception: BaseException | None = None
        self.dependencies = dependencies
        self.publisher: InvocationPublisher | None = None
        self.deliver: Callable[[], None] = lambda: None  # called without the lock
        self.commit: Future[None] | None = None  # by the journal; the code starts after it
        self.refused: Exception | None = None  # why it could not begin at once
        self.starter: int | None = None  # the thread that is in `Invocation.start`
        self.guard: AbstractContextManager[None] | None = None  # holds the global lock for it
        self._stop_sent = False  # whether `request_stop` has told the code
        self.thread_over = False  # the code has stopped, or will never start
        self.gate: StartGate | None = None
        # The action and the Thing, which must live as long as the code runs.
        self.subjects: tuple[Any, Any] | None = None
        # The action's `timeout` (s), if the server has cancelled the code because of it.
        self.timed_out_after: float | None = None
        self.started_at = 0.0  # when the code began, by the monotonic clock
        self._owner = owner
        self._on_end: tuple[Callable[[], None], ...] = ()
        self._on_shown_end: tuple[Callable[[], None], ...] = ()
        self._log_length = log_length
        self._log: InvocationLog | None = None
        self._progress: ProgressMeter | None = None
        self._results: InvocationResults | None = None
        self._files: InvocationFiles | None = None

    @property
    def label(self) -> str:
        return f"{self.record.action_path} (invocation {self.id})"

    @property
    def is_overdue(self) -> bool:
        return self.record.overdue

    @property
    def log(self) -> InvocationLog:
        if self._log is None:
            with self.lock:
                if self._log is None:
                    report = self._report_line
                    self._log = InvocationLog(self._log_length, self.lock, report, self.deliver)
        return self._log

    @property
    def progress(self) -> ProgressMeter:
        if self._progress is None:
            with self.lock:
                if self._progress is None:
                    started = self.started_at or time.monotonic()
                    report = partial(self._report, "progress")
                    self._progress = ProgressMeter(report, self.deliver, self.lock, started)
        return self._progress

    @property
    def results(self) -> InvocationResults:
        if self._results is None:
            with self.lock:
                if self._results is None:
                    report = partial(self._report, "result")
                    self._results = InvocationResults(self.lock, report, self.deliver)
        return self._results

    @property
    def files(self) -> InvocationFiles:
        if self._files is None:
            with self.lock:
                if self._files is None:
                    outputs = self.outputs()
                    make = None if outputs is None else partial(outputs.files_folder, self.id)
                    self._files = InvocationFiles(make)
        return self._files

    def outputs(self) -> KeptOutputs | None:
        """Return where files and large outputs stay; None if they go with their invocation."""
        return None if self.publisher is None else self.publisher.outputs()

    def _report_line(self, line: Line) -> None:
        publisher = self.publisher  # as below; a line is to cost little
        if publisher is not None and not self.thread_over:
            publisher.line(self.record, line)
            if not self.has_unsaved and self.record.is_open:
                self.has_unsaved = True
                publisher.saver.add(self)

    def _report(self, what: str, *content: Any) -> None:
        publisher = self.publisher
        if publisher is not None and not self.thread_over:
            getattr(publisher, what)(self.record, *content)
            if not self.has_unsaved and self.record.is_open:
                self.has_unsaved = True
                publisher.saver.add(self)

    def request_cancel(self) -> None:
        self._owner.cancel()

    def parts(self) -> tuple[Any, Any, Any]:
        return self._log, self._results, self._files

    def latest_progress(self) -> Progress | None:
        return self._progress.latest if self._progress is not None else None

    def progress_detail(self) -> dict[str, Any] | None:
        latest = self.latest_progress()
        return latest.detail() if latest is not None else None

    def enter_thing(self, thing: Any) -> None:
        """Note it in the journal too, before its code runs: a crash may leave it moving."""
        super().enter_thing(thing)
        record, name = self.record, name_of(thing)
        if name in record.things or self.publisher is None:
            return
        with self.lock:
            things = (*self.record.other_things, name)
            if name in self.record.things or not self.record.is_open:
                return
            self.record = self.shown = self.record._replace(other_things=things)
            noted = self.publisher.part(InvocationPart(record.id, things=things))
        if hasattr(thing, "safe_state") and not (self.subjects and self.subjects[0].stop):
            wait([noted], NOTE_SECONDS)

    def report_to(self, publisher: InvocationPublisher) -> None:
        """Report every change from now on, the present record first."""
        with self.lock:
            self.publisher, self.deliver = publisher, publisher.deliver
            self.record = self.shown = record = self.record._replace(boot_id=publisher.boot_id)
            if self.commit is None:
                self.commit = publisher.record(record)
            publisher.status(record)
        self.deliver()

    def change(self, only_if: str, *, tell: bool = True, **changes: Any) -> bool:
        """Change the record if its status or phase is `only_if`; return whether it was."""
        with self.lock:
            record = self.record
            if only_if not in (record.phase, record.status.value) or not record.is_open:
                return False
            self.record = self.shown = changed = record._replace(**changes)
            publisher = self.publisher
            if publisher is not None:
                if changed.status is not record.status:
                    publisher.record(changed)
                if tell:
                    publisher.status(changed)
        if tell:
            self.deliver()
        return True

    def note_pin(self, pinned: bool) -> None:
        """Let clients see whether it is pinned."""
        with self.lock:
            self.record = self.record._replace(pinned=pinned)
            self.shown = self.shown._replace(pinned=pinned)

    def link_file(self, rel: str, filename: str) -> None:
        """Let clients see a link with the relation `rel` to one of its files."""
        with self.lock:
            links = {**dict(self.record.file_links), rel: filename}
            self.record = self.record._replace(file_links=tuple(links.items()))
            self.shown = self.shown._replace(file_links=tuple(links.items()))

    def begin(self) -> bool:
        """Go from pending to running; return False if it was cancelled before."""
        self.started_at = time.monotonic()
        now = datetime.now(UTC)
        return self.change("pending", status=_RUNNING, phase="running", time_started=now)

    def limit_time(self, seconds: float) -> None:
        """Cancel the code after `seconds`, unless a cancel was requested before."""
        known = weakref.ref(self)  # otherwise one that ends sooner would be kept until then

        def time_out() -> None:
            live = known()
            # The clean-up after a cancel is not interrupted.
            if live is not None and live.record.is_open and not live.record.cancel_requested:
                live.timed_out_after = seconds
                live.request_cancel()

        deadlines().add(time.monotonic() + seconds, time_out)

    def request_stop(self) -> bool:
        """Deliver a cancel request to the code; return False if one was made before."""
        if self.record.cancel_requested or not self.change(
            "running", phase="cancelling", cancel_requested=True
        ):
            return False
        self.cancel.set()
        self._stop_sent = True
        return True

    def repeat_stop(self) -> None:
        """Deliver another request, if the first was delivered: it may stop a clean-up."""
        if self._stop_sent and self.record.is_open and not self.cancel.is_set():
            self.cancel.set()

    def finish(self, ending: Ending, *, only_pending: bool = False) -> bool:
        """End it once; return False if it had ended or, with `only_pending`, had begun."""
        text = ending.output_json
        unusual = text is not None and (len(text) > OUTPUT_LIMIT or isinstance(ending.output, Blob))
        reference = self._reference(ending) if unusual else None
        with self.lock:
            record = self.record
            if not record.is_open or (only_pending and record.status is not _PENDING):
                return False
            if self._progress is not None:
                self._progress.finish()
            self.output, self.exception = ending.output, ending.exception
            self.record = record = record._replace(
                status=ending.status,
                phase="finished",
                time_ended=datetime.now(UTC),
                error=ending.problem,
                output=ending.output_json,
                progress=self.progress_detail(),
                log_dropped=0 if self._log is None else self._log.dropped,
                results_dropped=0 if self._results is None else self._results.dropped,
                partial=ending.partial,
                cancel_requested=record.cancel_requested or only_pending,
                queue_position=None,
                waits_for=None,
                overdue=False,
            )
            waiters, self._on_end = self._on_end, ()
            publisher = self.publisher
            commit = None if publisher is None else publisher.record(self._for_journal(reference))
        if publisher is not None:
            publisher.ended(record)
            if self._files is not None and (outputs := publisher.outputs()) is not None:
                outputs.ended(self.id)
        _call_all(waiters)
        if commit is None:
            self._show_end()
        else:
            commit.add_done_callback(self._show_end)
        return True

    def _reference(self, ending: Ending) -> dict[str, Any] | None:
        """Keep an output that is too large for the journal or binary, and say where; not locked."""
        output, text, outputs = ending.output, ending.output_json or b"", self.outputs()
        if isinstance(output, Blob) and isinstance(output.data, LocalBlobData):
            blob: dict[str, Any] = {"size": None, "media_type": output.media_type}
            with suppress(OSError):
                blob["size"] = output.size
            id = output.data.id
            is_kept = outputs is not None and outputs.find_blob(id) is not None
            return {**blob, "blob": id.hex} if is_kept else blob
        _, reference = stored_output(text)
        if reference is not None and outputs is not None:
            try:
                outputs.keep_output(self.id, text)
            except OSError as error:
                LOGGER.warning("The output of run %s could not be kept: %s", self.id, error)
            else:
                reference["kept"] = True
        return reference

    def _for_journal(self, reference: dict[str, Any] | None) -> InvocationRecord:
        record = self.record
        if reference is not None:
            # The link of a blob stays true if the blob is kept.
            output = record.output if "blob" in reference else None
            record = record._replace(output=output, output_reference=reference)
        return record if self._log is None else record._replace(log=self._log.members())

    def _show_end(self, commit: Future[None] | None = None) -> None:
        """Let clients see the final record, once the journal has it or has refused it."""
        journaled = commit is None or (not commit.cancelled() and commit.exception() is None)
        with self.lock:
            record = self.record if journaled else self.record._replace(journaled=False)
            self.record = self.shown = record
            waiters, self._on_shown_end = self._on_shown_end, ()
            if self.publisher is not None:
                self.publisher.status(record)
            self._retire_if_over()
        self.deliver()
        _call_all(waiters)

    def stop_holding(self) -> tuple[StartGate | None, AbstractContextManager[None] | None]:
        """Forget what the code needed; return what to release without the lock. Idempotent."""
        with self.lock:
            gate, self.gate = self.gate, None
            guard, self.guard = self.guard, None
            self.thread_over = True
            self.subjects = None
            self.dependencies = {}
            self._retire_if_over()
        return gate, guard

    def _retire_if_over(self) -> None:
        if self.thread_over and not self.shown.is_open:
            # A thread that outlives the invocation may add to these, but reports no more.
            for part in (self._log, self._results, self._progress):
                if part is not None:
                    part.detach()
            self._owner.retire(self)

    def wait(self, timeout: float | None = None) -> bool:
        ended = threading.Event()
        with self.lock:
            if not self.record.is_open:
                return True
            self._on_end = (*self._on_end, ended.set)
        try:
            return ended.wait(timeout)
        finally:
            with self.lock:
                self._on_end = tuple(each for each in self._on_end if each != ended.set)

    def on_end(self, waiter: Callable[[], None]) -> Callable[[], None]:
        with self.lock:
            waits = self.shown.is_open
            if waits:
                self._on_shown_end = (*self._on_shown_end, waiter)
        if not waits:
            waiter()

        def forget() -> None:
            with self.lock:
                self._on_shown_end = tuple(e for e in self._on_shown_end if e is not waiter)

        return forget


def _call_all(waiters: tuple[Callable[[], None], ...]) -> None:
    for waiter in waiters:
        try:
            waiter()
        except Exception:
            LOGGER.exception("Code that waited for the end of an invocation could not be called.")


def release(live: LiveInvocation) -> None:
    """Release the locks and the place among the running ones. Idempotent."""
    gate, guard = live.stop_holding()
    if guard is not None and type(guard) is not nullcontext:
        release_guard(live, guard)
    if gate is not None:
        gate.over()


def release_guard(live: LiveInvocation, guard: AbstractContextManager[None]) -> None:
    """Release the global lock, which belongs to the invocation and not to this thread."""
    with entered(live):
        guard.__exit__(None, None, None)


_releases = threading.local()


def release_in_turn(live: LiveInvocation) -> None:
    # Each may launch the next in line, which fails as well: a recursion would become too deep.
    waiting: deque[LiveInvocation] = _releases.__dict__.setdefault("waiting", deque())
    waiting.append(live)
    if len(waiting) > 1:
        return
    try:
        while waiting:
            release(waiting[0])
            waiting.popleft()
    finally:
        waiting.clear()
