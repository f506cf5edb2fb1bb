"""Which records the journal deletes, and when."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from labthings_fastapi.journal.keys import KEY_LIFETIME, IdempotencyKey
from labthings_fastapi.journal.mutation import MutationRecord
from labthings_fastapi.journal.query import JournalQuery
from labthings_fastapi.journal.record import InvocationRecord
from labthings_fastapi.journal.retention import AUDIT_SHARE, MUTATION_BYTES, MUTATIONS_PER_STEP
from labthings_fastapi.journal.sqlite import SqliteJournal
from labthings_fastapi.journal.writer import SWEEP_SECONDS
from labthings_fastapi.messages.message import InvocationStatus

TIMEOUT = 60.0
NOON = datetime(2024, 5, 17, 12, tzinfo=UTC)
MEGABYTE = 1 << 20


class Clock:
    """One clock for the time of day and for durations."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def advance(self, **time: float) -> None:
        self.seconds += timedelta(**time).total_seconds()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def opened(folder: Path, clock: Clock, **options: Any) -> SqliteJournal:
    return SqliteJournal(
        folder / "journal.sqlite",
        boot_id="one",
        clock=clock.now,
        monotonic=clock.monotonic,
        **options,
    )


def run(clock: Clock, **changes: Any) -> InvocationRecord:
    status = InvocationStatus.PENDING
    record = InvocationRecord(
        uuid4(), "stage", "move", status, None, b"{}", clock.now(), boot_id="on"
    )
    return replace(record, **changes)


def ended(clock: Clock, record: InvocationRecord | None = None, **changes: Any) -> InvocationRecord:
    status, now = InvocationStatus.COMPLETED, clock.now()
    return replace(replace(record or run(clock), status=status, time_ended=now), **changes)


def keep(journal: SqliteJournal, *records: InvocationRecord) -> None:
    for future in [journal.put(record) for record in records]:
        future.result(TIMEOUT)


def mutation(clock: Clock) -> MutationRecord:
    time = clock.now()
    return MutationRecord(
        id=uuid4(),
        time=time,
        last_time=time,
        actor="ada",
        address=None,
        thing="stage",
        affordance="speed",
        method="PUT",
        path="/stage/speed",
        status=204,
    )


def keep_mutations(journal: SqliteJournal, *records: MutationRecord) -> None:
    for future in [journal.put_mutation(record) for record in records]:
        future.result(TIMEOUT)


def mutations(journal: SqliteJournal) -> set[UUID]:
    page = journal.search_mutations(JournalQuery(limit=10_000))
    return {record.id for record in page.records}


def swept(journal: SqliteJournal) -> set[UUID]:
    journal.sweep().result(TIMEOUT)
    return {record.id for record in journal.search(JournalQuery(limit=10_000)).records}


def test_invocations_are_kept_for_a_time_after_their_end(tmp_path: Path, clock: Clock) -> None:
    journal = opened(tmp_path, clock, keep_days=30)
    old, still_open, long_one = ended(clock), run(clock), run(clock)
    odd = ended(clock, time_ended=None)  # counted from its request
    keep(journal, old, still_open, long_one, odd)
    clock.advance(days=30)
    keep(journal, ended(clock, long_one))
    assert swept(journal) == {old.id, still_open.id, long_one.id, odd.id}
    clock.advance(seconds=1)
    assert swept(journal) == {still_open.id, long_one.id}
    journal.close(TIMEOUT)


def test_a_thousand_old_invocations_are_deleted_in_one_sweep(tmp_path: Path, clock: Clock) -> None:
    journal = opened(tmp_path, clock)
    keep(journal, *[ended(clock) for _ in range(1000)])
    clock.advance(days=31)
    assert swept(journal) == set()
    journal.close(TIMEOUT)


def test_the_oldest_are_deleted_for_space_and_the_file_shrinks(
    tmp_path: Path, clock: Clock
) -> None:
    journal = opened(tmp_path, clock, keep_bytes=8 * MEGABYTE)
    still_open = run(clock, input=b"x" * 50_000)
    keep(journal, still_open)
    records = []
    for _ in range(300):
        clock.advance(seconds=0.1)
        records.append(ended(clock, input=b"x" * 50_000))
    keep(journal, *records)
    before = (tmp_path / "journal.sqlite").stat().st_size
    kept = swept(journal)
    newest = {record.id for record in records[-(len(kept) - 1) :]}
    assert 30 < len(kept) < 300
    assert kept == {still_open.id} | newest
    journal.close(TIMEOUT)
    after = (tmp_path / "journal.sqlite").stat().st_size
    assert before > 20 * MEGABYTE
    assert 5 * MEGABYTE < after < 9 * MEGABYTE


def test_the_file_shrinks_while_it_is_used(tmp_path: Path, clock: Clock) -> None:
    journal = opened(tmp_path, clock)
    keep(journal, *[ended(clock, input=b"x" * 50_000) for _ in range(300)])
    clock.advance(days=31)
    assert swept(journal) == set()
    keep(journal, run(clock))
    assert (tmp_path / "journal.sqlite").stat().st_size < MEGABYTE
    journal.close(TIMEOUT)


def test_open_invocations_stay_even_if_they_are_too_large_together(
    tmp_path: Path, clock: Clock
) -> None:
    journal = opened(tmp_path, clock, keep_bytes=1)
    records = [run(clock) for _ in range(30)]
    keep(journal, *records)
    clock.advance(days=1000)
    assert swept(journal) == {record.id for record in records}
    journal.close(TIMEOUT)


def test_an_invocation_stays_as_long_as_its_key(tmp_path: Path, clock: Clock) -> None:
    """Otherwise a request that is sent again would move the instrument again."""
    journal = opened(tmp_path, clock, keep_bytes=1)
    record = ended(clock)
    key = IdempotencyKey("k1", "stage", "move", "f00", record.id, clock.now())
    journal.remember_key(key).result(TIMEOUT)
    keep(journal, record, ended(clock))
    clock.advance(seconds=1)
    assert swept(journal) == {record.id}
    assert journal.find_key(*key.name) == key
    clock.advance(seconds=KEY_LIFETIME.total_seconds())
    assert swept(journal) == set()
    journal.close(TIMEOUT)


def test_old_records_are_deleted_without_a_call(tmp_path: Path, clock: Clock) -> None:
    journal = opened(tmp_path, clock)
    old = ended(clock)
    keep(journal, old)
    clock.advance(days=31, seconds=SWEEP_SECONDS)
    keep(journal, run(clock))
    # The writer does this after the sweep.
    journal.interrupt_open_invocations()
    assert journal.get(old.id) is None
    journal.close(TIMEOUT)


def test_mutations_are_kept_for_a_time(tmp_path: Path, clock: Clock) -> None:
    journal = opened(tmp_path, clock, keep_days=30)
    old = [mutation(clock) for _ in range(MUTATIONS_PER_STEP + 1)]
    keep_mutations(journal, *old)
    clock.advance(seconds=1)
    newer = mutation(clock)
    keep_mutations(journal, newer)
    clock.advance(days=30)
    swept(journal)
    assert mutations(journal) == {newer.id}
    journal.close(TIMEOUT)


def test_mutations_have_a_share_of_the_space_and_the_oldest_are_deleted(
    tmp_path: Path, clock: Clock
) -> None:
    journal = opened(tmp_path, clock, keep_bytes=10 * AUDIT_SHARE * MUTATION_BYTES)
    records = []
    for _ in range(30):
        clock.advance(seconds=1)
        records.append(mutation(clock))
    keep_mutations(journal, *records)
    swept(journal)
    assert mutations(journal) == {record.id for record in records[-10:]}
    journal.close(TIMEOUT)


def test_large_invocations_do_not_push_out_mutations(tmp_path: Path, clock: Clock) -> None:
    """Otherwise a client could remove the record of its requests."""
    journal = opened(tmp_path, clock, keep_bytes=MEGABYTE)
    record = mutation(clock)
    keep_mutations(journal, record)
    for _ in range(100):
        clock.advance(seconds=1)
        keep(journal, ended(clock, input=b"x" * 50_000))
    assert len(swept(journal)) < 25
    assert mutations(journal) == {record.id}
    journal.close(TIMEOUT)
