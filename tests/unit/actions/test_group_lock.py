"""One thing at a time: groups, their policies, and how many runs there may be."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

import labthings_fastapi as lt
from labthings_fastapi.actions import ActionManager, Invocation, InvocationStatus
from labthings_fastapi.actions.group_lock import GroupLock, LockRequest
from labthings_fastapi.actions.start_gate import StartGate
from labthings_fastapi.exceptions import (
    ActionBusyError,
    InvocationCancelledError,
    TooBusyError,
)
from labthings_fastapi.invocation_contexts import fake_invocation_context
from labthings_fastapi.messages.topic import Topic

if TYPE_CHECKING:
    from collections.abc import Callable


class Stage(lt.Thing):
    """A stage whose moves last until a test lets them end."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Semaphore(0)
        self.begun: list[str] = []
        self.safe = 0
        self.beginning = threading.Semaphore(0)

    def _travel(self, name: str) -> str:
        self.begun.append(name)
        self.beginning.release()
        while not self.go.acquire(timeout=0.005):
            lt.raise_if_cancelled()
        return name

    @lt.action(concurrency="queue", group="motion")
    def move(self, name: str = "move") -> str:
        return self._travel(name)

    @lt.action(concurrency="queue", group="motion")
    def brake(self) -> None:
        """Come to rest, which cannot be hurried."""
        self.begun.append("brake")
        self.beginning.release()
        assert self.go.acquire(timeout=30)
        lt.raise_if_cancelled()

    @lt.action(concurrency="queue", group="motion")
    def home(self) -> str:
        return self._travel("home")

    @lt.action(concurrency="reject", group="motion")
    def calibrate(self) -> str:
        return self._travel("calibrate")

    @lt.action(concurrency="replace", group="motion")
    def jog(self, name: str = "jog") -> str:
        return self._travel(name)

    @lt.action
    def look(self) -> str:
        return self._travel("look")

    @lt.action(stop=True)
    def halt(self) -> str:
        return "halted"

    @lt.action(concurrency="queue", group="motion")
    async def glide(self) -> str:
        return "glided"

    def safe_state(self) -> None:
        self.safe += 1


class Focus(lt.Thing):
    """Moves a stage from an action of its own."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage = stage

    @lt.action
    def autofocus(self) -> list[str]:
        return [self.stage.move("first"), self.stage.move("second")]

    @lt.action
    def fail(self) -> None:
        self.stage.go.release()
        self.stage.move()
        raise ValueError("out of focus")

    @lt.action
    async def aglide(self) -> str:
        return await self.stage.glide()


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def manager() -> ActionManager:
    return ActionManager()


def start(manager: ActionManager, action: Any, thing: Any, **arguments: Any) -> Invocation:
    return manager.invoke_action(action, thing, input=action.input_model(**arguments))


def begun(stage: Stage) -> None:
    """Wait until one more travel has begun."""
    assert stage.beginning.acquire(timeout=30)


def test_runs_of_a_group_wait_their_turn_in_order(manager: ActionManager, stage: Stage) -> None:
    first = start(manager, Stage.move, stage, name="a")
    begun(stage)
    second = start(manager, Stage.move, stage, name="b")
    third = start(manager, Stage.home, stage)
    assert [run.status for run in (second, third)] == [InvocationStatus.PENDING] * 2
    assert [run.phase for run in (second, third)] == ["queued"] * 2
    assert [run.record.queue_position for run in (second, third)] == [1, 2]
    assert second.ident is None
    assert second.is_alive()
    stage.go.release()
    begun(stage)
    assert third.record.queue_position == 1
    for _ in range(2):
        stage.go.release()
    for run in (first, second, third):
        run.join(30)
        assert run.status is InvocationStatus.COMPLETED
        assert not run.is_alive()
    assert stage.begun == ["a", "b", "home"]


def test_the_end_of_a_wait_in_line_is_told(manager: ActionManager, stage: Stage) -> None:
    first = start(manager, Stage.move, stage, name="a")
    begun(stage)
    waiting = start(manager, Stage.move, stage, name="b")
    messages = manager.broker.subscribe(
        Topic(invocation=waiting.id, kinds=frozenset({"status"})), after=manager.broker.position
    )
    stage.go.release(2)
    for run in (first, waiting):
        run.join(30)
    told = [json.loads(message.payload) for message in messages.take()]
    assert [each["phase"] for each in told] == ["starting", "running", "finished"]
    assert "queuePosition" not in told[0]


def test_reject_answers_at_once_and_names_the_holder(manager: ActionManager, stage: Stage) -> None:
    holder = start(manager, Stage.move, stage)
    begun(stage)
    with pytest.raises(ActionBusyError, match=str(holder.id)):
        start(manager, Stage.calibrate, stage)
    rejected = manager.invocations[-1]
    assert rejected.status is InvocationStatus.ERROR
    assert rejected.record.time_started is None
    stage.go.release()
    holder.join(30)
    stage.go.release()
    run = start(manager, Stage.calibrate, stage)
    run.join(30)
    assert run.output == "calibrate"


def test_replace_cancels_the_holder_and_takes_its_place_once_it_has_ended(
    manager: ActionManager, stage: Stage
) -> None:
    holder = start(manager, Stage.brake, stage)
    begun(stage)
    queued = start(manager, Stage.move, stage, name="later")
    first = start(manager, Stage.jog, stage, name="first")
    second = start(manager, Stage.jog, stage, name="second")
    for _ in range(3):
        stage.go.release()
    for run in (holder, first, second, queued):
        run.join(30)
        assert not run.is_alive()
    assert holder.status is InvocationStatus.CANCELLED
    assert first.status is InvocationStatus.CANCELLED
    assert second.status is InvocationStatus.COMPLETED
    assert "first" not in stage.begun
    assert stage.begun.index("second") < stage.begun.index("later")


def test_a_queued_run_that_is_cancelled_never_begins(manager: ActionManager, stage: Stage) -> None:
    holder = start(manager, Stage.move, stage, name="a")
    begun(stage)
    waiting = start(manager, Stage.move, stage, name="b")
    last = start(manager, Stage.move, stage, name="c")
    assert waiting.cancel()
    assert waiting.status is InvocationStatus.CANCELLED
    assert not waiting.is_alive()
    waiting.join(0)
    assert not waiting.cancel()
    for _ in range(2):
        stage.go.release()
    holder.join(30)
    last.join(30)
    assert stage.begun == ["a", "c"]


def test_the_position_is_right_also_if_the_line_moves_while_it_is_told() -> None:
    positions: list[int] = []

    def told_last(position: int, _holder: str) -> None:
        if not positions:
            positions.append(0)
            leaving = threading.Thread(target=place.cancel, args=(first,))
            leaving.start()
            leaving.join(30)
        positions.append(position)

    place = GroupLock("stage.motion")
    claims = [LockRequest(n, f"run {n}", "queue", granted=int) for n in range(2)]
    assert [place.acquire(claim) for claim in claims] == [True, False]
    first = claims[1]
    place.acquire(LockRequest(2, "run 2", "queue", granted=int, moved=told_last))
    assert positions[-1] == 1


def test_all_of_a_run_that_wait_in_line_get_the_place_together() -> None:
    granted: list[str] = []

    def claim(owner: str, what: str) -> LockRequest:
        return LockRequest(owner, what, "queue", granted=lambda: granted.append(what))

    place = GroupLock("stage.motion")
    waiting = [claim("run", "a scan"), claim("other", "a jog"), claim("run", "its thread")]
    assert place.acquire(claim("holder", "the holder"))
    assert [place.acquire(one) for one in waiting] == [False] * 3
    place.release("holder")
    assert granted == ["a scan", "its thread"]
    place.release("run")
    assert granted == ["a scan", "its thread"]
    place.release("run")
    assert granted == ["a scan", "its thread", "a jog"]


def test_an_emergency_stop_passes_locks_and_limits(stage: Stage) -> None:
    manager = ActionManager(max_concurrent_runs=1, max_queued_runs=0)
    holder = start(manager, Stage.move, stage)
    begun(stage)
    with pytest.raises(TooBusyError):
        start(manager, Stage.look, stage)
    stop = start(manager, Stage.halt, stage)
    stop.join(30)
    assert stop.output == "halted"
    holder.cancel()
    holder.join(30)


def test_no_more_runs_than_allowed_are_in_progress(stage: Stage) -> None:
    manager = ActionManager(max_concurrent_runs=2, max_queued_runs=2)
    runs = [start(manager, Stage.look, stage) for _ in range(4)]
    begun(stage)
    begun(stage)
    assert [run.status for run in runs].count(InvocationStatus.PENDING) == 2
    with pytest.raises(TooBusyError, match="Try again later"):
        start(manager, Stage.look, stage)
    assert runs[-1].cancel()
    for _ in range(3):
        stage.go.release()
    for run in runs[:3]:
        run.join(30)
        assert run.status is InvocationStatus.COMPLETED
    assert len(stage.begun) == 3
    again = start(manager, Stage.look, stage)
    stage.go.release()
    again.join(30)
    assert again.status is InvocationStatus.COMPLETED


def test_a_call_inside_a_run_waits_for_the_place_and_keeps_it(
    manager: ActionManager, stage: Stage
) -> None:
    focus = Focus(stage)
    other = start(manager, Stage.move, stage, name="other")
    begun(stage)
    run = start(manager, Focus.autofocus, focus)
    stage.go.release()
    other.join(30)
    begun(stage)
    intruder = start(manager, Stage.move, stage, name="intruder")
    assert intruder.record.queue_position == 1
    for _ in range(3):
        stage.go.release()
    run.join(30)
    intruder.join(30)
    assert run.output == ["first", "second"]
    assert set(stage.begun) == {"other", "first", "second", "intruder"}


def test_waiting_for_a_place_inside_a_run_is_a_cancellation_point(
    manager: ActionManager, stage: Stage
) -> None:
    focus = Focus(stage)
    holder = start(manager, Stage.move, stage)
    begun(stage)
    run = start(manager, Focus.autofocus, focus)
    run.cancel()
    run.join(30)
    assert run.status is InvocationStatus.CANCELLED
    stage.go.release()
    holder.join(30)
    assert stage.begun == ["move"]


def test_a_call_from_a_plain_thread_obeys_the_policy_too(
    manager: ActionManager, stage: Stage
) -> None:
    holder = start(manager, Stage.move, stage)
    begun(stage)
    with pytest.raises(ActionBusyError):
        stage.calibrate()
    holder.cancel()
    holder.join(30)
    stage.go.release()
    assert stage.calibrate() == "calibrate"


def test_an_async_call_waits_without_blocking_the_loop(
    manager: ActionManager, stage: Stage
) -> None:
    focus = Focus(stage)
    holder = start(manager, Stage.move, stage)
    begun(stage)
    run = start(manager, Focus.aglide, focus)
    stage.go.release()
    run.join(30)
    holder.join(30)
    assert run.output == "glided"


class Shutter(lt.Thing):
    """Counts how many are at it at once."""

    at_once = 0
    most = 0

    async def _do(self) -> None:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        for _ in range(5):
            await asyncio.sleep(0)
        self.at_once -= 1

    @lt.action(concurrency="queue", group="shutter")
    async def open(self) -> None:
        await self._do()

    @lt.action(concurrency="queue", group="shutter")
    def close(self) -> str:
        return "closed"

    @lt.action(concurrency="queue", group="shutter")
    async def cycle(self) -> str:
        await asyncio.gather(self.open(), self.open())
        return self.close()


def test_tasks_outside_a_run_wait_for_one_another() -> None:
    shutter = Shutter()

    async def two() -> None:
        await asyncio.gather(shutter.open(), shutter.open())

    asyncio.run(two())
    assert shutter.most == 1


def test_a_task_outside_a_run_shares_its_place_with_those_that_it_begins() -> None:
    assert asyncio.run(asyncio.wait_for(Shutter().cycle(), 30)) == "closed"


def test_every_thing_whose_actions_a_failed_run_entered_is_made_safe(
    manager: ActionManager, stage: Stage
) -> None:
    focus = Focus(stage)
    run = start(manager, Focus.fail, focus)
    run.join(30)
    assert run.status is InvocationStatus.ERROR
    assert stage.safe == 1


def test_a_cancelled_run_is_made_safe_before_it_ends(manager: ActionManager, stage: Stage) -> None:
    run = start(manager, Stage.move, stage)
    begun(stage)
    run.cancel()
    assert run.wait(30)
    assert run.status is InvocationStatus.CANCELLED
    assert stage.safe == 1


def test_a_completed_run_is_left_alone(manager: ActionManager, stage: Stage) -> None:
    stage.go.release()
    run = start(manager, Stage.move, stage)
    run.join(30)
    assert stage.safe == 0


class Tidy(lt.Thing):
    """Tidies up in its own way, and fails at it."""

    def __init__(self) -> None:
        super().__init__()
        self.called: list[str] = []

    @lt.action(on_cancel="park")
    def work(self) -> None:
        raise InvocationCancelledError

    def park(self) -> None:
        self.called.append("park")
        raise OSError("the motor does not answer")

    def safe_state(self) -> None:
        self.called.append("safe_state")


def test_on_cancel_comes_first_and_its_failure_is_logged(manager: ActionManager) -> None:
    tidy = Tidy()
    run = start(manager, Tidy.work, tidy)
    run.join(30)
    assert run.status is InvocationStatus.CANCELLED
    assert tidy.called == ["park", "safe_state"]
    assert any("motor does not answer" in record.getMessage() for record in run.log)


@pytest.mark.parametrize("error", [OSError("the network has gone"), SystemExit(1)])
def test_a_log_handler_that_raises_keeps_no_hardware_from_rest(
    manager: ActionManager,
    stage: Stage,
    let_logging_fail: Callable[[str, BaseException], None],
    error: BaseException,
) -> None:
    let_logging_fail("labthings_fastapi.things", error)
    tidy = Tidy()
    run = start(manager, Tidy.work, tidy)
    run.join(30)
    assert run.status is InvocationStatus.CANCELLED
    assert tidy.called == ["park", "safe_state"]


class Stuck(lt.Thing):
    """Does not listen."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.begun = threading.Event()

    @lt.action
    def stay(self) -> str:
        self.begun.set()
        self.go.wait()
        return "done all the same"


def test_a_run_that_does_not_stop_in_time_is_overdue_and_says_so() -> None:
    stuck = Stuck()
    manager = ActionManager()
    from labthings_fastapi.actions import Invocation
    from labthings_fastapi.actions.rendering import InvocationUrls, invocation_json
    from labthings_fastapi.messages.topic import Topic

    run = Invocation(Stuck.stay, stuck, default_stop_timeout=0.01)
    manager.append_invocation(run)
    run.start()
    assert stuck.begun.wait(30)
    with manager.broker.subscribe(Topic(invocation=run.id)) as messages:
        run.cancel()
        assert run.phase == "cancelling"
        received = b""
        while b"overdue" not in received:
            assert messages.wait(30)
            received += b"".join(message.payload for message in messages.take())
    assert run.record.overdue
    assert b"overdue" in invocation_json(run.snapshot(), InvocationUrls())
    assert any("has not stopped" in record.getMessage() for record in run.log)
    stuck.go.set()
    run.join(30)
    assert run.status is InvocationStatus.COMPLETED
    assert run.output == "done all the same"
    assert run.record.cancel_requested


class Slow(Stage):
    """Takes its time to come to rest, and writes down in what order things happen."""

    def safe_state(self) -> None:
        self.begun.append("at rest")


class InThread(lt.Thing):
    """Moves a stage from a thread of the run."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage = stage

    @lt.action
    def work(self) -> None:
        thread = lt.ThreadWithInvocationID(self.stage.move)
        thread.start()
        thread.join_and_propagate_cancel(0.005)


def test_no_other_run_begins_before_all_is_at_rest(manager: ActionManager) -> None:
    stage = Slow()
    run = start(manager, Focus.autofocus, Focus(stage))
    begun(stage)
    following = start(manager, Stage.move, stage, name="following")
    run.cancel()
    run.join(30)
    begun(stage)
    stage.go.release()
    following.join(30)
    assert stage.begun == ["first", "at rest", "following"]


def test_things_that_a_thread_of_the_run_entered_are_made_safe_too(
    manager: ActionManager, stage: Stage
) -> None:
    run = start(manager, InThread.work, InThread(stage))
    begun(stage)
    run.cancel()
    run.join(30)
    assert run.status is InvocationStatus.CANCELLED
    assert stage.safe == 1


def test_a_run_that_deals_with_a_failure_gives_the_place_back(
    manager: ActionManager, stage: Stage
) -> None:
    class Patient(lt.Thing):
        go_on = threading.Event()

        @lt.action
        def work(self) -> str:
            with pytest.raises(ActionBusyError):
                stage.calibrate()
            stage.move("tried again")
            self.go_on.wait(30)
            return "done"

    holder = start(manager, Stage.move, stage)
    begun(stage)
    patient = Patient()
    run = start(manager, Patient.work, patient)
    stage.go.release()
    holder.join(30)
    begun(stage)
    stage.go.release()
    other = start(manager, Stage.move, stage, name="other")
    begun(stage)
    stage.go.release()
    other.join(30)
    patient.go_on.set()
    run.join(30)
    assert run.output == "done"


# --- what comes between two steps of a start ----------------------------------------------


def test_a_run_that_is_cancelled_just_before_it_gets_in_line_keeps_no_place(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = ActionManager(max_concurrent_runs=1, max_queued_runs=1)
    take = StartGate.take

    def take_after_a_cancel(turn: StartGate, *arguments: Any, **named: Any) -> None:
        for run in manager.invocations:
            run.cancel()
        take(turn, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(StartGate, "take", take_after_a_cancel)
        cancelled = start(manager, Stage.move, stage, name="cancelled")
    assert cancelled.status is InvocationStatus.CANCELLED
    following = start(manager, Stage.move, stage, name="following")
    begun(stage)
    stage.go.release()
    following.join(30)
    assert stage.begun == ["following"]


def without_a_thread(run: Callable[[Invocation], bool], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no thread be made for some runs."""
    make = threading.Thread.start

    def limited(thread: threading.Thread) -> None:
        if isinstance(thread, Invocation) and run(thread):
            raise RuntimeError("can't start new thread")
        make(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)


def test_a_run_for_which_there_is_no_thread_keeps_no_place(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = ActionManager(max_concurrent_runs=1, max_queued_runs=1)
    with monkeypatch.context() as patch:
        without_a_thread(lambda _run: True, patch)
        with pytest.raises(RuntimeError, match="can't start"):
            start(manager, Stage.move, stage, name="without")
    following = start(manager, Stage.move, stage, name="following")
    begun(stage)
    stage.go.release()
    following.join(30)
    assert stage.begun == ["following"]


@pytest.mark.parametrize("at_once", [1, 3])
def test_the_next_in_line_begins_when_there_is_no_thread_for_the_one_before(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    manager = ActionManager(max_concurrent_runs=at_once)
    holder = start(manager, Stage.move, stage, name="holder")
    begun(stage)
    unlucky = start(manager, Stage.move, stage, name="unlucky")
    last = start(manager, Stage.move, stage, name="last")
    without_a_thread(lambda run: run is unlucky, monkeypatch)
    stage.go.release()
    begun(stage)
    stage.go.release()
    for run in (holder, unlucky, last):
        run.join(30)
    assert [run.status.value for run in (holder, unlucky, last)] == [
        "completed",
        "error",
        "completed",
    ]
    assert "can't start new thread" in str(unlucky.exception)
    assert stage.begun == ["holder", "last"]


@pytest.mark.parametrize("at_once", [1, 3])
def test_hundreds_in_line_for_which_there_is_no_thread_all_end(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    manager = ActionManager(max_concurrent_runs=at_once)
    holder = start(manager, Stage.move, stage)
    begun(stage)
    unlucky = [start(manager, Stage.move, stage) for _ in range(300)]
    with monkeypatch.context() as patch:
        without_a_thread(lambda _run: True, patch)
        stage.go.release()
        holder.join(60)
    assert {run.status for run in unlucky} == {InvocationStatus.ERROR}
    assert moves_on(manager, stage)


# --- threads that fail with a place in their hands ----------------------------------------


def moves_on(manager: ActionManager, stage: Stage) -> bool:
    """Whether the stage moves when it is asked to; it waits for ever if its place is lost."""
    run = start(manager, Stage.move, stage)
    moved = stage.beginning.acquire(timeout=30)
    stage.go.release()
    return moved and run.wait(30)


class Unready(Stage):
    """A stage that cannot travel yet."""

    ready = False

    def _travel(self, name: str) -> str:
        if not self.ready:
            raise ValueError("it is not ready")
        return super()._travel(name)


def test_a_thread_that_outlives_its_run_and_fails_keeps_no_place(manager: ActionManager) -> None:
    stage, go = Unready(), threading.Event()

    def late() -> None:
        go.wait(30)
        stage.move()

    class Leaves(lt.Thing):
        @lt.action
        def work(self) -> None:
            threads.append(lt.ThreadWithInvocationID(late))
            threads[0].start()

    threads: list[lt.ThreadWithInvocationID] = []
    start(manager, Leaves.work, Leaves()).join(30)
    go.set()
    threads[0].join(30)
    assert "not ready" in str(threads[0].exception)
    stage.ready = True
    assert moves_on(manager, stage)


def test_a_thread_outside_a_run_that_fails_keeps_no_place(manager: ActionManager) -> None:
    stage = Unready()
    thread = lt.ThreadWithInvocationID(stage.move)
    thread.start()
    thread.join(30)
    assert "not ready" in str(thread.exception)
    stage.ready = True
    assert moves_on(manager, stage)


def test_what_fails_in_a_run_that_is_made_up_keeps_no_place(manager: ActionManager) -> None:
    stage = Unready()
    with fake_invocation_context(), pytest.raises(ValueError, match="not ready"):
        stage.move()
    stage.ready = True
    assert moves_on(manager, stage)
