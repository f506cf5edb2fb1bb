"""A thread that is a small run of its own."""

from __future__ import annotations

import logging
import threading
import uuid

import pytest

import labthings_fastapi as lt
from labthings_fastapi.actions.context import InvocationContext, current_invocation, entered
from labthings_fastapi.actions.invocation_log import InvocationLog
from labthings_fastapi.actions.logs import capture
from labthings_fastapi.actions.threads import InnerInvocation, outermost_id
from labthings_fastapi.exceptions import InvocationCancelledError
from labthings_fastapi.invocation_contexts import (
    fake_invocation_context,
    get_cancel_event,
    get_invocation_id,
)


def add(a, b=0):
    return a + b


def wait_for_ever():
    lt.cancellable_sleep(3600)


def finished(thread):
    thread.start()
    thread.join(30)
    return thread


def test_it_calls_its_target_and_keeps_the_result():
    thread = lt.ThreadWithInvocationID(add, args=(1,), kwargs={"b": 2})
    assert thread.result is None
    assert (finished(thread).result, thread.exception) == (3, None)


def test_it_keeps_what_the_target_raised():
    thread = finished(lt.ThreadWithInvocationID(add, args=("a", 1)))
    assert isinstance(thread.exception, TypeError)
    assert thread.result is None


def test_it_is_a_thread_with_an_id_of_its_own():
    thread = finished(lt.ThreadWithInvocationID(get_invocation_id))
    assert isinstance(thread, threading.Thread)
    assert thread.daemon
    assert thread.result == thread.invocation_id


def test_two_have_different_ids_also_inside_a_run():
    with fake_invocation_context() as id:
        one = finished(lt.ThreadWithInvocationID(get_invocation_id))
        other = finished(lt.ThreadWithInvocationID(get_invocation_id))
        assert len({id, one.result, other.result}) == 3


def test_it_can_be_cancelled():
    thread = lt.ThreadWithInvocationID(wait_for_ever)
    thread.start()
    thread.cancel()
    thread.join(30)
    assert isinstance(thread.exception, InvocationCancelledError)


def test_a_cancel_of_it_is_no_cancel_of_the_run_around_it():
    with fake_invocation_context():
        thread = lt.ThreadWithInvocationID(wait_for_ever)
        thread.start()
        thread.cancel()
        thread.join_and_propagate_cancel()
        assert isinstance(thread.exception, InvocationCancelledError)
        assert not get_cancel_event().is_set()


def test_a_cancel_of_the_run_that_waits_is_handed_on_and_raised_when_it_has_ended():
    with fake_invocation_context():
        thread = lt.ThreadWithInvocationID(wait_for_ever)
        thread.start()
        get_cancel_event().set()
        with pytest.raises(InvocationCancelledError):
            thread.join_and_propagate_cancel(poll_interval=0.001)
        assert not thread.is_alive()
        assert isinstance(thread.exception, InvocationCancelledError)


def test_a_cancel_that_came_too_late_for_the_thread_is_raised_all_the_same():
    with fake_invocation_context():
        thread = finished(lt.ThreadWithInvocationID(add, args=(1,)))
        get_cancel_event().set()
        with pytest.raises(InvocationCancelledError):
            thread.join_and_propagate_cancel()
        assert thread.result == 1


def test_to_wait_for_a_thread_that_was_never_started_is_an_error():
    with pytest.raises(RuntimeError, match="started"):
        lt.ThreadWithInvocationID(add).join_and_propagate_cancel()


def test_its_log_is_that_of_the_run_around_it():
    capture()
    log = InvocationLog(10)
    context = InvocationContext(uuid.uuid4())
    context.log = log
    with entered(context):
        logger = logging.getLogger("labthings_fastapi.things.stage")
        finished(lt.ThreadWithInvocationID(logger.warning, args=("Moved %s", 3)))
    assert [record.getMessage() for record in log.records] == ["Moved 3"]


def test_a_run_inside_a_run_inside_a_run_belongs_to_the_outermost():
    with fake_invocation_context() as id:

        def inner():
            return finished(
                lt.ThreadWithInvocationID(lambda: outermost_id(current_invocation()))
            ).result

        assert finished(lt.ThreadWithInvocationID(inner)).result == id
        assert outermost_id(current_invocation()) == id


def test_outside_of_a_run_it_is_the_outermost_itself():
    thread = finished(lt.ThreadWithInvocationID(current_invocation))
    assert not isinstance(thread.result, InnerInvocation)
    assert outermost_id(thread.result) == thread.invocation_id


def test_an_exception_in_it_is_in_the_log_of_the_run_around_it(manager, thing):
    def camera():
        raise OSError("buffer overflow")

    def code():
        finished(lt.ThreadWithInvocationID(camera)).join_and_propagate_cancel()

    thing.code = code
    invocation = manager.invoke_action(type(thing).call, thing)
    invocation.join(30)
    (line,) = invocation.log
    assert line.levelno == logging.ERROR
    assert "OSError: buffer overflow" in line.getMessage()
    assert "in camera" in line.exc_text


def test_outside_of_a_run_its_exception_is_in_the_log_of_the_server(caplog):
    def camera():
        raise OSError("buffer overflow")

    thread = finished(lt.ThreadWithInvocationID(camera))
    assert isinstance(thread.exception, OSError)
    assert f"Thread '{thread.name} (camera)' ended with OSError: buffer overflow" in caplog.text


def test_a_cancel_that_reaches_it_is_no_failure(caplog):
    with fake_invocation_context():
        thread = lt.ThreadWithInvocationID(lt.cancellable_sleep, args=(60,))
        thread.start()
        thread.cancel()
        thread.join(30)
    assert isinstance(thread.exception, InvocationCancelledError)
    assert caplog.text == ""


def test_further_arguments_are_those_of_a_thread() -> None:
    made = lt.ThreadWithInvocationID(print, name="reader", daemon=False)
    assert (made.name, made.daemon) == ("reader", False)
