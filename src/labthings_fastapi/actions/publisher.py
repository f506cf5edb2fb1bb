"""Tells the journal and the subscribers what happens in one run."""

from __future__ import annotations

import weakref
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from labthings_fastapi.messages.message import Message

from .rendering import journal_record
from .run_messages import LogMessages, StatusMessages

if TYPE_CHECKING:
    from collections.abc import Callable

    from labthings_fastapi.journal.journal import Journal
    from labthings_fastapi.messages.broker import Broker
    from labthings_fastapi.messages.message import InvocationStatus, MessageKind

    from .invocation import Invocation
    from .lifecycle import RunState
    from .progress import Progress
    from .rendering import InvocationUrls


class InvocationPublisher:
    """Hears all that happens in one run, in order, on the run's own threads; never blocks."""

    __slots__ = ("_broker", "_journal", "_on_end", "_recorded", "_run", "_status")

    def __init__(
        self,
        run: Invocation,
        broker: Broker,
        journal: Callable[[], Journal],
        place: InvocationUrls,
        on_end: Callable[[Invocation, RunState], None],
    ) -> None:
        """Report on `run`, found at `place`; `on_end` is called once with its final state.

        `journal` gives the journal that is in use: a run may outlive the one it began with.
        """
        self._run = weakref.ref(run)
        self._broker = broker
        self._journal = journal
        self._status = StatusMessages(run, broker, place)
        self._on_end = on_end
        self._recorded: InvocationStatus | None = None

    def attach(self, blobs: Any) -> None:
        """Begin to listen; the run's present state is reported at once."""
        run = self._run()
        if run is not None:
            run.observe(
                state=self.state,
                progress=self.progress,
                log=LogMessages(run, self._broker),
                result=self.result,
                blobs=blobs,
            )

    def state(self, state: RunState) -> None:
        """The run changed its state."""
        run = self._run()
        if run is None:
            return
        if not state.finished:
            # A phase, a place in the line and a request to stop are news, but in no record.
            if state.status is not self._recorded:
                commit = self._record(run, state)
                if self._recorded is None:
                    run.begin_after(commit)
                self._recorded = state.status
            self._tell(run, state)
            return
        commit = self._record(run, state)
        self._on_end(run, state)
        # Clients learn of the end once it is recorded; the run is held until then.
        commit.add_done_callback(lambda done: self._tell(run, state, done))

    def _tell(self, run: Invocation, state: RunState, commit: Future[None] | None = None) -> None:
        journaled = commit is None or (not commit.cancelled() and commit.exception() is None)
        run.committed.tell(state, journaled=journaled)
        self._status.publish(state, journaled=journaled)

    def _record(self, run: Invocation, state: RunState) -> Future[None]:
        try:
            return self._journal().put(journal_record(run, state, self._broker.boot_id))
        except Exception as error:  # noqa: BLE001 - it counts as a journal that cannot write
            failed: Future[None] = Future()
            failed.set_exception(error)
            return failed

    def progress(self, progress: Progress) -> None:
        """The run reported how far it is."""
        run = self._run()
        if run is not None:
            payload = {"progress": progress.percent, "progressDetail": progress.detail()}
            self._publish(run, "progress", to_json(payload, inf_nan_mode="strings"))

    def result(self, number: int, value: Any, json: bytes) -> None:
        """A generator yielded a value."""
        run = self._run()
        if run is not None:
            payload = b'{"number":%d,"value":%b}' % (number, json)
            self._publish(run, "result", payload, value)

    def _publish(
        self,
        run: Invocation,
        kind: MessageKind,
        payload: bytes,
        value: Any = None,
    ) -> None:
        self._broker.publish(
            Message(
                kind=kind,
                thing=run.thing_name,
                affordance=run.action_name,
                payload=payload,
                value=value,
                invocation=run.id,
            )
        )
