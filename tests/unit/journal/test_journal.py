from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from labthings_fastapi.journal.journal import MemoryJournal
from labthings_fastapi.journal.query import JournalQuery
from labthings_fastapi.journal.record import InvocationRecord
from labthings_fastapi.messages.message import InvocationStatus


def run(number: int) -> InvocationRecord:
    time = datetime(2024, 5, 17, tzinfo=UTC) + timedelta(minutes=number)
    status = InvocationStatus.PENDING
    return InvocationRecord(UUID(int=number), "stage", "move", status, None, b"{}", time)


def test_the_newest_runs_are_kept() -> None:
    journal = MemoryJournal(limit=3)
    for number in range(5):
        journal.put(run(number))
    assert [record.id.int for record in journal.search(JournalQuery()).records] == [4, 3, 2]
    assert journal.get(UUID(int=1)) is None


def test_a_record_that_is_replaced_drops_no_other() -> None:
    journal = MemoryJournal(limit=3)
    for number in (0, 1, 2, 2, 2, 0):
        journal.put(run(number))
    assert len(journal.search(JournalQuery()).records) == 3


def test_a_record_is_committed_at_once() -> None:
    assert MemoryJournal().put(run(1)).done()


def test_a_closed_journal_can_still_be_read() -> None:
    journal = MemoryJournal()
    journal.put(run(1))
    journal.close(timeout=0)
    assert journal.get(UUID(int=1)) == run(1)


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="limit is 0"):
        MemoryJournal(limit=0)
