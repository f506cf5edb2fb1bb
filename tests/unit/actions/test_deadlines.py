"""Things to do later happen, in order, and a mistake in one does not stop the others."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

import pytest

from labthings_fastapi.actions.deadlines import Deadlines


def test_what_is_due_happens_in_the_order_of_its_times() -> None:
    deadlines, done, seen = Deadlines(), threading.Event(), []
    held = threading.Event()
    now = time.monotonic()
    deadlines.add(now - 10, lambda: held.wait(30) and None)
    deadlines.add(now - 1, done.set)
    deadlines.add(now - 2, lambda: seen.append("second"))
    deadlines.add(now - 3, lambda: seen.append("first"))
    held.set()
    assert done.wait(30)
    assert seen == ["first", "second"]


def test_an_earlier_deadline_overtakes_one_that_is_waited_for() -> None:
    deadlines, done = Deadlines(), threading.Event()
    deadlines.add(time.monotonic() + 3600, lambda: None)
    deadlines.add(time.monotonic(), done.set)
    assert done.wait(30)


@pytest.mark.parametrize("far", [1e15, math.inf])
def test_a_deadline_beyond_what_a_lock_can_wait_for_stops_nothing(far: float) -> None:
    deadlines, done = Deadlines(), threading.Event()
    deadlines.add(far, lambda: None)
    deadlines.add(time.monotonic(), done.set)
    assert done.wait(30)
    # The thread now waits for the far one; it must not have died of it.
    again = threading.Event()
    deadlines.add(time.monotonic(), again.set)
    assert again.wait(30)


def test_a_failure_is_logged_and_the_next_deadline_kept(caplog: pytest.LogCaptureFixture) -> None:
    deadlines, done = Deadlines(), threading.Event()
    now = time.monotonic()

    def broken() -> None:
        raise OSError("full")

    deadlines.add(now + 0.001, broken)
    deadlines.add(now + 0.002, done.set)
    assert done.wait(30)
    assert "A scheduled task failed" in caplog.text


def test_with_nothing_due_there_is_no_thread() -> None:
    names = [thread.name for thread in threading.enumerate()]
    Deadlines()
    assert [thread.name for thread in threading.enumerate()] == names


def test_after_a_rest_it_works_again() -> None:
    deadlines = Deadlines()
    for _ in range(3):
        done: list[threading.Thread] = []
        event = threading.Event()

        def note(done: list[threading.Thread] = done, event: threading.Event = event) -> None:
            done.append(threading.current_thread())
            event.set()

        deadlines.add(time.monotonic(), note)
        assert event.wait(30)
        done[0].join(30)
        assert not done[0].is_alive()


def test_where_no_thread_can_be_started_the_next_deadline_tries_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    deadlines, first, second = Deadlines(), threading.Event(), threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        deadlines.add(time.monotonic(), first.set)
    assert "can't start new thread" in caplog.text
    deadlines.add(time.monotonic(), second.set)
    assert first.wait(30)
    assert second.wait(30)


def test_a_log_handler_that_raises_ends_no_deadlines(
    let_logging_fail: Callable[[str, BaseException], None],
) -> None:
    let_logging_fail("labthings_fastapi.actions", OSError("the network has gone"))

    def broken() -> None:
        raise OSError("full")

    deadlines, done = Deadlines(), threading.Event()
    now = time.monotonic()
    deadlines.add(now + 0.001, broken)
    deadlines.add(now + 0.002, done.set)
    assert done.wait(30)
