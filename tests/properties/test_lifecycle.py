"""The life of a run against a model of five lines, in every order of events."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from labthings_fastapi.actions.lifecycle import Ending, InvocationState, Lifecycle

from labthings_fastapi.messages.message import FINAL_STATUSES, InvocationStatus

PENDING, RUNNING = InvocationStatus.PENDING, InvocationStatus.RUNNING
COMPLETED, ERROR = InvocationStatus.COMPLETED, InvocationStatus.ERROR
CANCELLED = InvocationStatus.CANCELLED
# From each status, where a run may go; staying is always allowed.
STEPS = {PENDING: {RUNNING, CANCELLED, ERROR}, RUNNING: set(FINAL_STATUSES)}


class LifeOfARun(RuleBasedStateMachine):
    """Asks for every step at every moment; the model says what must come of it."""

    def __init__(self) -> None:
        super().__init__()
        self.life = Lifecycle(300)
        self.heard: list[InvocationState] = []
        self.life.listen(self.heard.append)
        self.told: list[InvocationState] = []
        self.waiting = 0
        self.status = PENDING
        self.asked = False
        self.output: int | None = None

    @property
    def ended(self) -> bool:
        return self.status in FINAL_STATUSES

    @rule()
    def start(self) -> None:
        fresh = self.status is PENDING and self.life.state.phase == "queued"
        assert self.life.starting() is fresh

    @rule()
    def begin(self) -> None:
        assert self.life.begin() is (self.status is PENDING)
        if self.status is PENDING:
            self.status = RUNNING

    @rule()
    def cancel(self) -> None:
        before = self.life.ask_cancel(Ending(CANCELLED))
        assert before.status is self.status
        assert before.cancel_requested is self.asked
        if not self.ended:
            self.asked = True
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
        self.life.on_end(lambda: self.told.append(self.life.state))

    @rule()
    def give_up_waiting(self) -> None:
        assert self.life.wait(0) is self.ended

    @precondition(lambda self: self.ended)
    @rule()
    def nothing_changes_after_the_end(self) -> None:
        before = self.life.state
        self.life.starting()
        self.life.begin()
        self.life.ask_cancel(Ending(CANCELLED))
        self.life.finish(Ending(ERROR))
        assert self.life.state is before

    @invariant()
    def the_state_is_that_of_the_model(self) -> None:
        state = self.life.state
        assert state.status is self.status
        assert state.finished is self.ended
        assert state.cancel_requested is self.asked
        assert state.output == self.output

    @invariant()
    def completed_and_output_come_together(self) -> None:
        for state in [self.life.state, *self.heard]:
            completed = state.status is COMPLETED
            assert (state.output_json is not None) is completed
            assert (state.ended is not None) is state.finished
            assert (state.expires is not None) is state.finished
            assert (state.phase == "finished") is state.finished

    @invariant()
    def there_is_one_final_state_and_every_step_is_allowed(self) -> None:
        statuses = [state.status for state in self.heard]
        assert statuses[0] is PENDING
        for before, after in pairwise(statuses):
            assert after is before or after in STEPS[before]
        assert sum(state.finished for state in self.heard) == int(self.ended)
        assert self.heard[-1] is self.life.state

    @invariant()
    def those_who_wait_are_told_once_and_only_of_the_end(self) -> None:
        assert len(self.told) == (self.waiting if self.ended else 0)
        assert all(state is self.life.state for state in self.told)


TestLifeOfARun = LifeOfARun.TestCase
