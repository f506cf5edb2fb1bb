"""What every journal promises for mutations, and for lists of both kinds of records."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from labthings_fastapi.exceptions import RequestError, ServerNotRunningError
from labthings_fastapi.journal.mutation import MutationRecord
from labthings_fastapi.journal.query import JournalQuery
from labthings_fastapi.journal.record import InvocationRecord
from labthings_fastapi.messages.message import InvocationStatus

if TYPE_CHECKING:
    from labthings_fastapi.journal.journal import Journal

TIMEOUT = 60.0
NOON = datetime(2024, 5, 17, 12, 0, 0, 123456, tzinfo=UTC)


def mutation(minutes: float = 0, **changes: Any) -> MutationRecord:
    time = NOON + timedelta(minutes=minutes)
    record = MutationRecord(
        id=uuid4(),
        time=time,
        last_time=time + timedelta(seconds=1),
        actor="ada",
        address="192.0.2.1",
        thing="stage",
        affordance="speed",
        method="PUT",
        path="/stage/speed",
        status=204,
        boot_id="abc",
    )
    return replace(record, **changes)


def run(minutes: float = 0, **changes: Any) -> InvocationRecord:
    time = NOON + timedelta(minutes=minutes)
    status = InvocationStatus.COMPLETED
    record = InvocationRecord(
        uuid4(), "stage", "move", status, "ada", b"{}", time, time_ended=time, boot_id="abc"
    )
    return replace(record, **changes)


def keep(journal: Journal, *records: MutationRecord | InvocationRecord) -> None:
    futures = [
        journal.put_mutation(record) if isinstance(record, MutationRecord) else journal.put(record)
        for record in records
    ]
    for future in futures:
        assert future.result(TIMEOUT) is None


def found(journal: Journal, **query: Any) -> list[MutationRecord]:
    return list(journal.search_mutations(JournalQuery(**query)).records)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"actor": None, "address": None},
        {"count": 1000, "status": 403},
        {"thing": "", "affordance": "", "method": "", "path": ""},
        {"method": "writeproperty", "path": "ws", "affordance": "Größe"},
    ],
)
def test_no_member_of_a_mutation_is_lost(journal: Journal, changes: dict[str, Any]) -> None:
    record = mutation(**changes)
    keep(journal, record)
    assert journal.get_mutation(record.id) == record
    assert found(journal) == [record]


def test_mutations_and_invocations_are_separate(journal: Journal) -> None:
    moved, written = run(), mutation()
    keep(journal, moved, written)
    assert journal.search(JournalQuery()).records == (moved,)
    assert found(journal) == [written]
    assert journal.get(written.id) is None
    assert journal.get_mutation(moved.id) is None
    assert journal.get_mutation(uuid4()) is None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["gain", "home", "speed"]),
        ({"thing": "stage"}, ["home", "speed"]),
        ({"action": "gain"}, ["gain"]),
        ({"actor": "ada"}, ["gain", "speed"]),
        ({"actor": "eve"}, []),
        ({"status": InvocationStatus.COMPLETED}, ["gain", "speed"]),
        ({"status": InvocationStatus.ERROR}, ["home"]),
        ({"status": InvocationStatus.CANCELLED}, []),
        ({"since": NOON + timedelta(minutes=1)}, ["gain", "home"]),
        ({"until": datetime(2024, 5, 17, 14, 1, tzinfo=timezone(timedelta(hours=2)))}, ["speed"]),
        ({"text": "AGE"}, ["home", "speed"]),
        ({"text": "bob"}, ["home"]),
        ({"text": "%"}, []),
        ({"text": "\ud800"}, []),
        ({"actor": "\ud800"}, []),
    ],
)
def test_every_filter_limits_the_mutations(
    journal: Journal, query: dict[str, Any], expected: list[str]
) -> None:
    keep(
        journal,
        mutation(0),
        mutation(1, affordance="home", status=403, actor="bob"),
        mutation(2, affordance="gain", thing="camera"),
    )
    assert [record.affordance for record in found(journal, **query)] == expected


def test_pages_of_mutations_have_no_repeats_and_no_gaps(journal: Journal) -> None:
    records = [mutation(minutes // 2) for minutes in range(7)]
    keep(journal, *records)
    page = journal.search_mutations(JournalQuery(limit=3))
    listed = list(page.records)
    while page.next_cursor is not None:
        keep(journal, mutation(100))
        page = journal.search_mutations(JournalQuery(limit=3, cursor=page.next_cursor))
        listed += page.records
    assert listed == sorted(records, key=lambda record: record.sort_key, reverse=True)


def test_an_invented_cursor_is_refused(journal: Journal) -> None:
    for search in (journal.search_mutations, journal.search_all):
        with pytest.raises(RequestError, match="next_cursor"):
            search(JournalQuery(cursor="nonsense"))


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7])
@pytest.mark.parametrize("order", ["MRMRMR", "RRRMMM", "MMMRRR", "RRRRRR", "MMMMMM"])
def test_pages_of_both_kinds_have_no_repeats_and_no_gaps(
    journal: Journal, order: str, limit: int
) -> None:
    records = [
        run(minutes) if kind == "R" else mutation(minutes) for minutes, kind in enumerate(order)
    ]
    keep(journal, *records)
    page = journal.search_all(JournalQuery(limit=limit))
    pages = [list(page.records)]
    while page.next_cursor is not None:
        page = journal.search_all(JournalQuery(limit=limit, cursor=page.next_cursor))
        pages.append(list(page.records))
    assert [record for page_ in pages for record in page_] == records[::-1]
    assert len(pages) == -(-6 // limit), "the last page is not empty, and only it is shorter"


def test_records_of_both_kinds_at_the_same_time_are_paged(journal: Journal) -> None:
    records = [*(run() for _ in range(4)), *(mutation() for _ in range(4))]
    keep(journal, *records)
    page = journal.search_all(JournalQuery(limit=3))
    listed = [record.id for record in page.records]
    while page.next_cursor is not None:
        page = journal.search_all(JournalQuery(limit=3, cursor=page.next_cursor))
        listed += [record.id for record in page.records]
    assert listed == sorted((record.id for record in records), reverse=True)


def test_filters_of_a_list_of_both_kinds_hold(journal: Journal) -> None:
    moved, written = run(0), mutation(1)
    keep(journal, moved, written, run(2, requested_by="bob"), mutation(3, actor=None))
    assert journal.search_all(JournalQuery(actor="ada")).records == (written, moved)


def test_mutations_may_be_put_by_many_threads(journal: Journal) -> None:
    start = threading.Barrier(4)

    def put_many(minutes: int) -> list[MutationRecord]:
        start.wait()
        records = [mutation(minutes) for _ in range(25)]
        keep(journal, *records, run(minutes))
        return records

    with ThreadPoolExecutor(4) as pool:
        records = [record for some in pool.map(put_many, range(4)) for record in some]
    assert {record.id for record in found(journal)} == {record.id for record in records}
    assert len(journal.search(JournalQuery()).records) == 4


def test_mutations_that_were_put_before_closing_are_committed(journal: Journal) -> None:
    records = [mutation(minutes) for minutes in range(50)]
    futures = [journal.put_mutation(record) for record in records]
    journal.close(TIMEOUT)
    assert [future.result(0) for future in futures] == [None] * 50
    assert found(journal) == records[::-1], "a closed journal can be read"


def test_a_closed_journal_refuses_mutations(journal: Journal) -> None:
    journal.close(TIMEOUT)
    record = mutation()
    with pytest.raises(ServerNotRunningError, match=str(record.id)):
        journal.put_mutation(record).result(TIMEOUT)
    assert found(journal) == []


@pytest.mark.parametrize("name", ["time", "last_time"])
def test_a_time_without_a_zone_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match=f"{name} is 2024.*no time zone"):
        mutation(**{name: datetime(2024, 5, 17)})  # noqa: DTZ001
