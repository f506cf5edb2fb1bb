"""Requests that were refused are counted, and cannot fill the journal."""

from __future__ import annotations

from uuid import UUID

import pytest

from labthings_fastapi.journal.journal import MemoryJournal
from labthings_fastapi.journal.mutation import MutationRecord
from labthings_fastapi.journal.query import JournalQuery
from labthings_fastapi.server.access.audit import (
    MAX_REFUSED,
    MAX_REFUSED_ACTORS,
    Audit,
    Mutation,
)


class Recording(MemoryJournal):
    """A journal that knows how many rows were written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[UUID] = []

    def put_mutation(self, record: MutationRecord):
        self.written.append(record.id)
        return super().put_mutation(record)


@pytest.fixture
def journal() -> Recording:
    return Recording()


@pytest.fixture
def audit(journal: Recording) -> Audit:
    return Audit(lambda: journal, "boot")


def refused(number: int = 0, actor: str | None = "eve", address: str = "10.0.0.9") -> Mutation:
    return Mutation(actor, address, "stage", "speed", "PUT", f"/stage/{number}", 403)


def kept(journal: Recording) -> list[MutationRecord]:
    return list(journal.search_mutations(JournalQuery(limit=100_000)).records)


def test_many_different_refusals_of_one_actor_are_few_records_with_all_of_them_counted(
    audit: Audit, journal: Recording
) -> None:
    for number in range(1000):
        audit.note(refused(number))
    audit.write()
    assert len(kept(journal)) == len(journal.written) == MAX_REFUSED + 1
    assert sum(record.count for record in kept(journal)) == 1000
    (rest,) = [record for record in kept(journal) if record.path == ""]
    assert (rest.actor, rest.address, rest.status) == ("eve", "10.0.0.9", 400)
    assert rest.count == 1000 - MAX_REFUSED


def test_who_reads_the_journal_does_not_begin_the_count_again(
    audit: Audit, journal: Recording
) -> None:
    for number in range(200):
        audit.note(refused(number))
        audit.write()  # as a reader does
    assert len(kept(journal)) == MAX_REFUSED + 1
    assert sum(record.count for record in kept(journal)) == 200


def test_a_refusal_that_is_repeated_is_written_once_until_its_time_is_over(
    audit: Audit, journal: Recording
) -> None:
    for _ in range(50):  # seconds
        for _ in range(27):
            audit.note(refused())
        audit._write_soon()
    assert len(journal.written) == 1
    audit._end_refusals()
    assert len(journal.written) == 2
    (record,) = kept(journal)
    assert record.count == 50 * 27
    assert record.last_time > record.time
    audit.note(refused())
    audit.write()
    assert [each.count for each in kept(journal)] == [1, 1350]


def test_refusals_of_many_addresses_share_a_record(audit: Audit, journal: Recording) -> None:
    for number in range(10 * MAX_REFUSED_ACTORS):
        audit.note(refused(address=f"fd00::{number:x}", actor=None))
    audit.write()
    assert len(kept(journal)) == MAX_REFUSED_ACTORS + 1
    assert sum(record.count for record in kept(journal)) == 10 * MAX_REFUSED_ACTORS


def test_one_actor_does_not_hide_the_refusals_or_changes_of_another(
    audit: Audit, journal: Recording
) -> None:
    for number in range(1000):
        audit.note(refused(number))
    audit.note(refused(7, actor="ada", address="10.0.0.1"))
    audit.note(refused(8, actor="eve")._replace(status=204))
    audit.write()
    found = {(record.actor, record.path, record.status) for record in kept(journal)}
    assert ("ada", "/stage/7", 403) in found
    assert ("eve", "/stage/8", 204) in found
