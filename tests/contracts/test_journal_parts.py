"""What every journal promises for invocations in progress: parts of their records."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from labthings_fastapi.exceptions import ServerNotRunningError
from labthings_fastapi.journal.journal import Journal
from labthings_fastapi.journal.part import Addition, InvocationPart
from labthings_fastapi.journal.query import JournalQuery
from labthings_fastapi.journal.record import OUTPUT_LIMIT, InvocationRecord
from labthings_fastapi.messages.message import InvocationStatus

TIMEOUT = 60.0
NOON = datetime(2024, 5, 17, 12, tzinfo=UTC)
Lines = Addition[dict[str, Any]]


def run(minutes: float = 0, **changes: Any) -> InvocationRecord:
    record = InvocationRecord(
        id=uuid4(),
        thing="scanner",
        action="scan",
        status=InvocationStatus.PENDING,
        requested_by="ada",
        input=b"{}",
        time_requested=NOON + timedelta(minutes=minutes),
        boot_id="abc",
    )
    return record._replace(**changes)


def finished(record: InvocationRecord) -> InvocationRecord:
    return record._replace(
        status=InvocationStatus.COMPLETED,
        time_ended=record.time_requested + timedelta(seconds=2),
        output=b'["scanned"]',
        log=({"message": "there"},),
    )


def keep(journal: Journal, *records: InvocationRecord) -> None:
    for future in [journal.put(record) for record in records]:
        future.result(TIMEOUT)


def lines(first: int, last: int, kept: int = 1000) -> Lines:
    numbers = range(max(first, last - kept + 1), last + 1)
    return Addition(tuple({"message": f"line {number}"} for number in numbers), last, kept)


def results(first: int, last: int, kept: int = 1000) -> Addition[bytes]:
    numbers = range(max(first, last - kept + 1), last + 1)
    return Addition(tuple(b'{"x":%d}' % number for number in numbers), last, kept)


def add(journal: Journal, *parts: InvocationPart) -> None:
    for future in [journal.put_part(part) for part in parts]:
        future.result(TIMEOUT)


def found(journal: Journal, record: InvocationRecord) -> InvocationRecord:
    kept = journal.get(record.id)
    assert kept is not None
    return kept


def test_an_open_run_shows_what_it_has_added_so_far(journal: Journal) -> None:
    record, progress = run(), {"done": 1, "total": 4}
    keep(journal, record)
    add(
        journal,
        InvocationPart(record.id, log=lines(1, 2)),
        InvocationPart(record.id, results=results(1, 2), things=("stage",)),
        InvocationPart(record.id, log=lines(3, 3), progress=progress, things=("stage", "laser")),
        InvocationPart(record.id, results=results(3, 3), progress={"done": 2, "total": 4}),
    )
    assert found(journal, record) == record._replace(
        log=lines(1, 3).items,
        output=b'[{"x":1},{"x":2},{"x":3}]',
        partial=True,
        progress={"done": 2, "total": 4},
        other_things=("stage", "laser"),
    )
    (listed,) = journal.search(JournalQuery()).records
    assert listed == found(journal, record)._replace(output=None, partial=False)


def test_large_results_of_an_open_run_are_a_reference_like_other_large_outputs(
    journal: Journal,
) -> None:
    record = run()
    keep(journal, record)
    large = Addition((b'"%b"' % (b"x" * OUTPUT_LIMIT),), 1, 10)
    add(journal, InvocationPart(record.id, results=large))
    kept = found(journal, record)
    assert kept.output is None
    assert kept.output_reference is not None
    assert kept.output_reference["size"] > OUTPUT_LIMIT


def test_a_search_finds_the_log_of_an_open_run(journal: Journal) -> None:
    record = run()
    keep(journal, record)
    add(journal, InvocationPart(record.id, log=lines(1, 2)))
    assert len(journal.search(JournalQuery(text="line 2")).records) == 1
    assert journal.search(JournalQuery(text="line 3")).records == ()


def test_a_change_of_the_status_keeps_the_parts(journal: Journal) -> None:
    record = run()
    keep(journal, record)
    add(journal, InvocationPart(record.id, log=lines(1, 2)))
    running = record._replace(status=InvocationStatus.RUNNING, cancel_requested=True)
    keep(journal, running)
    assert found(journal, record) == running._replace(log=lines(1, 2).items)


def test_the_final_record_replaces_the_parts(journal: Journal) -> None:
    record = run()
    keep(journal, record)
    add(journal, InvocationPart(record.id, lines(1, 2), results(1, 2), {"done": 1}, ("laser",)))
    last = finished(record)
    keep(journal, last)
    assert found(journal, record) == last
    add(journal, InvocationPart(record.id, log=lines(3, 3)))
    assert found(journal, record) == last, "a part that comes after the end does nothing"


def test_parts_and_the_end_that_are_put_at_once_leave_the_end(journal: Journal) -> None:
    record, last = run(), finished(run())
    last = last._replace(id=record.id)
    futures = [
        journal.put(record),
        journal.put_part(InvocationPart(record.id, log=lines(1, 2))),
        journal.put(last),
    ]
    for future in futures:
        future.result(TIMEOUT)
    assert found(journal, record) == last


def test_what_is_no_longer_kept_is_dropped_and_counted(journal: Journal) -> None:
    record = run()
    keep(journal, record)
    for last in range(10, 101, 10):
        add(
            journal,
            InvocationPart(record.id, lines(last - 9, last, 15), results(last - 9, last, 15)),
        )
    kept = found(journal, record)
    assert len(kept.log) + kept.log_dropped == 100
    assert 15 <= len(kept.log) < 30, "the journal may keep a part whole"
    assert kept.log[-1] == {"message": "line 100"}
    assert kept.output is not None
    assert kept.results_dropped + kept.output.count(b"x") == 100
    assert kept.output.endswith(b'{"x":100}]')


def test_a_part_that_has_lost_lines_counts_them(journal: Journal) -> None:
    record = run()
    keep(journal, record)
    add(journal, InvocationPart(record.id, log=lines(1, 5000, kept=3)))
    kept = found(journal, record)
    assert (len(kept.log), kept.log_dropped) == (3, 4997)


def test_texts_that_are_not_valid_unicode_are_kept_in_parts(journal: Journal) -> None:
    record = run()
    keep(journal, record)
    line = {"message": "half \ud800 pair"}
    add(journal, InvocationPart(record.id, log=Addition((line,), 1, 10)))
    assert found(journal, record).log == (line,)


def test_a_part_of_an_unknown_run_is_no_error(journal: Journal) -> None:
    record = run()
    add(journal, InvocationPart(record.id, log=lines(1, 2)))
    assert journal.get(record.id) is None


def test_many_runs_add_parts_at_once(journal: Journal) -> None:
    records = [run(minutes) for minutes in range(200)]
    keep(journal, *records)
    add(journal, *(InvocationPart(record.id, lines(1, 3), results(1, 2)) for record in records))
    assert all(len(found(journal, record).log) == 3 for record in records)


def test_a_closed_journal_takes_no_part(journal: Journal) -> None:
    record = run()
    keep(journal, record)
    journal.close(TIMEOUT)
    with pytest.raises(ServerNotRunningError):
        journal.put_part(InvocationPart(record.id, log=lines(1, 2))).result(TIMEOUT)


def test_without_a_crash_there_is_nothing_to_make_safe(journal: Journal) -> None:
    keep(journal, run())
    journal.interrupt_open_invocations()
    assert journal.things_to_make_safe() == []
    assert journal.made_safe("stage", "It was at rest.").result(TIMEOUT) is None
