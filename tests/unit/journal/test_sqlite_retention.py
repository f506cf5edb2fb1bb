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
from labthings_fastapi.journal.retention import HEAD_BYTES, TRAIL_PER_STEP, TRAIL_SHARE
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
    return record._replace(**changes)


def ended(clock: Clock, record: InvocationRecord | None = None, **changes: Any) -> InvocationRecord:
    status, now = InvocationStatus.COMPLETED, clock.now()
    return (record or run(clock))._replace(status=status, time_ended=now)._replace(**changes)


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
    """Return the invocations that have their details after a sweep."""
    journal.sweep().result(TIMEOUT)
    found = journal.search(JournalQuery(limit=10_000)).records
    return {record.id for record in found if not record.details_dropped}


def heads(journal: SqliteJournal) -> set[UUID]:
    found = journal.search(JournalQuery(limit=10_000)).records
    return {record.id for record in found if record.details_dropped}


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


def test_the_head_of_an_invocation_stays_as_long_as_its_key(tmp_path: Path, clock: Clock) -> None:
    """Otherwise a request that is sent again would move the instrument again."""
    journal = opened(tmp_path, clock, keep_bytes=1)
    record = ended(clock, input=b'"large"', log=({"message": "secret"},))
    key = IdempotencyKey("k1", "stage", "move", "f00", record.id, clock.now())
    journal.remember_key(key).result(TIMEOUT)
    keep(journal, record, *[ended(clock) for _ in range(5)])
    clock.advance(seconds=1)
    assert swept(journal) == set()
    assert heads(journal) == {record.id}, "keep_bytes has space for one"
    assert journal.find_key(*key.name) == key
    kept = journal.get(record.id)
    assert kept is not None
    assert kept.status is InvocationStatus.COMPLETED
    assert (kept.input, kept.log, kept.log_dropped) == (b"null", (), 1)
    clock.advance(seconds=KEY_LIFETIME.total_seconds())
    keep(journal, newer := ended(clock))
    swept(journal)
    assert heads(journal) == {newer.id}
    journal.close(TIMEOUT)


def test_space_for_one_large_invocation_is_taken_from_few_others(
    tmp_path: Path, clock: Clock
) -> None:
    journal = opened(tmp_path, clock, keep_bytes=8 * MEGABYTE)
    records = []
    for _ in range(70):
        clock.advance(seconds=1)
        records.append(ended(clock, requested_by="ada", input=b"x" * 50_000))
    keep(journal, *records)
    assert len(swept(journal)) == 70
    clock.advance(seconds=1)
    keep(journal, large := ended(clock, requested_by="eve", input=b"x" * (2 * MEGABYTE)))
    kept = swept(journal)
    needed = 70 - (len(kept) - 1)
    assert 0 < needed < 40
    assert kept == {large.id} | {record.id for record in records[needed:]}
    assert heads(journal) == {record.id for record in records[:needed]}
    journal.close(TIMEOUT)


@pytest.mark.parametrize("log", [(), ({"message": "x" * 300},)])
def test_details_of_small_invocations_give_their_space_back(
    tmp_path: Path, clock: Clock, log: tuple[dict[str, Any], ...]
) -> None:
    """Heads are moved together: between the gaps that they leave, no page would become free."""
    journal = opened(tmp_path, clock, keep_bytes=2 * MEGABYTE)
    records = []
    for _ in range(1500):
        clock.advance(seconds=1)
        records.append(ended(clock, input=b"1" * 900, log=log))
    keep(journal, *records)
    kept = swept(journal)
    assert len(kept) > 200
    assert kept == {record.id for record in records[-len(kept) :]}
    assert len(heads(journal)) > 300
    journal.close(TIMEOUT)


def test_large_invocations_do_not_push_out_the_heads_of_others(
    tmp_path: Path, clock: Clock
) -> None:
    """Otherwise a client could remove the record of what it did."""
    journal = opened(tmp_path, clock, keep_bytes=MEGABYTE)
    failure = {"type": "about:blank", "title": "It broke", "status": 500, "detail": "d" * 5000}
    deed = ended(
        clock,
        requested_by="eve",
        address="10.0.0.9",
        input=b'"deed"',
        output=b"[1]",
        error=failure,
    )
    keep(journal, deed)
    for _ in range(100):
        clock.advance(seconds=1)
        keep(journal, ended(clock, input=b"x" * 50_000))
    assert len(swept(journal)) < 25
    kept = journal.get(deed.id)
    assert kept is not None
    assert (kept.requested_by, kept.address, kept.action) == ("eve", "10.0.0.9", "move")
    assert kept.time_ended == deed.time_ended
    assert kept.output_reference == {"size": 3, "media_type": "application/json"}
    assert kept.error is not None
    assert kept.error["title"] == "It broke"
    assert len(kept.error["detail"]) == 200
    assert journal.search(JournalQuery(actor="eve", text="MOVE")).records == (kept,)
    journal.close(TIMEOUT)


def test_who_sends_much_pushes_out_nobody_else(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    journal = opened(tmp_path, clock, keep_bytes=20 * TRAIL_SHARE * HEAD_BYTES, keep_days=1)
    deed, change = ended(clock, requested_by="ada"), mutation(clock)
    keep(journal, deed)
    keep_mutations(journal, change)
    for _ in range(100):
        clock.advance(seconds=1)
        keep(journal, ended(clock, requested_by="eve"))
        keep_mutations(journal, replace(mutation(clock), actor="eve"))
    clock.advance(days=2)
    swept(journal)
    assert len(heads(journal)) == 20
    assert deed.id in heads(journal)
    assert len(mutations(journal)) == 20
    assert change.id in mutations(journal)
    warned = [line for line in caplog.messages if "'eve'" in line]
    assert 1 <= len(warned) <= 4, "not for each deleted entry"
    journal.close(TIMEOUT)


def test_the_trail_has_an_age_of_its_own(tmp_path: Path, clock: Clock) -> None:
    journal = opened(tmp_path, clock, keep_days=1, keep_trail_days=10)
    keep(journal, record := ended(clock))
    keep_mutations(journal, change := mutation(clock))
    clock.advance(days=10)
    assert swept(journal) == set()
    assert heads(journal) == {record.id}
    assert mutations(journal) == {change.id}
    clock.advance(seconds=1)
    swept(journal)
    assert heads(journal) == set()
    assert mutations(journal) == set()
    assert journal.get(record.id) is None
    journal.close(TIMEOUT)


def test_old_records_are_deleted_without_a_call(tmp_path: Path, clock: Clock) -> None:
    journal = opened(tmp_path, clock)
    old = ended(clock)
    keep(journal, old)
    clock.advance(days=31, seconds=SWEEP_SECONDS)
    keep(journal, run(clock))
    # The writer does this after the sweep.
    journal.interrupt_open_invocations()
    kept = journal.get(old.id)
    assert kept is not None
    assert kept.details_dropped
    journal.close(TIMEOUT)


def test_mutations_are_kept_for_a_time(tmp_path: Path, clock: Clock) -> None:
    journal = opened(tmp_path, clock, keep_days=1, keep_trail_days=30)
    old = [mutation(clock) for _ in range(TRAIL_PER_STEP + 1)]
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
    journal = opened(tmp_path, clock, keep_bytes=10 * TRAIL_SHARE * HEAD_BYTES)
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
