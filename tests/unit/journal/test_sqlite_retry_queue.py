"""When the ends of runs that the disk refused are tried again, by an injected clock."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from labthings_fastapi.journal.record import InvocationRecord
from labthings_fastapi.journal.retry_queue import FIRST_PAUSE, MAX_PAUSE, RetryQueue
from labthings_fastapi.messages.message import InvocationStatus

NOON = datetime(2024, 5, 17, 12, tzinfo=UTC)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def end(number: int) -> InvocationRecord:
    status = InvocationStatus.COMPLETED
    return InvocationRecord(UUID(int=number), "stage", "move", status, None, b"{}", NOON)


def test_where_nothing_waits_no_try_is_due() -> None:
    assert RetryQueue(Clock()).seconds_left is None


def test_the_pauses_grow_up_to_a_limit() -> None:
    clock = Clock()
    unwritten = RetryQueue(clock)
    unwritten.add(end(1))
    pauses = []
    for _ in range(10):
        pause = unwritten.seconds_left
        assert pause is not None
        pauses.append(pause)
        clock.now += pause
        assert unwritten.seconds_left == 0
        unwritten.postpone(end(1))
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[-1] == MAX_PAUSE


def test_after_a_success_the_pauses_begin_anew() -> None:
    unwritten = RetryQueue(Clock())
    unwritten.add(end(1))
    unwritten.postpone(end(1))
    unwritten.discard([UUID(int=1)])
    assert unwritten.seconds_left is None
    unwritten.add(end(2))
    assert unwritten.seconds_left == FIRST_PAUSE


def test_the_next_try_begins_with_another_record() -> None:
    """One that is too large for what is left of the disk must not keep the others waiting."""
    unwritten = RetryQueue(Clock())
    for number in range(3):
        unwritten.add(end(number))
    unwritten.postpone(end(0))
    assert [record.id.int for record in unwritten.records()] == [1, 2, 0]


def test_over_the_limit_the_oldest_is_given_up_loudly(caplog: pytest.LogCaptureFixture) -> None:
    unwritten = RetryQueue(Clock(), limit=2)
    for number in range(3):
        unwritten.add(end(number))
    assert [record.id.int for record in unwritten.records()] == [1, 2]
    assert str(UUID(int=0)) in caplog.text
