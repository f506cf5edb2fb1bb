"""A run moves from state to state in one place, and ends once."""

from __future__ import annotations

import sys
import threading
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from labthings_fastapi.actions.committed_state import CommittedState
from labthings_fastapi.actions.lifecycle import Ending, InvocationState, Lifecycle

from labthings_fastapi.messages.message import InvocationStatus

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

COMPLETED = Ending(InvocationStatus.COMPLETED, output=5, output_json=b"5")
FAILED = Ending(InvocationStatus.ERROR, problem={"detail": "x"}, exception=ValueError("x"))
CANCELLED = Ending(InvocationStatus.CANCELLED)


@pytest.fixture
def life() -> Lifecycle:
    """Give the life of a run that is kept for 300 s."""
    return Lifecycle(300)


@pytest.fixture
def heard(life: Lifecycle) -> list[InvocationState]:
    """Collect what a listener hears."""
    states: list[InvocationState] = []
    life.listen(states.append)
    return states


def words(states: list[InvocationState]) -> list[tuple[str, str]]:
    return [(state.status.value, state.phase) for state in states]


def test_a_run_begins_as_pending(life: Lifecycle) -> None:
    state = life.state
    assert (state.status, state.phase) == (InvocationStatus.PENDING, "queued")
    assert state.requested.utcoffset() == timedelta(0)
    assert (state.started, state.ended, state.expires, state.output) == (None, None, None, None)
    assert not state.finished


def test_a_run_that_completes_goes_through_every_phase(
    life: Lifecycle, heard: list[InvocationState]
) -> None:
    assert life.starting()
    assert life.begin()
    assert life.finish(COMPLETED)
    assert words(heard) == [
        ("pending", "queued"),
        ("pending", "starting"),
        ("running", "running"),
        ("completed", "finished"),
    ]


def test_the_end_sets_everything_in_one_step(life: Lifecycle, heard: list[InvocationState]) -> None:
    life.begin()
    life.finish(COMPLETED)
    before, after = heard[-2:]
    assert (before.output, before.ended, before.expires) == (None, None, None)
    assert (after.output, after.output_json) == (5, b"5")
    assert after.started is not None
    assert after.ended is not None
    assert after.expires is not None
    assert after.requested <= after.started <= after.ended
    assert after.ended.tzinfo is UTC


def test_a_run_ends_once(life: Lifecycle, heard: list[InvocationState]) -> None:
    life.begin()
    assert life.finish(FAILED)
    assert not life.finish(COMPLETED)
    assert not life.begin()
    assert not life.starting()
    assert life.state.status is InvocationStatus.ERROR
    assert life.record.error == {"detail": "x"}
    assert len(heard) == 3


def test_a_run_begins_once(life: Lifecycle, heard: list[InvocationState]) -> None:
    assert life.starting()
    assert not life.starting()
    assert life.begin()
    assert not life.starting()
    assert not life.begin()
    assert life.state.phase == "running"
    assert len(heard) == 3


def test_a_cancel_before_the_beginning_ends_the_run(life: Lifecycle) -> None:
    before = life.ask_cancel(CANCELLED)
    assert not before.finished
    assert life.state.status is InvocationStatus.CANCELLED
    assert life.record.cancel_requested
    assert life.record.time_started is None
    assert not life.begin()


def test_a_cancel_of_a_running_one_is_shown_at_once_and_told_once(
    life: Lifecycle, heard: list[InvocationState]
) -> None:
    life.begin()
    assert not life.ask_cancel(CANCELLED).cancel_requested
    assert life.ask_cancel(CANCELLED).cancel_requested
    assert words(heard)[2:] == [("running", "cancelling")]


def test_a_run_that_finishes_all_the_same_says_that_a_cancel_was_asked(life: Lifecycle) -> None:
    life.begin()
    life.ask_cancel(CANCELLED)
    life.finish(COMPLETED)
    assert life.state.status is InvocationStatus.COMPLETED
    assert life.state.output == 5
    assert life.record.cancel_requested


def test_a_cancel_after_the_end_changes_nothing(
    life: Lifecycle, heard: list[InvocationState]
) -> None:
    life.begin()
    life.finish(COMPLETED)
    assert life.ask_cancel(CANCELLED).finished
    assert not life.record.cancel_requested
    assert len(heard) == 3


def test_a_late_listener_hears_the_present_state(life: Lifecycle) -> None:
    life.begin()
    states: list[InvocationState] = []
    life.listen(states.append)
    assert words(states) == [("running", "running")]


def test_waiting_ends_with_the_run_or_the_time(life: Lifecycle) -> None:
    assert not life.wait(0)
    thread = threading.Thread(target=life.finish, args=(COMPLETED,))
    life.begin()
    thread.start()
    assert life.wait(30)
    assert life.wait(0)
    thread.join()


def test_those_who_wait_are_told_once_and_outside_the_lock(life: Lifecycle) -> None:
    told: list[InvocationStatus] = []

    def waiter() -> None:
        life.on_end(lambda: told.append(life.state.status))  # would deadlock under the lock
        told.append(life.state.status)

    life.on_end(waiter)
    life.begin()
    assert told == []
    life.finish(COMPLETED)
    assert told == [InvocationStatus.COMPLETED] * 2


def test_whoever_comes_after_the_end_is_told_at_once(life: Lifecycle) -> None:
    life.finish(FAILED)
    told: list[int] = []
    life.on_end(lambda: told.append(1))
    assert told == [1]


def test_waiting_can_be_given_up(life: Lifecycle) -> None:
    told: list[int] = []

    def waiter() -> None:
        told.append(1)

    life.on_end(waiter)
    life.forget(waiter)
    life.forget(waiter)
    life.finish(COMPLETED)
    assert told == []


def test_a_listener_that_fails_keeps_nobody_waiting(
    life: Lifecycle, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_state: InvocationState) -> None:
        raise OSError("full")

    told: list[int] = []
    life.listen(broken)
    life.on_end(lambda: told.append(1))
    assert life.begin()
    assert life.finish(COMPLETED)
    assert told == [1]
    assert "could not be reported" in caplog.text


def test_a_waiter_that_fails_keeps_the_others_not_waiting(
    life: Lifecycle, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise OSError("gone")

    told: list[int] = []
    life.on_end(broken)
    life.on_end(lambda: told.append(1))
    assert life.finish(COMPLETED)
    assert told == [1]
    assert "could not be told" in caplog.text


def winners(life: Lifecycle) -> list[InvocationStatus]:
    """End a run from eight threads at once; return whose ending was taken."""
    barrier, won = threading.Barrier(8), []

    def end(ending: Ending) -> None:
        barrier.wait(30)
        if life.finish(ending):
            won.append(ending.status)

    endings = [COMPLETED, FAILED, CANCELLED, COMPLETED] * 2
    threads = [threading.Thread(target=end, args=(ending,)) for ending in endings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return won


def test_of_many_ends_at_once_one_counts() -> None:
    for _ in range(50):
        life = Lifecycle(1)
        life.begin()
        assert winners(life) == [life.state.status]


def test_no_reader_sees_completed_without_its_output() -> None:
    """A reader that looks all the time while runs end finds status and output together."""
    lives = [Lifecycle(1) for _ in range(200)]
    wrong: list[InvocationState] = []
    ready = threading.Event()

    def look() -> None:
        for life in lives:
            ready.set()
            while not (state := life.state).finished:
                pass
            if state.output != 5 or state.output_json != b"5" or state.expires is None:
                wrong.append(state)

    reader = threading.Thread(target=look)
    reader.start()
    ready.wait(30)
    for life in lives:
        life.begin()
        life.finish(COMPLETED)
    reader.join(60)
    assert not reader.is_alive()
    assert wrong == []


# --- finalisers ---------------------------------------------------------------------------


def survives_a_finaliser_at_each_step(do: Callable[[], object], last: Callable[[], object]) -> bool:
    """Whether something ends although a finaliser comes between any two of its opcodes."""

    def trace(frame: FrameType, event: str, _: object) -> Any:
        frame.f_trace_opcodes = True
        if event == "opcode":
            last()
            came.append(frame.f_lasti)
        return trace

    came: list[int] = []

    def traced() -> None:
        sys.settrace(trace)
        try:
            do()
        finally:
            sys.settrace(None)

    thread = threading.Thread(target=traced, daemon=True)
    thread.start()
    thread.join(30)
    return not thread.is_alive() and bool(came)


def test_a_finaliser_may_ask_for_a_run_that_has_ended_while_another_is_asked() -> None:
    one, other = Lifecycle(300), Lifecycle(300)
    for life in (one, other):
        life.finish(COMPLETED)
    for ask in (lambda: one.forget(int), lambda: one.ask_cancel(CANCELLED)):
        assert survives_a_finaliser_at_each_step(ask, lambda: other.ask_cancel(CANCELLED))


def test_a_finaliser_may_wait_no_more_for_an_end_that_was_told_while_somebody_else_does() -> None:
    life = Lifecycle(300)
    one, other = CommittedState(life.state), CommittedState(life.state)
    life.finish(COMPLETED)
    for told in (one, other):
        told.tell(life.state)
    forget, forget_other = one.on_end(int), other.on_end(int)
    assert survives_a_finaliser_at_each_step(forget, forget_other)
