"""The journal in a file and the journal in memory give equal answers to random calls."""

from __future__ import annotations

import json
import tempfile
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from labthings_fastapi.journal.journal import Journal, MemoryJournal
from labthings_fastapi.journal.keys import IdempotencyKey
from labthings_fastapi.journal.mutation import MutationRecord
from labthings_fastapi.journal.query import JournalQuery
from labthings_fastapi.journal.record import InvocationRecord
from labthings_fastapi.journal.sqlite import SqliteJournal
from labthings_fastapi.messages.message import InvocationStatus

TIMEOUT = 60.0
NOON = datetime(2024, 5, 17, 12, tzinfo=UTC)

ids = st.integers(0, 9).map(lambda number: UUID(int=number << 120 | number))
THINGS = ["stage", "camera", "Tisch Süd"]
ACTORS = [None, "ada", "Übung", ""]
things = st.sampled_from(THINGS)
actions = st.sampled_from(["move", "grab"])
statuses = st.sampled_from(InvocationStatus)
times = st.integers(-3, 3).map(lambda number: NOON + timedelta(seconds=number / 3))
any_text = st.text(st.characters(), max_size=8)  # also half surrogate pairs and NULs
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=5,
)
objects = st.dictionaries(any_text, values, max_size=3)
payloads = values.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=8)


def of_one_invocation(record: InvocationRecord) -> InvocationRecord:
    """Give all records of an invocation the same Thing, actor and time, as the port demands."""
    number = record.id.int % 16
    return record._replace(
        thing=THINGS[number % 3],
        requested_by=ACTORS[number % 4],
        time_requested=NOON + timedelta(seconds=(number % 7 - 3) / 3),
    )


def a_record(**fields: Any) -> InvocationRecord:
    """Make a record; hypothesis would invent fields that no journal stores."""
    return InvocationRecord(**fields)


records = st.builds(
    a_record,
    id=ids,
    thing=things,
    action=actions,
    status=statuses,
    requested_by=st.none(),
    input=payloads,
    time_requested=times,
    time_started=st.none() | times,
    time_ended=st.none() | times,
    error=st.none() | objects,
    output=st.none() | payloads,
    output_reference=st.none() | objects,
    log=st.lists(objects | any_text.map(lambda text: {"message": text}), max_size=3).map(tuple),
    progress=st.none() | objects,
    boot_id=st.just("one"),
).map(of_one_invocation)
valid_text = st.text(st.characters(codec="utf-8"), max_size=8)
mutations = st.builds(
    MutationRecord,
    ids,
    time=times,
    last_time=times,
    actor=st.sampled_from(ACTORS),
    address=st.none() | valid_text,
    thing=things,
    affordance=valid_text,
    method=st.sampled_from(["PUT", "writeproperty", ""]),
    path=valid_text,
    status=st.sampled_from([204, 399, 400, 403]),
    count=st.integers(1, 1000),
)
queries = st.builds(
    JournalQuery,
    actor=st.sampled_from([None, *ACTORS]),
    thing=st.none() | things | any_text,
    action=st.none() | actions,
    status=st.none() | statuses,
    since=st.none() | times,
    until=st.none() | times,
    text=st.none() | any_text.map(lambda text: text[:2]),
    limit=st.integers(1, 5),
)
key_names = st.tuples(st.sampled_from(["k1", "k2", "ü"]), things, actions)


class JournalMachine(RuleBasedStateMachine):
    """Random calls, among them restarts."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOON
        self.folder = tempfile.TemporaryDirectory()
        self.memory = MemoryJournal(clock=lambda: self.now)
        self.sqlite = self.opened()
        self.waiting: list[Future[None]] = []

    def opened(self) -> SqliteJournal:
        return SqliteJournal(
            Path(self.folder.name) / "journal.sqlite",
            boot_id="one",
            keep_days=1e6,
            clock=lambda: self.now,
            monotonic=lambda: 0.0,
        )

    @property
    def both(self) -> tuple[Journal, Journal]:
        return self.memory, self.sqlite

    def settle(self) -> None:
        for future in self.waiting:
            assert future.result(TIMEOUT) is None
        self.waiting.clear()

    @rule(some=st.lists(records, min_size=1, max_size=5))
    def put(self, some: list[InvocationRecord]) -> None:
        for record in some:
            self.memory.put(record)
            self.waiting.append(self.sqlite.put(record))

    @rule(record=records, count=st.integers(2, 120))
    def put_a_burst(self, record: InvocationRecord, count: int) -> None:
        self.put([record._replace(progress={"done": done}) for done in range(count)])

    @rule(some=st.lists(mutations, min_size=1, max_size=5))
    def put_mutations(self, some: list[MutationRecord]) -> None:
        for record in some:
            self.memory.put_mutation(record)
            self.waiting.append(self.sqlite.put_mutation(record))

    @rule(id=ids)
    def get(self, id: UUID) -> None:
        self.settle()
        assert self.memory.get(id) == self.sqlite.get(id)
        assert self.memory.get_mutation(id) == self.sqlite.get_mutation(id)

    @rule(query=queries, search=st.sampled_from(["search", "search_mutations", "search_all"]))
    def search(self, query: JournalQuery, search: str) -> None:
        self.settle()
        cursor: str | None = None
        while True:
            page_query = replace(query, cursor=cursor)
            expected, found = (getattr(journal, search)(page_query) for journal in self.both)
            assert expected == found
            cursor = expected.next_cursor
            if cursor is None:
                break

    @rule(name=key_names, record=records)
    def remember(self, name: tuple[str, str, str], record: InvocationRecord) -> None:
        key = IdempotencyKey(*name, input_digest="f00", invocation=record.id, time=self.now)
        kept = self.sqlite.remember_key(key)
        # Without a record, the key would be deleted at a restart.
        self.put([record])
        assert kept.result(TIMEOUT) == self.memory.remember_key(key).result(TIMEOUT)

    @rule(name=key_names)
    def find(self, name: tuple[str, str, str]) -> None:
        expected, found = (j.find_key(*name) for j in self.both)
        assert expected == found

    @rule(hours=st.integers(1, 24))
    def wait(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule()
    def sweep(self) -> None:
        self.sqlite.sweep().result(TIMEOUT)

    @rule()
    def restart(self) -> None:
        self.sqlite.close(TIMEOUT)
        self.settle()
        self.sqlite = self.opened()
        assert self.sqlite.interrupt_open_invocations() == []

    def teardown(self) -> None:
        self.sqlite.close(TIMEOUT)
        self.settle()
        assert not list(Path(self.folder.name).glob("*.corrupt-*"))
        self.folder.cleanup()


# The disk must be flushed thousands of times, which may be slow.
TestJournal = pytest.mark.timeout(600)(JournalMachine.TestCase)
TestJournal.settings = settings(max_examples=50, stateful_step_count=20)
