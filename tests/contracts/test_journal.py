"""What every journal promises for invocations and keys."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from labthings_fastapi.exceptions import RequestError, ServerNotRunningError
from labthings_fastapi.journal.journal import Journal
from labthings_fastapi.journal.keys import KEY_LIFETIME, IdempotencyKey
from labthings_fastapi.journal.query import JournalQuery
from labthings_fastapi.journal.record import InvocationRecord
from labthings_fastapi.messages.message import InvocationStatus
from labthings_fastapi.outputs.blob_data import BlobBytes

if TYPE_CHECKING:
    from .conftest import Clock

TIMEOUT = 60.0
NOON = datetime(2024, 5, 17, 12, 0, 0, 123456, tzinfo=UTC)


def run(minutes: float = 0, **changes: Any) -> InvocationRecord:
    record = InvocationRecord(
        id=uuid4(),
        thing="stage",
        action="move",
        status=InvocationStatus.PENDING,
        requested_by="ada",
        input=b'{"x":1.5}',
        time_requested=NOON + timedelta(minutes=minutes),
        boot_id="abc",
    )
    return record._replace(**changes)


def finished(record: InvocationRecord, **changes: Any) -> InvocationRecord:
    ended = record._replace(
        status=InvocationStatus.COMPLETED,
        time_started=record.time_requested + timedelta(seconds=1),
        time_ended=record.time_requested + timedelta(seconds=2),
        output=b'["moved"]',
        log=({"message": "moving", "levelno": 20}, {"message": "there", "levelno": 20}),
        progress={"done": 3, "total": 3, "unit": None},
    )
    return ended._replace(**changes)


def keep(journal: Journal, *records: InvocationRecord) -> None:
    for future in [journal.put(record) for record in records]:
        future.result(TIMEOUT)


def pages(journal: Journal, query: JournalQuery) -> list[list[InvocationRecord]]:
    page = journal.search(query)
    found = [list(page.records)]
    while page.next_cursor is not None:
        page = journal.search(replace(query, cursor=page.next_cursor))
        found.append(list(page.records))
    return found


def ids(journal: Journal, **query: Any) -> set[UUID]:
    return {record.id for record in journal.search(JournalQuery(**query)).records}


# One record


def test_a_committed_record_is_found_as_it_was_put(journal: Journal) -> None:
    record = run()
    assert journal.put(record).result(TIMEOUT) is None
    assert journal.get(record.id) == record


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"output": None},
        {"output": b"null"},
        {"output": None, "output_reference": {"size": 70_000, "media_type": "image/png"}},
        {"status": InvocationStatus.ERROR, "error": {"title": "It broke", "errors": [{"loc": []}]}},
        {"status": InvocationStatus.CANCELLED, "requested_by": None, "progress": None, "log": ()},
        {"input": '{"name":"Zoë’s sample \U0001f52c"}'.encode()},
        {"thing": "Tisch Süd", "boot_id": ""},
        {"log_dropped": 3, "results_dropped": 2000, "partial": True, "cancel_requested": True},
        {"other_things": ("stage", "Tisch Süd")},
    ],
)
def test_no_member_of_a_finished_record_is_lost(journal: Journal, changes: dict[str, Any]) -> None:
    record = finished(run(), **changes)
    keep(journal, record)
    assert journal.get(record.id) == record


def test_times_come_back_aware_and_exact(journal: Journal) -> None:
    record = finished(run())
    keep(journal, record)
    found = journal.get(record.id)
    assert found is not None
    assert found.time_started == NOON + timedelta(seconds=1)
    assert found.time_started.utcoffset() is not None


def test_an_unknown_run_is_none(journal: Journal) -> None:
    assert journal.get(uuid4()) is None


def test_a_later_record_of_an_invocation_replaces_the_earlier(journal: Journal) -> None:
    first = run()
    last = finished(first)
    keep(journal, first, last)
    assert journal.get(first.id) == last
    assert journal.search(JournalQuery()).records == (last,)


def test_a_burst_of_records_of_one_run_ends_with_the_last(journal: Journal) -> None:
    record = run()
    steps = [record._replace(progress={"done": done}) for done in range(100)]
    keep(journal, *steps)
    assert journal.get(record.id) == steps[-1]


def test_texts_that_are_not_valid_unicode_are_kept(journal: Journal) -> None:
    """A log message may have half a surrogate pair; the record is stored all the same."""
    record = finished(run(), log=({"message": "half \ud800 pair"},), error={"detail": "\udfff"})
    keep(journal, record)
    assert journal.get(record.id) == record


def test_records_may_be_put_by_many_threads(journal: Journal) -> None:
    start = threading.Barrier(4)

    def put_many(minutes: int) -> list[InvocationRecord]:
        start.wait()
        records = [run(minutes) for _ in range(25)]
        keep(journal, *records)
        return records

    with ThreadPoolExecutor(4) as pool:
        records = [record for some in pool.map(put_many, range(4)) for record in some]
    assert all(journal.get(record.id) == record for record in records)


# Searching


def test_the_newest_request_comes_first(journal: Journal) -> None:
    records = [run(minutes) for minutes in range(10)]
    keep(journal, *records[1::2], *records[::2])
    assert list(journal.search(JournalQuery()).records) == records[::-1]


def test_an_empty_journal_has_one_empty_page(journal: Journal) -> None:
    assert pages(journal, JournalQuery()) == [[]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, {"move", "home", "grab"}),
        ({"thing": "stage"}, {"move", "home"}),
        ({"thing": "Stage"}, set()),
        ({"action": "home"}, {"home"}),
        ({"status": InvocationStatus.COMPLETED}, {"move"}),
        ({"thing": "stage", "status": InvocationStatus.PENDING}, {"home"}),
        ({"since": NOON + timedelta(minutes=1)}, {"home", "grab"}),
        ({"until": NOON + timedelta(minutes=1)}, {"move"}),
        ({"since": NOON, "until": NOON + timedelta(minutes=2)}, {"move", "home"}),
        (
            {"since": datetime(2024, 5, 17, 14, 1, tzinfo=timezone(timedelta(hours=2)))},
            {"home", "grab"},
        ),
        ({"text": ""}, {"move", "home", "grab"}),
        ({"text": "nothing like it"}, set()),
    ],
)
def test_every_filter_that_is_given_holds(
    journal: Journal, query: dict[str, Any], expected: set[str]
) -> None:
    keep(
        journal,
        finished(run(0, action="move")),
        run(1, action="home"),
        run(2, thing="camera", action="grab"),
    )
    found = journal.search(JournalQuery(**query)).records
    assert {record.action for record in found} == expected


@pytest.mark.parametrize(
    "text",
    ["CAMERA", "grab", "Grace", "exposure", "BÖSER fehler", "warm-up", "zoë", "50% of", "a_b", "'"],
)
def test_text_is_searched_everywhere_without_regard_to_case(journal: Journal, text: str) -> None:
    wanted = finished(
        run(),
        thing="Camera",
        action="grab",
        requested_by="grace",
        input=b'{"exposure":0.1,"sample":"Zo\\u00eb"}',
        output=b'{"note":"50% of it\'s a_b"}',
        error={"detail": "böser Fehler"},
        log=({"message": "the Warm-Up is over"},),
    )
    decoy = run(input=b'{"sample":"500 of aXb"}')
    keep(journal, wanted, decoy)
    assert ids(journal, text=text) == {wanted.id}


def test_pages_hold_every_run_once(journal: Journal) -> None:
    records = [run(minutes) for minutes in range(10)]
    keep(journal, *records)
    found = pages(journal, JournalQuery(limit=4))
    assert [len(page) for page in found] == [4, 4, 2]
    assert [record for page in found for record in page] == records[::-1]


def test_the_last_full_page_has_no_cursor(journal: Journal) -> None:
    keep(journal, *[run(minutes) for minutes in range(4)])
    assert [len(page) for page in pages(journal, JournalQuery(limit=2))] == [2, 2]


def test_runs_requested_at_the_same_instant_are_paged_too(journal: Journal) -> None:
    records = [run() for _ in range(10)]
    keep(journal, *records)
    found = [record.id for page in pages(journal, JournalQuery(limit=3)) for record in page]
    assert len(found) == 10
    assert set(found) == {record.id for record in records}


def test_records_that_are_added_between_pages_change_no_page(journal: Journal) -> None:
    records = [run(minutes) for minutes in range(6)]
    keep(journal, *records)
    first = journal.search(JournalQuery(limit=3))
    keep(journal, run(100), finished(records[0]))
    second = journal.search(JournalQuery(limit=3, cursor=first.next_cursor))
    assert [record.id for record in first.records + second.records] == [
        record.id for record in records[::-1]
    ]


def test_filters_hold_on_every_page(journal: Journal) -> None:
    records = [run(minutes, thing=f"thing{minutes % 2}") for minutes in range(10)]
    keep(journal, *records)
    found = pages(journal, JournalQuery(thing="thing1", limit=2))
    assert [record for page in found for record in page] == records[::-2]


@pytest.mark.parametrize("cursor", ["", "nonsense", "é", "MjAyNA", "AAAA", "' OR 1=1 --"])
def test_an_invented_cursor_is_refused(journal: Journal, cursor: str) -> None:
    with pytest.raises(RequestError, match="next_cursor"):
        journal.search(JournalQuery(cursor=cursor))


def test_a_text_that_is_not_valid_unicode_is_not_found(journal: Journal) -> None:
    keep(journal, finished(run(), log=({"message": "half \ud800 pair?"},)))
    assert ids(journal, text="\ud800") == set()
    assert ids(journal, thing="\ud800") == set()


# Keys


def key(text: str = "k1", **changes: Any) -> IdempotencyKey:
    made = IdempotencyKey(text, "stage", "move", input_digest="f00", invocation=uuid4(), time=NOON)
    return replace(made, **changes)


def test_a_key_is_found_as_it_was_remembered(journal: Journal) -> None:
    first = key()
    assert journal.find_key(*first.name) is None
    assert journal.remember_key(first).result(TIMEOUT) == first
    assert journal.find_key(*first.name) == first


def test_a_key_belongs_to_its_first_invocation(journal: Journal) -> None:
    """Two requests with one key at the same time get the same invocation."""
    first, second = key(), key()
    futures = [journal.remember_key(first), journal.remember_key(second)]
    assert [future.result(TIMEOUT) for future in futures] == [first, first]
    assert journal.remember_key(key()).result(TIMEOUT) == first
    assert journal.find_key(*first.name) == first


@pytest.mark.parametrize("other", [{"thing": "camera"}, {"action": "home"}, {"key": "K1"}])
def test_a_key_belongs_to_one_action_of_one_thing(journal: Journal, other: dict[str, Any]) -> None:
    first, second = key(), key(**other)
    for each in (first, second):
        assert journal.remember_key(each).result(TIMEOUT) == each
    assert journal.find_key(*first.name) == first


def test_a_key_may_be_used_again_after_a_day(journal: Journal, clock: Clock) -> None:
    first = key()
    journal.remember_key(first).result(TIMEOUT)
    clock.now = NOON + KEY_LIFETIME
    assert journal.find_key(*first.name) == first
    clock.now += timedelta(seconds=1)
    assert journal.find_key(*first.name) is None
    again = key(time=clock.now)
    assert journal.remember_key(again).result(TIMEOUT) == again
    assert journal.find_key(*first.name) == again


def test_a_key_of_a_refused_run_may_be_used_again(journal: Journal) -> None:
    first, second = key(), key(invocation=uuid4())
    journal.remember_key(first).result(TIMEOUT)
    journal.forget_key(second).result(TIMEOUT)
    assert journal.find_key(*first.name) == first, "it belongs to another invocation"
    journal.forget_key(first).result(TIMEOUT)
    assert journal.find_key(*first.name) is None
    assert journal.remember_key(second).result(TIMEOUT) == second


def test_a_key_that_is_not_valid_unicode_does_not_harm_others(journal: Journal) -> None:
    journal.remember_key(key("\ud800")).exception(TIMEOUT)
    assert journal.find_key("\udfff", "stage", "move") is None
    assert journal.remember_key(key()).result(TIMEOUT) == journal.find_key("k1", "stage", "move")


# Another start of the server


def test_open_runs_of_this_start_are_not_interrupted(journal: Journal) -> None:
    mine = run()
    keep(journal, mine)
    assert journal.interrupt_open_invocations() == []
    assert journal.get(mine.id) == mine


# Closing


def test_closing_is_idempotent(journal: Journal) -> None:
    keep(journal, run())
    journal.close(TIMEOUT)
    journal.close(TIMEOUT)


def test_records_that_were_put_before_closing_are_committed(journal: Journal) -> None:
    futures = [journal.put(run(minutes)) for minutes in range(50)]
    journal.close(TIMEOUT)
    assert [future.result(0) for future in futures] == [None] * 50


def test_a_closed_journal_can_still_be_read(journal: Journal) -> None:
    record = run()
    keep(journal, record)
    journal.close(TIMEOUT)
    assert journal.get(record.id) == record
    assert journal.search(JournalQuery()).records == (record,)


def test_a_closed_journal_remembers_no_key(journal: Journal) -> None:
    journal.close(TIMEOUT)
    with pytest.raises(ServerNotRunningError, match="k1"):
        journal.remember_key(key()).result(TIMEOUT)


def test_a_journal_that_was_never_used_can_be_closed_and_read(journal: Journal) -> None:
    journal.close(TIMEOUT)
    assert journal.get(uuid4()) is None
    assert journal.find_key("k1", "stage", "move") is None
    assert pages(journal, JournalQuery()) == [[]]


def test_a_closed_journal_refuses_records(journal: Journal) -> None:
    journal.close(TIMEOUT)
    record = run()
    with pytest.raises(ServerNotRunningError, match=str(record.id)):
        journal.put(record).result(TIMEOUT)


def test_a_pin_is_told_with_the_record_until_it_is_taken_away(journal: Journal) -> None:
    record = run()
    keep(journal, record)
    assert journal.pin(record.id, pinned=True).result(TIMEOUT) is True
    keep(journal, finished(record))
    found = journal.get(record.id)
    assert found is not None
    assert found.pinned
    assert [each.pinned for each in journal.search(JournalQuery()).records] == [True]
    assert journal.pin(record.id, pinned=False).result(TIMEOUT) is True
    found = journal.get(record.id)
    assert found is not None
    assert not found.pinned


def test_what_is_not_recorded_cannot_be_pinned(journal: Journal) -> None:
    assert journal.pin(uuid4(), pinned=True).result(TIMEOUT) is False


def test_the_oldest_outputs_go_first_and_their_records_say_so(journal: Journal) -> None:
    outputs = journal.outputs
    assert outputs is not None
    records = [finished(run(minute)) for minute in range(4)]
    still_open = run(-10)
    keep(journal, *records, still_open)
    blobs = [BlobBytes(b"x" * 1000) for _ in range(5)]
    for record, blob in zip([*records, still_open], blobs, strict=True):
        outputs.keep_blob(record.id, blob)
    journal.pin(records[0].id, pinned=True).result(TIMEOUT)
    assert journal.evictable_bytes() == 3000
    outputs.limit = 3500
    journal.evict_outputs()
    kept = [outputs.find_blob(blob.id) is not None for blob in blobs]
    assert kept == [True, False, False, True, True]
    dropped = [journal.get(each.id) for each in records]
    assert [each.outputs_dropped for each in dropped if each] == [0, 1000, 1000, 0]
    for each in dropped[1:3]:
        assert each is not None
        assert each.output == b'["moved"]'
        assert "max_output_bytes" in each.log[-1]["message"]
    assert outputs.excess() == 0
