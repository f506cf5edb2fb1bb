"""A cancel request is delivered once, to the thread that first comes to a cancellation point."""

from __future__ import annotations

import gc
import math
import threading
import uuid
import weakref
from contextlib import suppress

import pytest

from labthings_fastapi.actions.cancellation import CancelEvent
from labthings_fastapi.actions.context import get_cancel_event, set_invocation_id
from labthings_fastapi.exceptions import InvocationCancelledError


def in_thread(function: object) -> threading.Thread:
    thread = threading.Thread(target=function, daemon=True)  # type: ignore[arg-type]
    thread.start()
    return thread


def test_it_is_an_event_that_knows_its_run() -> None:
    id = uuid.uuid4()
    event = CancelEvent(id)
    assert isinstance(event, threading.Event)
    assert event.id == id
    assert CancelEvent().id is None


def test_without_a_request_nothing_is_raised() -> None:
    event = CancelEvent()
    event.raise_if_set()
    event.sleep(0)
    event.sleep(-1)
    assert not event.take()


def test_one_request_is_delivered_once() -> None:
    event = CancelEvent()
    event.set()
    with pytest.raises(InvocationCancelledError):
        event.raise_if_set()
    event.raise_if_set()
    assert not event.is_set()


def test_a_request_made_before_the_sleep_ends_it_at_once() -> None:
    event = CancelEvent()
    event.set()
    with pytest.raises(InvocationCancelledError):
        event.sleep(1e6)


@pytest.mark.parametrize("seconds", [60, 1e12, math.inf])
def test_a_request_wakes_a_sleeper_however_long_it_sleeps(seconds: float) -> None:
    event, outcome = CancelEvent(), []
    asleep = threading.Event()

    def sleeper() -> None:
        asleep.set()
        try:
            event.sleep(seconds)
        except InvocationCancelledError:
            outcome.append("cancelled")
        except OverflowError:
            outcome.append("too long")

    thread = in_thread(sleeper)
    asleep.wait(30)
    event.set()
    thread.join(30)
    assert outcome == ["cancelled"]


def test_of_several_sleepers_one_gets_the_exception() -> None:
    event, cancelled = CancelEvent(), []
    finished = threading.Semaphore(0)

    def sleeper() -> None:
        try:
            event.sleep(60)
        except InvocationCancelledError:
            cancelled.append(threading.current_thread())
            finished.release()

    threads = [in_thread(sleeper) for _ in range(4)]
    for number in range(1, 5):
        event.set()
        assert finished.acquire(timeout=30)
        assert len(cancelled) == number
    for thread in threads:
        thread.join(30)
    assert set(cancelled) == set(threads)


def test_the_exception_passes_through_except_exception() -> None:
    event = CancelEvent()
    event.set()

    def laboratory_code() -> None:
        with suppress(Exception):
            event.raise_if_set()

    with pytest.raises(InvocationCancelledError):
        laboratory_code()


# --- shields ------------------------------------------------------------------------------


def test_a_shield_holds_the_request_back_until_it_ends() -> None:
    event, passed = CancelEvent(), []
    event.set()

    def section() -> None:
        with event.shielded():
            event.raise_if_set()
            event.sleep(0.001)
            passed.append("both points")

    with pytest.raises(InvocationCancelledError):
        section()
    assert passed
    assert not event.is_set()


def test_shields_nest_and_only_the_outermost_delivers() -> None:
    event, passed = CancelEvent(), []
    event.set()

    def section() -> None:
        with event.shielded():
            with event.shielded():
                event.raise_if_set()
            event.raise_if_set()
            passed.append("after the inner one")

    with pytest.raises(InvocationCancelledError):
        section()
    assert passed


def test_an_error_in_a_shielded_section_is_the_one_that_is_seen() -> None:
    event = CancelEvent()
    event.set()
    with pytest.raises(ZeroDivisionError), event.shielded():
        raise ZeroDivisionError
    with pytest.raises(InvocationCancelledError):
        event.raise_if_set()


def test_a_shield_without_a_request_does_nothing() -> None:
    event = CancelEvent()
    with event.shielded():
        pass
    assert not event.take()


# --- listeners ----------------------------------------------------------------------------


def test_listeners_hear_a_request_at_once_or_when_they_come() -> None:
    event, heard = CancelEvent(), []
    event.listen(lambda: heard.append("early"))
    event.set()
    event.listen(lambda: heard.append("late"))
    assert heard == ["early", "late"]


def test_a_listener_can_leave_also_twice() -> None:
    event, heard = CancelEvent(), []
    forget = event.listen(lambda: heard.append("x"))
    forget()
    forget()
    event.set()
    assert heard == []


@pytest.mark.parametrize("error", [None, ValueError("torn")])
def test_listeners_hear_when_the_shield_ends_also_by_an_error(error: Exception | None) -> None:
    event, heard = CancelEvent(), []
    event.listen(lambda: heard.append("x"))

    def section() -> None:
        with event.shielded():
            event.set()
            assert heard == []
            if error is not None:
                raise error

    with pytest.raises((InvocationCancelledError, ValueError)):
        section()
    assert heard == ["x"]


def test_an_id_has_one_event_as_long_as_anything_holds_it() -> None:
    id = uuid.uuid4()
    event = CancelEvent.get_for_id(id)
    assert CancelEvent.get_for_id(id) is event
    assert get_cancel_event(id) is event
    with pytest.raises(RuntimeError, match=str(id)):
        CancelEvent(id)
    gone = weakref.ref(event)
    del event
    gc.collect()
    assert gone() is None
    assert CancelEvent(id).id == id


def test_the_event_of_an_invocation_is_found_by_its_id() -> None:
    id = uuid.uuid4()
    with set_invocation_id(id):
        assert get_cancel_event() is CancelEvent.get_for_id(id) is get_cancel_event(id)
