"""Code deep in a call stack finds its run, and nothing outside one."""

from __future__ import annotations

import contextvars
import threading
import time
import uuid
from typing import TYPE_CHECKING

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
    from collections.abc import Callable

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


def at_once(*calls: Callable[[], object]) -> None:
    """Make calls in threads of their own, which all begin at the same moment."""
    ready = threading.Barrier(len(calls))

    def work(call: Callable[[], object]) -> None:
        ready.wait(30)
        call()

    threads = [threading.Thread(target=work, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.fixture
def runs() -> list[InvocationContext]:
    """Give many runs, so that threads meet at different moments."""
    return [InvocationContext(uuid.uuid4()) for _ in range(100)]


def test_of_things_that_several_threads_enter_at_once_none_is_lost(
    runs: list[InvocationContext],
) -> None:
    names = ["stage", "camera", "lamp", "laser"]
    for run in runs:
        at_once(*(lambda run=run, name=name: run.enter_thing(name) for name in names))  # type: ignore[misc]
        assert set(run.take_things()) == set(names)


def test_a_thing_that_is_entered_while_things_are_taken_is_taken_or_stays(
    runs: list[InvocationContext],
) -> None:
    for run in runs:
        taken: list[str] = []
        run.enter_thing("stage")
        at_once(
            lambda run=run, taken=taken: taken.extend(run.take_things()),  # type: ignore[misc]
            lambda run=run: run.enter_thing("camera"),  # type: ignore[misc]
        )
        assert sorted((*taken, *run.take_things())) == ["camera", "stage"]


def test_things_come_latest_first_and_each_once() -> None:
    run = InvocationContext(uuid.uuid4())
    for thing in ("stage", "camera", "stage"):
        run.enter_thing(thing)
    assert run.take_things() == ["stage", "camera"]
    assert run.take_things() == []


def test_what_two_threads_hold_at_once_is_all_released_once(runs: list[InvocationContext]) -> None:
    for run in runs:
        released: list[str] = []

        def hold_and_release(
            name: str, run: InvocationContext = run, released: list[str] = released
        ) -> None:
            run.hold_until_safe(lambda: released.append(name))
            run.release_held()

        at_once(lambda: hold_and_release("one"), lambda: hold_and_release("other"))
        assert sorted(released) == ["one", "other"]


def test_what_is_held_last_is_released_first() -> None:
    run, released = InvocationContext(uuid.uuid4()), []
    for name in ("first", "second"):
        run.hold_until_safe(lambda name=name: released.append(name))  # type: ignore[misc]
    run.release_held()
    assert released == ["second", "first"]


def test_what_is_held_while_a_run_comes_to_rest_is_released_once(
    runs: list[InvocationContext],
) -> None:
    for run in runs:
        released: list[str] = []
        at_once(
            run.come_to_rest,
            lambda run=run, released=released: run.hold_until_safe(  # type: ignore[misc]
                lambda: released.append("late")
            ),
        )
        assert released == ["late"]


def test_a_finaliser_may_use_the_run_whose_lock_its_thread_holds() -> None:
    run = InvocationContext(uuid.uuid4())

    class Finalised:
        def __del__(self) -> None:
            run.enter_thing("camera")
            assert not run.cancel.is_set()

    def use() -> None:
        with run.lock:
            Finalised()

    thread = threading.Thread(target=use, daemon=True)
    thread.start()
    thread.join(30)
    assert run.take_things() == ["camera"]
