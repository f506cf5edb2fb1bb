"""Tells the journal and the subscribers what happens in one run."""

from __future__ import annotations

import weakref
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from labthings_fastapi.messages.message import Message

from .invocation_messages import LogMessages, StatusMessages
from .rendering import journal_record

if TYPE_CHECKING:
    from collections.abc import Callable

    from labthings_fastapi.journal.journal import Journal
    from labthings_fastapi.messages.broker import Broker
    from labthings_fastapi.messages.message import InvocationStatus, MessageKind

    from .invocation import Invocation
    from .lifecycle import InvocationState
    from .progress import Progress
    from .rendering import InvocationUrls


class InvocationPublisher:
    """Hears all that happens in one run, in order, on the run's own threads; never blocks."""

    __slots__ = ("_broker", "_journal", "_on_end", "_recorded", "_run", "_status")

    def __init__(
        self,
        invocation: Invocation,
        broker: Broker,
        journal: Callable[[], Journal],
        place: InvocationUrls,
        on_end: Callable[[Invocation, InvocationState], None],
    ) -> None:
        """Report on `run`, found at `place`; `on_end` is called once with its final state.

        `journal` gives the journal that is in use: a run may outlive the one it began with.
        """
        self._run = weakref.ref(invocation)
        self._broker = broker
        self._journal = journal
        self._status = StatusMessages(invocation, broker, place)
        self._on_end = on_end
        self._recorded: InvocationStatus | None = None

    def attach(self, blobs: Any) -> None:
        """Begin to listen; the run's present state is reported at once."""
        invocation = self._run()
        if invocation is not None:
            invocation.observe(
                state=self.state,
                progress=self.progress,
                log=LogMessages(invocation, self._broker),
                result=self.result,
                blobs=blobs,
            )

    def state(self, state: InvocationState) -> None:
        """The run changed its state."""
        invocation = self._run()
        if invocation is None:
            return
        if not state.finished:
            # A phase, a place in the line and a request to stop are news, but in no record.
            if state.status is not self._recorded:
                commit = self._record(invocation, state)
                if self._recorded is None:
                    invocation.begin_after(commit)
                self._recorded = state.status
            self._tell(invocation, state)
            return
        commit = self._record(invocation, state)
        self._on_end(invocation, state)
        # Clients learn of the end once it is recorded; the run is held until then.
        commit.add_done_callback(lambda done: self._tell(invocation, state, done))

    def _tell(
        self, invocation: Invocation, state: InvocationState, commit: Future[None] | None = None
    ) -> None:
        journaled = commit is None or (not commit.cancelled() and commit.exception() is None)
        invocation.committed.tell(state, journaled=journaled)
        self._status.publish(state, journaled=journaled)

    def _record(self, invocation: Invocation, state: InvocationState) -> Future[None]:
        try:
            return self._journal().put(journal_record(invocation, state, self._broker.boot_id))
        except Exception as error:  # noqa: BLE001 - it counts as a journal that cannot write
            failed: Future[None] = Future()
            failed.set_exception(error)
            return failed

    def progress(self, progress: Progress) -> None:
        """The run reported how far it is."""
        invocation = self._run()
        if invocation is not None:
            payload = {"progress": progress.percent, "progressDetail": progress.detail()}
            self._publish(invocation, "progress", to_json(payload, inf_nan_mode="strings"))

    def result(self, number: int, value: Any, json: bytes) -> None:
        """A generator yielded a value."""
        invocation = self._run()
        if invocation is not None:
            payload = b'{"number":%d,"value":%b}' % (number, json)
            self._publish(invocation, "result", payload, value)

    def _publish(
        self,
        invocation: Invocation,
        kind: MessageKind,
        payload: bytes,
        value: Any = None,
    ) -> None:
        self._broker.publish(
            Message(
                kind=kind,
                thing=invocation.thing_name,
                affordance=invocation.action_name,
                payload=payload,
                value=value,
                invocation=invocation.id,
            )
        )
