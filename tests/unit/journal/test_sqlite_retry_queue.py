"""When final records that the disk refused are written again, with an injected clock."""

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


def test_an_empty_queue_has_no_next_retry() -> None:
    assert RetryQueue(Clock()).seconds_left is None


def test_the_pauses_grow_up_to_a_limit() -> None:
    clock = Clock()
    retries = RetryQueue(clock)
    retries.add(end(1))
    pauses = []
    for _ in range(10):
        pause = retries.seconds_left
        assert pause is not None
        pauses.append(pause)
        clock.now += pause
        assert retries.seconds_left == 0
        retries.postpone(end(1))
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[-1] == MAX_PAUSE


def test_after_a_success_the_first_pause_is_used_again() -> None:
    retries = RetryQueue(Clock())
    retries.add(end(1))
    retries.postpone(end(1))
    retries.discard([UUID(int=1)])
    assert retries.seconds_left is None
    retries.add(end(2))
    assert retries.seconds_left == FIRST_PAUSE


def test_the_next_retry_begins_with_another_record() -> None:
    """A record that is too large for the free space must not delay the others."""
    retries = RetryQueue(Clock())
    for number in range(3):
        retries.add(end(number))
    retries.postpone(end(0))
    assert [record.id.int for record in retries.records()] == [1, 2, 0]


def test_above_the_limit_the_oldest_record_is_dropped_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    retries = RetryQueue(Clock(), limit=2)
    for number in range(3):
        retries.add(end(number))
    assert [record.id.int for record in retries.records()] == [1, 2]
    assert str(UUID(int=0)) in caplog.text
