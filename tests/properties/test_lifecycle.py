"""A live invocation against a model of five lines, in every order of events."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from itertools import pairwise

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from labthings_fastapi.actions.action_call import Ending
from labthings_fastapi.actions.live_invocation import LiveInvocation
from labthings_fastapi.actions.publisher import InvocationPublisher
from labthings_fastapi.journal.journal import MemoryJournal
from labthings_fastapi.journal.record import InvocationRecord
from labthings_fastapi.messages.broker import Broker
from labthings_fastapi.messages.message import InvocationStatus

PENDING, RUNNING = InvocationStatus.PENDING, InvocationStatus.RUNNING
COMPLETED, ERROR = InvocationStatus.COMPLETED, InvocationStatus.ERROR
CANCELLED = InvocationStatus.CANCELLED
FINAL = set(InvocationStatus) - {PENDING, RUNNING}
# From each status, where an invocation may go; staying is always allowed.
STEPS = {PENDING: {RUNNING, CANCELLED, ERROR}, RUNNING: FINAL}


class Recorder(InvocationPublisher):
    """Keeps the records that are published, and counts the final ones."""

    def __init__(self) -> None:
        journal = MemoryJournal()
        super().__init__(Broker("abc"), lambda: journal, self.note_end)
        self.published: list[InvocationRecord] = []
        self.ends: list[InvocationRecord] = []

    def note_end(self, record: InvocationRecord) -> None:
        """Note a final record."""
        self.ends.append(record)

    def status(self, record: InvocationRecord) -> None:
        super().status(record)
        self.published.append(record)


class Owner:
    """Stands for the `Invocation`."""

    def cancel(self) -> bool:
        return False

    def retire(self, live: LiveInvocation) -> None:
        raise AssertionError("its code is not over")


class LifeOfARun(RuleBasedStateMachine):
    """Asks for every step at every moment; the model says what must come of it."""

    def __init__(self) -> None:
        super().__init__()
        record = InvocationRecord(
            *(uuid.uuid4(), "stage", "move", PENDING, None, b"{}", datetime.now(UTC)),
            phase="queued",
        )
        self.life = LiveInvocation(record, None, {}, 10, Owner())
        self.recorder = Recorder()
        self.life.report_to(self.recorder)
        self.ends_seen: list[InvocationRecord] = []
        self.waiting = 0
        self.status = PENDING
        self.cancelled = False
        self.output: int | None = None

    @property
    def ended(self) -> bool:
        return self.status in FINAL

    @rule()
    def start(self) -> None:
        fresh = self.status is PENDING and self.life.record.phase == "queued"
        assert self.life.change("queued", phase="starting") is fresh

    @rule()
    def begin(self) -> None:
        assert self.life.begin() is (self.status is PENDING)
        if self.status is PENDING:
            self.status = RUNNING

    @rule()
    def cancel(self) -> None:
        """Cancel as an `Invocation` does."""
        ended = self.life.finish(Ending(CANCELLED), only_pending=True)
        assert ended is (self.status is PENDING)
        if not ended:
            requested = self.life.request_stop()
            assert requested is (self.status is RUNNING and not self.cancelled)
        if not self.ended:
            self.cancelled = True
        if self.status is PENDING:
            self.status = CANCELLED

    @precondition(lambda self: self.status is not PENDING)
    @rule(output=st.integers())
    def complete(self, output: int) -> None:
        ending = Ending(COMPLETED, output=output, output_json=b"%d" % output)
        assert self.life.finish(ending) is not self.ended
        if not self.ended:
            self.status, self.output = COMPLETED, output

    @rule(status=st.sampled_from([ERROR, CANCELLED]))
    def fail(self, status: InvocationStatus) -> None:
        assert self.life.finish(Ending(status, problem={"detail": "x"})) is not self.ended
        if not self.ended:
            self.status = status

    @rule()
    def wait_for_the_end(self) -> None:
        self.waiting += 1
        self.life.on_end(lambda: self.ends_seen.append(self.life.shown))

    @rule()
    def wait_for_no_time(self) -> None:
        assert self.life.wait(0) is self.ended

    @precondition(lambda self: self.ended)
    @rule()
    def nothing_changes_after_the_end(self) -> None:
        before = self.life.record
        self.life.change("queued", phase="starting")
        self.life.begin()
        self.life.request_stop()
        self.life.finish(Ending(ERROR))
        assert self.life.record is before

    @invariant()
    def the_record_is_that_of_the_model(self) -> None:
        record = self.life.record
        assert record.status is self.status
        assert record.is_open is not self.ended
        assert record.cancel_requested is self.cancelled
        assert self.life.output == self.output
        assert self.life.shown is record  # this journal commits at once

    @invariant()
    def completed_and_output_come_together(self) -> None:
        for record in [self.life.record, *self.recorder.published]:
            assert (record.output is not None) is (record.status is COMPLETED)
            assert (record.time_ended is None) is record.is_open
            assert (record.phase == "finished") is not record.is_open

    @invariant()
    def there_is_one_final_record_and_every_step_is_allowed(self) -> None:
        published = self.recorder.published
        assert published[0].status is PENDING
        for before, after in pairwise(each.status for each in published):
            assert after is before or after in STEPS[before]
        assert sum(not record.is_open for record in published) == int(self.ended)
        assert len(self.recorder.ends) == int(self.ended)
        assert published[-1] is self.life.record

    @invariant()
    def waiters_are_called_once_and_only_at_the_end(self) -> None:
        assert len(self.ends_seen) == (self.waiting if self.ended else 0)
        assert all(record is self.life.record for record in self.ends_seen)


TestLifeOfARun = LifeOfARun.TestCase
