from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from labthings_fastapi.journal.journal import MemoryJournal
from labthings_fastapi.journal.keys import KEY_LIFETIME, IdempotencyKey, input_digest, utc_now

NOON = datetime(2024, 5, 17, 12, tzinfo=UTC)


def key(number: int) -> IdempotencyKey:
    return IdempotencyKey(
        f"k{number}", "stage", "move", input_digest(b"{}"), UUID(int=number), NOON
    )


@pytest.mark.parametrize(
    ("age", "expired"), [(KEY_LIFETIME, False), (KEY_LIFETIME + timedelta(microseconds=1), True)]
)
def test_a_key_belongs_to_its_run_for_a_day(age: timedelta, expired: bool) -> None:
    assert key(1).has_expired(NOON + age) is expired


def test_a_digest_distinguishes_inputs_and_is_the_same_after_a_restart() -> None:
    assert input_digest(b'{"x":1}') != input_digest(b'{"x":2}')
    assert input_digest(b"{}").startswith("44136fa355b3678a")


def test_the_clock_of_the_room_is_aware() -> None:
    assert utc_now().utcoffset() == timedelta(0)


def test_the_memory_journal_keeps_the_newest_keys() -> None:
    journal = MemoryJournal(limit=2, clock=lambda: NOON)
    for number in range(3):
        journal.remember_key(key(number))
    kept = [number for number in range(3) if journal.find_key(*key(number).name)]
    assert kept == [1, 2]
