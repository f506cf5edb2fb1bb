"""The collection of runs: found, filtered, expired and reported."""

from __future__ import annotations

import gc
import inspect
import json
import threading
import time
import uuid
import weakref
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest

from labthings_fastapi.actions import ActionManager, Invocation, InvocationModel, InvocationStatus
from labthings_fastapi.actions.cancellation import CancelEvent
from labthings_fastapi.actions.context import get_invocation_directory
from labthings_fastapi.actions.progress import progress
from labthings_fastapi.descriptors.action import ActionDescriptor
from labthings_fastapi.exceptions import InvocationNotFoundError, LabThingsError
from labthings_fastapi.journal.journal import MemoryJournal
from labthings_fastapi.messages.broker import Broker
from labthings_fastapi.messages.topic import Topic

from .conftest import Bench

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from labthings_fastapi.journal.record import InvocationRecord


class Clock:
    """The monotonic clock, moved forward by a test."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


def ended(manager: ActionManager, thing: Bench, code: Callable[[], Any] = int) -> Invocation:
    thing.code = code
    invocation = manager.invoke_action(Bench.call, thing)
    invocation.join(30)
    assert not invocation.is_alive()
    return invocation


def test_it_needs_nothing() -> None:
    assert ActionManager().invocations == []


def test_its_parameters_stand_in_the_order_of_the_contract() -> None:
    def names(method: Callable[..., Any]) -> list[str]:
        return list(inspect.signature(method).parameters)[1:]

    assert names(ActionManager.invoke_action) == [
        "action",
        "thing",
        "id",
        "input",
        "dependencies",
        "cancel_hook",
    ]
    assert names(ActionManager.list_invocations) == ["action", "thing", "as_responses", "request"]
    assert names(ActionManager.get_invocation) == ["id"]
    assert names(ActionManager.append_invocation) == ["invocation"]
    assert names(ActionManager.attach_to_app)[0] == "app"


def test_invoking_starts_a_run_and_gives_the_thread(manager: ActionManager, thing: Bench) -> None:
    invocation = manager.invoke_action(Bench.hold, thing)
    assert isinstance(invocation, threading.Thread)
    assert thing.entered.wait(30)
    assert invocation.is_alive()
    assert manager.invocations == [invocation]


def test_invoking_takes_everything_by_position_and_by_name(
    manager: ActionManager, thing: Bench
) -> None:
    id, hook = uuid.uuid4(), CancelEvent()
    one = manager.invoke_action(Bench.add, thing, id, Bench.add.input_model(a=1), {"b": 2}, hook)
    other = manager.invoke_action(
        action=Bench.add,
        thing=thing,
        id=uuid.uuid4(),
        input=Bench.add.input_model(a=1),
        dependencies={"b": 2},
        cancel_hook=hook,
    )
    for invocation in (one, other):
        invocation.join(30)
        assert invocation.output == 3
    assert manager.get_invocation(id) is one


def test_an_invocation_made_elsewhere_can_be_managed(manager: ActionManager, thing: Bench) -> None:
    invocation = Invocation(Bench.add, thing, Bench.add.input_model(a=1))
    manager.append_invocation(invocation)
    assert manager.invocations == [invocation]
    assert invocation.status is InvocationStatus.PENDING
    invocation.start()
    invocation.join(30)
    assert manager.get_invocation(invocation.id).output == 2


def test_a_finished_invocation_that_is_added_keeps_what_it_has(
    manager: ActionManager, thing: Bench
) -> None:
    def code() -> int:
        progress(1, 4)
        thing.logger.info("x")
        return 5

    thing.code = code
    invocation = Invocation(Bench.call, thing)
    invocation.run()
    manager.append_invocation(invocation)
    assert (invocation.output, invocation.progress, len(invocation.log)) == (5, 25, 1)


def test_a_run_that_is_requested_while_the_server_begins_to_stop_never_begins(
    manager: ActionManager, thing: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def append_after_all_were_cancelled(run: Invocation) -> None:
        manager.refuse_work("The server is stopping.")
        assert manager.invocations == []
        append(run)

    append = manager.append_invocation
    monkeypatch.setattr(manager, "append_invocation", append_after_all_were_cancelled)
    invocation = manager.invoke_action(Bench.call, thing)
    invocation.join(30)
    assert invocation.status is InvocationStatus.CANCELLED
    assert invocation.record.time_started is None


def test_an_unknown_id_is_a_key_error(manager: ActionManager) -> None:
    with pytest.raises(KeyError) as caught:
        manager.get_invocation(uuid.uuid4())
    assert isinstance(caught.value, LabThingsError)
    assert isinstance(caught.value, InvocationNotFoundError)


def test_the_list_that_is_given_is_the_callers(manager: ActionManager, thing: Bench) -> None:
    ended(manager, thing)
    manager.invocations.clear()
    assert len(manager.invocations) == 1


# --- listing ------------------------------------------------------------------------------


def test_filters_may_be_combined(manager: ActionManager) -> None:
    one, other = Bench(), Bench()
    add, call = Bench.add, Bench.call
    made = {
        (action.name, thing): manager.invoke_action(action, thing)
        for action in (add, call)
        for thing in (one, other)
    }
    for invocation in made.values():
        invocation.join(30)
    assert manager.list_invocations() == list(made.values())
    assert manager.list_invocations(action=add) == [made["add", one], made["add", other]]
    assert manager.list_invocations(thing=one) == [made["add", one], made["call", one]]
    assert manager.list_invocations(call, other) == [made["call", other]]
    assert manager.list_invocations(call, Bench()) == []


def test_a_listing_may_be_of_responses(manager: ActionManager, thing: Bench) -> None:
    invocation = ended(manager, thing)

    class Request:
        def url_for(self, name: str, /, **path_params: Any) -> str:
            return f"http://lab/{path_params['id']}"

    (view,) = manager.list_invocations(None, thing, True, Request())
    assert view.model_dump()["href"] == f"http://lab/{invocation.id}"
    (view,) = manager.list_invocations(as_responses=True)
    assert InvocationModel.model_validate_json(view.model_dump_json()).id == invocation.id


def test_the_responses_of_a_listing_are_invocation_models(
    manager: ActionManager, thing: Bench
) -> None:
    ended(manager, thing)
    assert all(
        isinstance(view, InvocationModel) for view in manager.list_invocations(as_responses=True)
    )


def test_a_run_whose_action_is_gone_breaks_no_listing(manager: ActionManager, thing: Bench) -> None:
    descriptor: Any = ActionDescriptor(lambda self: 5)
    invocation = manager.invoke_action(descriptor, thing)
    invocation.join(30)
    del descriptor
    gc.collect()
    (view,) = manager.list_invocations(as_responses=True)
    assert view.model_dump()["output"] == 5


def test_the_newest_come_last_and_earlier_ones_before(manager: ActionManager, thing: Bench) -> None:
    runs = [ended(manager, thing) for _ in range(5)]

    def every(_run: Invocation) -> bool:
        return True

    assert manager.newest(every) == runs
    assert manager.newest(every, 2) == runs[3:]
    assert manager.newest(every, 2, runs[3].id) == runs[1:3]
    assert manager.newest(every, before=runs[0].id) == []
    assert manager.newest(lambda run: run is not runs[4], 1) == [runs[3]]
    with pytest.raises(InvocationNotFoundError):
        manager.newest(every, before=uuid.uuid4())


# --- expiry -------------------------------------------------------------------------------


def test_a_run_expires_its_retention_time_after_its_end(thing: Bench) -> None:
    clock = Clock()
    manager = ActionManager(clock=clock)
    invocation = ended(manager, thing)
    manager.expire_invocations()
    assert manager.invocations == [invocation]
    clock.ahead = 290
    manager.expire_invocations()
    assert manager.invocations == [invocation]
    clock.ahead = 301
    manager.expire_invocations()
    assert manager.invocations == []
    with pytest.raises(KeyError):
        manager.get_invocation(invocation.id)


def test_a_run_in_progress_never_expires(thing: Bench) -> None:
    clock = Clock()
    manager = ActionManager(clock=clock)
    invocation = manager.invoke_action(Bench.hold, thing)
    clock.ahead = 1e9
    manager.expire_invocations()
    assert manager.invocations == [invocation]


@pytest.mark.parametrize("retention", [0, -5])
def test_runs_expire_by_a_timer_without_anybody_asking(thing: Bench, retention: float) -> None:
    gone = threading.Event()
    descriptor: Any = ActionDescriptor(lambda self: 5, 1, retention)
    manager = ActionManager()
    invocation = manager.invoke_action(descriptor, thing)
    weakref.finalize(invocation, gone.set)
    del invocation
    assert gone.wait(30)
    assert manager.invocations == []


@pytest.mark.parametrize("retention", [float("inf"), 1e12])
def test_a_run_may_be_kept_for_ever_and_the_others_still_expire(
    thing: Bench, retention: float
) -> None:
    gone = threading.Event()
    kept: Any = ActionDescriptor(lambda self: 5, 1, retention)
    brief: Any = ActionDescriptor(lambda self: 5, 1, 0)
    manager = ActionManager()
    first = manager.invoke_action(kept, thing)
    first.join(30)
    invocation = manager.invoke_action(brief, thing)
    weakref.finalize(invocation, gone.set)
    del invocation
    assert gone.wait(30)
    assert manager.invocations == [first]


def test_only_so_many_finished_runs_are_kept_and_none_that_runs(thing: Bench) -> None:
    manager = ActionManager(max_retained_runs=3)
    running = manager.invoke_action(Bench.hold, thing)
    runs = [ended(manager, thing) for _ in range(6)]
    assert manager.invocations == [running, *runs[3:]]


class Nosy:
    """Reads from the manager in its finaliser, as user code may."""

    def __init__(self, manager: ActionManager, done: threading.Event) -> None:
        self.manager, self.done = manager, done

    def __del__(self) -> None:
        _ = self.manager.invocations
        self.done.set()


@pytest.mark.usefixtures("_no_other_handlers")
@pytest.mark.parametrize("limit", [1, 100])
def test_what_a_run_held_is_released_without_a_lock(thing: Bench, limit: int) -> None:
    clock = Clock()
    manager = ActionManager(max_retained_runs=limit, clock=clock)
    done = threading.Event()

    def code() -> None:
        raise ValueError(Nosy(manager, done))

    ended(manager, thing, code)
    if limit == 1:
        ended(manager, thing)
    else:
        clock.ahead = 1000
        threading.Thread(target=manager.expire_invocations, daemon=True).start()
    assert done.wait(30)


def test_the_files_of_a_run_go_with_it(thing: Bench) -> None:
    clock = Clock()
    manager = ActionManager(clock=clock)

    def code() -> None:
        (get_invocation_directory() / "a.txt").write_text("x")

    invocation = ended(manager, thing, code)
    folder: Path = invocation.files.directory
    assert folder.exists()
    del invocation
    clock.ahead = 1000
    manager.expire_invocations()
    gc.collect()
    assert not folder.exists()


# --- journal and subscribers --------------------------------------------------------------


def test_every_change_is_published_once_and_in_order(thing: Bench) -> None:
    broker = Broker()
    manager = ActionManager(broker=broker)
    subscription = broker.subscribe(Topic(kinds=frozenset({"status"})))
    invocation = ended(manager, thing)
    messages = subscription.take()
    found = [json.loads(message.payload) for message in messages]
    assert [(each["status"], each["phase"]) for each in found] == [
        ("pending", "queued"),
        ("running", "running"),  # "starting" is told only after a wait in line
        ("completed", "finished"),
    ]
    assert [message.final for message in messages] == [False, False, True]
    assert {message.invocation for message in messages} == {invocation.id}
    assert {(message.thing, message.affordance) for message in messages} == {("Bench", "call")}


@pytest.mark.usefixtures("_no_other_handlers")
def test_progress_log_and_results_are_published(thing: Bench) -> None:
    manager = ActionManager()

    def code() -> Any:
        thing.logger.info("half \ud800")
        progress(1, 2)
        yield 5

    subscription = manager.broker.subscribe(Topic())
    invocation = ended(manager, thing, code)
    assert invocation.output == [5]
    found = {message.kind: json.loads(message.payload) for message in subscription.take()}
    assert found["log"]["message"] == "half \\ud800"
    assert found["progress"]["progress"] == 50
    assert found["result"] == {"number": 1, "value": 5}
    assert found["status"]["status"] == "completed"


def test_the_journal_has_the_run_before_and_after(thing: Bench) -> None:
    journal = MemoryJournal()
    manager = ActionManager(journal=journal)
    seen: list[InvocationStatus] = []

    def code() -> int:
        seen.extend(record.status for record in map(journal.get, ids()) if record is not None)
        return 5

    def ids() -> list[uuid.UUID]:
        return [invocation.id for invocation in manager.invocations]

    invocation = ended(manager, thing, code)
    record = journal.get(invocation.id)
    assert seen == [InvocationStatus.RUNNING]
    assert record is not None
    assert (record.status, record.output) == (InvocationStatus.COMPLETED, b"5")
    assert record.time_ended == invocation.record.time_ended


class BrokenJournal(MemoryJournal):
    """Cannot write."""

    def put(self, record: InvocationRecord) -> Future[None]:
        raise OSError(28, "No space left on device")


def test_if_the_journal_cannot_take_a_start_nothing_moves(thing: Bench) -> None:
    manager = ActionManager(journal=BrokenJournal())
    moved: list[int] = []
    invocation = ended(manager, thing, lambda: moved.append(1))
    assert moved == []
    assert invocation.status is InvocationStatus.ERROR
    assert invocation.record.error is not None
    assert invocation.record.error["status"] == 507


class LateJournal(MemoryJournal):
    """Finds that it cannot write only after the run was to start."""

    def __init__(self) -> None:
        super().__init__()
        self.commits: list[Future[None]] = []

    def put(self, record: InvocationRecord) -> Future[None]:
        self.commits.append(Future())
        return self.commits[-1]


def test_a_commit_that_fails_after_the_start_was_requested_ends_the_run_with_507(
    thing: Bench,
) -> None:
    journal = LateJournal()
    manager = ActionManager(journal=journal)
    statuses = manager.broker.subscribe(Topic(kinds=frozenset({"status"})))
    moved: list[int] = []
    thing.code = lambda: moved.append(1)
    invocation = manager.invoke_action(Bench.call, thing)
    assert invocation.phase == "starting"
    full = OSError(28, "No space left on device")
    for commit in journal.commits:  # the second is that of the end
        commit.set_exception(full)
    assert moved == []
    assert len(journal.commits) == 2
    record = invocation.snapshot()
    assert (record.status, record.journaled) == (InvocationStatus.ERROR, False)
    assert record.error is not None
    assert record.error["status"] == 507
    assert invocation.commit is not None
    assert invocation.commit.exception(0) is full
    assert [message.final for message in statuses.take()] == [False, True]
    assert not invocation.is_alive()


def test_ended_runs_have_each_a_folder_of_their_own(manager: ActionManager, thing: Bench) -> None:
    one, other = ended(manager, thing), ended(manager, thing)
    (one.files.directory / "a.txt").write_text("x")
    assert one.files.directory != other.files.directory
    assert (one.files.names(), other.files.names()) == (["a.txt"], [])


def test_a_run_whose_output_has_no_json_form_breaks_no_listing(thing: Bench) -> None:
    manager = ActionManager()
    one = ended(manager, thing, lambda: "\ud800")
    other = ended(manager, thing, lambda: 5)
    assert one.status is InvocationStatus.ERROR
    views = manager.list_invocations(as_responses=True)
    assert [view.model_dump()["output"] for view in views] == [None, 5]
    assert other.output == 5


def test_many_threads_may_use_it_at_once(thing: Bench) -> None:
    manager = ActionManager(max_retained_runs=20)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(20):
                invocation = manager.invoke_action(
                    Bench.add, thing, input=Bench.add.input_model(a=1)
                )
                manager.list_invocations(thing=thing, as_responses=True)
                manager.expire_invocations()
                invocation.join(30)
                assert invocation.output == 2
        except BaseException as error:  # noqa: BLE001 - to be shown by the test
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert len(manager.invocations) == 20


def test_only_a_manager_that_was_given_a_journal_answers_from_it() -> None:
    assert not ActionManager().has_journal
    assert ActionManager(journal=MemoryJournal()).has_journal
