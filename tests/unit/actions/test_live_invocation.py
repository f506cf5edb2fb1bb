"""The record of an invocation changes in one place, and ends once."""

from __future__ import annotations

import json
import threading
import uuid
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from labthings_fastapi.actions.action_call import Ending
from labthings_fastapi.actions.live_invocation import LiveInvocation
from labthings_fastapi.actions.publisher import InvocationPublisher
from labthings_fastapi.journal.journal import MemoryJournal
from labthings_fastapi.journal.record import InvocationRecord
from labthings_fastapi.messages.broker import Broker
from labthings_fastapi.messages.message import InvocationStatus
from labthings_fastapi.messages.topic import Topic

if TYPE_CHECKING:
    from collections.abc import Callable

    from labthings_fastapi.messages.broker import Subscription

COMPLETED = Ending(InvocationStatus.COMPLETED, output=5, output_json=b"5")
FAILED = Ending(InvocationStatus.ERROR, problem={"detail": "x"}, exception=ValueError("x"))
CANCELLED = Ending(InvocationStatus.CANCELLED)


class Owner:
    """Stands for the `Invocation`; counts how often it is given the rest."""

    def __init__(self) -> None:
        self.retired: list[LiveInvocation] = []

    def cancel(self) -> bool:
        return False

    def retire(self, live: LiveInvocation) -> None:
        self.retired.append(live)


def new_life(owner: Owner | None = None) -> LiveInvocation:
    record = InvocationRecord(
        *(uuid.uuid4(), "stage", "move", InvocationStatus.PENDING, None, b"{}"),
        time_requested=datetime.now(UTC),
        phase="queued",
    )
    return LiveInvocation(record, None, {}, 100, owner or Owner())


class SlowJournal(MemoryJournal):
    """Commits when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[tuple[InvocationRecord, Future[None]]] = []

    def put(self, record: InvocationRecord) -> Future[None]:
        self.waiting.append((record, Future()))
        return self.waiting[-1][1]


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
def life(owner: Owner) -> LiveInvocation:
    return new_life(owner)


@pytest.fixture
def broker() -> Broker:
    return Broker("abc")


@pytest.fixture
def statuses(broker: Broker) -> Subscription:
    return broker.subscribe(Topic(kinds=frozenset({"status"})))


@pytest.fixture
def journal() -> SlowJournal:
    return SlowJournal()


@pytest.fixture
def publisher(broker: Broker, journal: SlowJournal) -> InvocationPublisher:
    return InvocationPublisher(broker, lambda: journal, lambda _record: None)


@pytest.fixture
def published(life: LiveInvocation, broker: Broker, statuses: Subscription) -> Subscription:
    """Give the status messages of `life`, whose journal commits at once."""
    journal = MemoryJournal()
    life.report_to(InvocationPublisher(broker, lambda: journal, lambda _record: None))
    return statuses


def words(statuses: Subscription) -> list[tuple[str, str]]:
    found = [json.loads(message.payload) for message in statuses.take()]
    return [(each["status"], each["phase"]) for each in found]


def starting(life: LiveInvocation) -> bool:
    return life.change("queued", phase="starting")


# --- from state to state ------------------------------------------------------------------


def test_every_change_is_published_once_and_in_order(
    life: LiveInvocation, published: Subscription
) -> None:
    assert starting(life)
    assert life.begin()
    assert life.finish(COMPLETED)
    assert words(published) == [
        ("pending", "queued"),
        ("pending", "starting"),
        ("running", "running"),
        ("completed", "finished"),
    ]


def test_the_end_sets_everything_in_one_step(life: LiveInvocation) -> None:
    life.begin()
    before = life.record
    assert (life.output, before.output, before.time_ended) == (None, None, None)
    life.finish(COMPLETED)
    after = life.record
    assert (life.output, after.output) == (5, b"5")
    assert after.time_started is not None
    assert after.time_ended is not None
    assert after.time_requested <= after.time_started <= after.time_ended
    assert after.time_ended.tzinfo is UTC


def test_an_invocation_ends_once(life: LiveInvocation, published: Subscription) -> None:
    life.begin()
    assert life.finish(FAILED)
    ended = life.record
    assert not life.finish(COMPLETED)
    assert not life.begin()
    assert not starting(life)
    assert not life.request_stop()
    assert life.record is ended
    assert ended.status is InvocationStatus.ERROR
    assert ended.error == {"detail": "x"}
    assert len(words(published)) == 3


def test_an_invocation_begins_once(life: LiveInvocation, published: Subscription) -> None:
    assert starting(life)
    assert not starting(life)
    assert life.begin()
    assert not starting(life)
    assert not life.begin()
    assert life.record.phase == "running"
    assert len(words(published)) == 3


def test_a_cancel_before_the_beginning_ends_the_invocation(life: LiveInvocation) -> None:
    assert life.finish(CANCELLED, only_pending=True)
    assert life.record.status is InvocationStatus.CANCELLED
    assert life.record.cancel_requested
    assert life.record.time_started is None
    assert not life.begin()


def test_a_cancel_for_pending_invocations_leaves_a_running_one_alone(
    life: LiveInvocation,
) -> None:
    life.begin()
    assert not life.finish(CANCELLED, only_pending=True)
    assert life.record.status is InvocationStatus.RUNNING


def test_a_cancel_of_a_running_invocation_is_shown_at_once_and_published_once(
    life: LiveInvocation, published: Subscription
) -> None:
    life.begin()
    assert life.request_stop()
    assert life.cancel.is_set()
    assert not life.request_stop()
    assert words(published)[2:] == [("running", "cancelling")]


def test_an_invocation_that_finishes_all_the_same_says_that_a_cancel_was_requested(
    life: LiveInvocation,
) -> None:
    life.begin()
    life.request_stop()
    life.finish(COMPLETED)
    assert life.record.status is InvocationStatus.COMPLETED
    assert life.output == 5
    assert life.record.cancel_requested


def test_a_publisher_that_comes_late_gets_the_present_state_first(
    life: LiveInvocation, publisher: InvocationPublisher, statuses: Subscription
) -> None:
    life.begin()
    life.report_to(publisher)
    assert words(statuses) == [("running", "running")]


def test_of_many_ends_at_once_one_counts() -> None:
    for _ in range(50):
        life = new_life()
        life.begin()
        barrier, won = threading.Barrier(8), []

        def end(ending: Ending, life: LiveInvocation = life) -> None:
            barrier.wait(30)  # noqa: B023
            if life.finish(ending):
                won.append(ending.status)  # noqa: B023

        endings = [COMPLETED, FAILED, CANCELLED, COMPLETED] * 2
        threads = [threading.Thread(target=end, args=(ending,)) for ending in endings]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert won == [life.record.status]


def test_no_reader_sees_completed_without_its_output() -> None:
    """A reader that looks all the time while invocations end finds status and output together."""
    lives = [new_life() for _ in range(200)]
    wrong: list[InvocationRecord] = []
    ready = threading.Event()

    def look() -> None:
        for life in lives:
            ready.set()
            while (record := life.shown).is_open:
                pass
            if record.output != b"5" or life.output != 5 or record.time_ended is None:
                wrong.append(record)

    reader = threading.Thread(target=look)
    reader.start()
    ready.wait(30)
    for life in lives:
        life.begin()
        life.finish(COMPLETED)
    reader.join(60)
    assert not reader.is_alive()
    assert wrong == []


# --- the journal first --------------------------------------------------------------------


def test_clients_see_the_end_only_after_the_journal_has_it(
    life: LiveInvocation,
    publisher: InvocationPublisher,
    journal: SlowJournal,
    statuses: Subscription,
) -> None:
    life.report_to(publisher)
    life.begin()
    statuses.take()
    shown: list[str] = []
    life.on_end(lambda: shown.append("end"))
    life.finish(COMPLETED)
    assert life.wait(0)
    assert (life.record.status, life.shown.status) == (
        *(InvocationStatus.COMPLETED, InvocationStatus.RUNNING),
    )
    assert (shown, words(statuses)) == ([], [])
    record, commit = journal.waiting[-1]
    assert (record.status, record.output) == (InvocationStatus.COMPLETED, b"5")
    commit.set_result(None)
    assert life.shown.status is InvocationStatus.COMPLETED
    assert life.shown.journaled
    assert (shown, words(statuses)) == (["end"], [("completed", "finished")])


def test_an_end_that_the_journal_refuses_is_shown_as_not_journaled(
    life: LiveInvocation,
    publisher: InvocationPublisher,
    journal: SlowJournal,
    statuses: Subscription,
) -> None:
    life.report_to(publisher)
    life.begin()
    life.finish(COMPLETED)
    journal.waiting[-1][1].set_exception(OSError(28, "No space left on device"))
    assert life.shown.status is InvocationStatus.COMPLETED
    assert not life.shown.journaled
    (last,) = [message for message in statuses.take() if message.final]
    assert json.loads(last.payload)["journaled"] is False


def test_every_change_of_status_is_recorded_and_other_changes_are_not(
    life: LiveInvocation, publisher: InvocationPublisher, journal: SlowJournal
) -> None:
    life.report_to(publisher)
    starting(life)
    life.begin()
    life.request_stop()
    life.finish(CANCELLED)
    assert [record.status.value for record, _ in journal.waiting] == [
        *("pending", "running", "cancelled"),
    ]


def test_the_rest_is_handed_over_once_when_the_code_is_over_and_the_end_is_shown(
    life: LiveInvocation, owner: Owner, publisher: InvocationPublisher, journal: SlowJournal
) -> None:
    life.report_to(publisher)
    life.begin()
    life.finish(COMPLETED)
    life.stop_holding()
    assert owner.retired == []
    journal.waiting[-1][1].set_result(None)
    assert owner.retired == [life]


def test_code_that_outlives_the_end_keeps_its_parts_until_it_is_over(
    life: LiveInvocation, owner: Owner
) -> None:
    life.begin()
    life.finish(COMPLETED)
    assert owner.retired == []
    life.stop_holding()
    assert owner.retired == [life]


# --- waiting ------------------------------------------------------------------------------


def test_waiting_ends_with_the_invocation_or_the_time(life: LiveInvocation) -> None:
    assert not life.wait(0)
    thread = threading.Thread(target=life.finish, args=(COMPLETED,))
    life.begin()
    thread.start()
    assert life.wait(30)
    assert life.wait(0)
    thread.join()


def test_waiters_are_called_once_and_outside_the_lock(life: LiveInvocation) -> None:
    called: list[InvocationStatus] = []

    def waiter() -> None:
        other = threading.Thread(target=life.on_end, args=(late,))
        other.start()
        other.join(30)  # in vain if this thread held the lock
        called.append(life.record.status)

    def late() -> None:
        called.append(life.record.status)

    life.on_end(waiter)
    life.begin()
    assert called == []
    life.finish(COMPLETED)
    assert called == [InvocationStatus.COMPLETED] * 2


def test_a_waiter_that_comes_after_the_end_is_called_at_once(life: LiveInvocation) -> None:
    life.finish(FAILED)
    called: list[int] = []
    life.on_end(lambda: called.append(1))
    assert called == [1]


def test_a_waiter_may_be_removed_twice(life: LiveInvocation) -> None:
    called: list[int] = []
    forget = life.on_end(lambda: called.append(1))
    life.on_end(lambda: called.append(2))
    forget()
    forget()
    life.finish(COMPLETED)
    assert called == [2]


def test_a_waiter_that_fails_keeps_no_other_waiting(
    life: LiveInvocation, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise OSError("gone")

    called: list[int] = []
    life.on_end(broken)
    life.on_end(lambda: called.append(1))
    assert life.finish(COMPLETED)
    assert called == [1]
    assert "could not be called" in caplog.text


# --- parts and finalisers -----------------------------------------------------------------


def test_parts_are_made_on_first_use_only(life: LiveInvocation) -> None:
    assert life.parts() == (None, None, None)
    assert life.progress_detail() is None
    made = (life.log, life.results, life.files)
    assert life.parts() == made
    assert (life.log, life.results, life.files) == made


def test_threads_that_use_a_part_first_at_the_same_moment_get_the_same_one() -> None:
    for _ in range(100):
        life, ready, found = new_life(), threading.Barrier(4), []

        def use(life: LiveInvocation = life) -> None:
            ready.wait(30)  # noqa: B023
            found.append((life.log, life.progress, life.results, life.files, life.cancel))  # noqa: B023

        threads = [threading.Thread(target=use) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(parts == found[0] for parts in found)


@pytest.mark.parametrize(
    "act",
    [
        lambda life: life.progress.report(1, 2, None, None),
        lambda life: life.results.add(1, b"1"),
        lambda life: life.on_end(lambda: None),
        lambda life: life.wait(0),
        lambda life: life.deliver(),
    ],
)
def test_a_finaliser_may_use_the_invocation_whose_lock_its_thread_holds(
    life: LiveInvocation, published: Subscription, act: Callable[[LiveInvocation], object]
) -> None:
    finalised: list[str] = []

    class Finalised:
        def __del__(self) -> None:
            act(life)
            finalised.append("yes")

    def use() -> None:
        with life.lock:
            Finalised()

    thread = threading.Thread(target=use, daemon=True)
    thread.start()
    thread.join(30)
    assert finalised == ["yes"]
