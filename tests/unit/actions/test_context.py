"""Code deep in a call stack finds its run, and nothing outside one."""

from __future__ import annotations

import contextvars
import itertools
import sys
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from labthings_fastapi.actions.cancellation import CancelEvent
from labthings_fastapi.actions.context import (
    InvocationContext,
    NoInvocationContextError,
    cancellable_sleep,
    current_invocation,
    entered,
    fake_invocation_context,
    get_cancel_event,
    get_invocation_directory,
    get_invocation_id,
    raise_if_cancelled,
    set_invocation_id,
    shield,
)
from labthings_fastapi.exceptions import InvocationCancelledError, LabThingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from labthings_fastapi.actions import Invocation


@pytest.mark.parametrize("ask", [get_invocation_id, get_cancel_event, get_invocation_directory])
def test_outside_a_run_what_belongs_to_one_is_an_error(ask: Callable[[], object]) -> None:
    with pytest.raises(NoInvocationContextError, match="does not run inside an action") as caught:
        ask()
    assert isinstance(caught.value, LabThingsError)
    assert isinstance(caught.value, RuntimeError)


def test_outside_a_run_the_others_are_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    cancellable_sleep(3)
    raise_if_cancelled()
    with shield():
        pass
    assert slept == [3]
    assert current_invocation() is None


def test_inside_a_run_each_finds_that_run() -> None:
    run = InvocationContext(uuid.uuid4(), CancelEvent())
    with entered(run):
        assert current_invocation() is run
        assert get_invocation_id() == run.id
        assert get_cancel_event() is run.cancel
    assert current_invocation() is None


def test_runs_nest_and_an_error_leaves_them() -> None:
    outer, inner = (InvocationContext(uuid.uuid4(), CancelEvent()) for _ in range(2))
    with entered(outer):
        with pytest.raises(ZeroDivisionError), entered(inner):
            raise ZeroDivisionError
        assert current_invocation() is outer


def test_a_cancel_reaches_sleep_and_check() -> None:
    run = InvocationContext(uuid.uuid4(), CancelEvent())
    with entered(run):
        for point in (lambda: cancellable_sleep(60), raise_if_cancelled):
            run.cancel.set()
            with pytest.raises(InvocationCancelledError):
                point()


def test_a_shield_holds_the_cancel_of_the_run_back() -> None:
    run = InvocationContext(uuid.uuid4(), CancelEvent())
    passed: list[str] = []

    def section() -> None:
        with shield():
            raise_if_cancelled()
            passed.append("the point")

    with entered(run):
        run.cancel.set()
        with pytest.raises(InvocationCancelledError):
            section()
    assert passed


def test_a_thread_belongs_to_the_run_only_with_a_copy_of_its_context() -> None:
    run = InvocationContext(uuid.uuid4(), CancelEvent())
    seen: dict[str, InvocationContext | None] = {}
    with entered(run):
        copied = contextvars.copy_context()
    threads = [
        threading.Thread(target=copied.run, args=(lambda: seen.update(copy=current_invocation()),)),
        threading.Thread(target=lambda: seen.update(plain=current_invocation())),
    ]
    for thread in threads:
        thread.start()
        thread.join()
    assert seen == {"copy": run, "plain": None}


def test_contexts_can_be_made_up_for_tests() -> None:
    id = uuid.uuid4()
    with set_invocation_id(id):
        assert get_invocation_id() == id
        assert get_cancel_event().id == id
        with pytest.raises(NoInvocationContextError):
            get_invocation_directory()
    with fake_invocation_context() as made:
        assert get_invocation_id() == made


def test_an_action_knows_its_run(run: Callable[..., Invocation]) -> None:
    invocation = run(lambda: (str(get_invocation_id()), str(get_invocation_directory())))
    assert invocation.output == (str(invocation.id), str(invocation.files.directory))


# --- several threads of one run -----------------------------------------------------------


def interrupted_at_each_step(
    do: Callable[[InvocationContext], object], meanwhile: Callable[[InvocationContext], object]
) -> Iterator[InvocationContext]:
    """Do something with a run, and something else in another thread before one of its opcodes.

    Gives the run each time: first with the other before the first opcode, then before the second.
    """
    for wanted in itertools.count():
        run, steps = InvocationContext(uuid.uuid4(), CancelEvent()), itertools.count()
        interrupted = False

        def trace(frame: FrameType, event: str, _: object) -> Any:
            nonlocal interrupted
            frame.f_trace_opcodes = True
            if event == "opcode" and next(steps) == wanted:  # noqa: B023 - it is used up here
                interrupted = True
                thread = threading.Thread(target=meanwhile, args=(run,))  # noqa: B023
                thread.start()
                thread.join(30)
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            do(run)
        finally:
            sys.settrace(before)
        if not interrupted:
            assert wanted > 0
            return
        yield run


def test_of_things_that_two_threads_enter_at_once_none_is_lost() -> None:
    one, other = "stage", "camera"
    for run in interrupted_at_each_step(
        lambda run: run.enter_thing(one), lambda run: run.enter_thing(other)
    ):
        assert set(run.take_things()) == {one, other}


def test_a_thing_that_is_entered_while_things_are_taken_is_taken_or_stays() -> None:
    one, other = "stage", "camera"
    taken: list[str] = []

    def enter_and_take(run: InvocationContext) -> None:
        run.enter_thing(one)
        taken[:] = run.take_things()

    for run in interrupted_at_each_step(enter_and_take, lambda run: run.enter_thing(other)):
        assert sorted((*taken, *run.take_things())) == [other, one]


def test_things_come_latest_first_each_once() -> None:
    run = InvocationContext(uuid.uuid4(), CancelEvent())
    for thing in ("stage", "camera", "stage"):
        run.enter_thing(thing)
    assert run.take_things() == ("stage", "camera")
    assert run.take_things() == ()


def test_what_two_threads_hold_at_once_is_all_given_back_once() -> None:
    given: list[str] = []

    def hold_and_release(run: InvocationContext) -> None:
        run.hold_until_safe(lambda: given.append("one"))
        run.release_held()

    def hold_another(run: InvocationContext) -> None:
        run.hold_until_safe(lambda: given.append("other"))

    for meanwhile in (hold_another, hold_and_release):
        given.clear()  # of the last time, which is not interrupted
        for run in interrupted_at_each_step(hold_and_release, meanwhile):
            run.release_held()
            assert len(given) == 2
            given.clear()


def test_what_is_held_while_a_run_comes_to_rest_is_given_back() -> None:
    given: list[str] = []

    def hold(run: InvocationContext) -> None:
        run.hold_until_safe(lambda: given.append("late"))

    for do, meanwhile in (
        (InvocationContext.come_to_rest, hold),
        (hold, InvocationContext.come_to_rest),
    ):
        for _ in interrupted_at_each_step(do, meanwhile):
            assert given == ["late"]
            given.clear()
