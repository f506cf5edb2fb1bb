"""The writer's thread with a real database: records of one batch, and errors of one record."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from labthings_fastapi.journal.database import Database
from labthings_fastapi.journal.invocation_rows import read_invocation, select_invocation
from labthings_fastapi.journal.key_rows import find_key
from labthings_fastapi.journal.keys import IdempotencyKey, utc_now
from labthings_fastapi.journal.mutation import MutationRecord
from labthings_fastapi.journal.mutation_rows import read_mutation, select_mutation
from labthings_fastapi.journal.record import InvocationRecord
from labthings_fastapi.journal.retention import Retention
from labthings_fastapi.journal.writer import Writer
from labthings_fastapi.messages.message import InvocationStatus

Together = Callable[..., list[Future[None]]]
TIMEOUT = 60.0
NOON = datetime(2024, 5, 17, 12, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "journal.sqlite", "NORMAL", utc_now)


@pytest.fixture
def writer(database: Database) -> Iterator[Writer]:
    writer = Writer(database, Retention(1e5, 1 << 30, utc_now), utc_now, time.monotonic)
    yield writer
    assert writer.close(TIMEOUT)


def run(number: int, **changes: Any) -> InvocationRecord:
    status = InvocationStatus.PENDING
    record = InvocationRecord(UUID(int=number), "stage", "move", status, None, b"{}", NOON)
    return record._replace(**changes)


@pytest.fixture
def together(held_up: Callable[[Writer], AbstractContextManager[None]]) -> Together:
    """Put records into one batch, by putting them while the writer is blocked."""

    def put(writer: Writer, *records: InvocationRecord) -> list[Future[None]]:
        with held_up(writer):
            return [writer.put(record) for record in records]

    return put


def stored(database: Database, number: int) -> InvocationRecord | None:
    with database.reading() as connection:
        rows = select_invocation(connection, UUID(int=number))
    return read_invocation(rows[0]) if rows else None


@pytest.mark.parametrize("count", [1, 49, 50, 51, 1000])
def test_a_batch_of_any_size_is_written(
    writer: Writer, together: Together, database: Database, count: int
) -> None:
    records = [run(number) for number in range(count)]
    for future in together(writer, *records):
        assert future.result(TIMEOUT) is None
    assert [stored(database, number) for number in range(count)] == records


@pytest.mark.parametrize(
    ("poison", "failure"),
    [({"error": {"not JSON": object()}}, TypeError), ({"thing": "\ud800"}, UnicodeEncodeError)],
)
def test_a_bad_record_does_not_harm_others(
    writer: Writer,
    together: Together,
    database: Database,
    caplog: pytest.LogCaptureFixture,
    poison: dict[str, Any],
    failure: type[Exception],
) -> None:
    records = [run(number) for number in range(120)]
    records[60] = records[60]._replace(**poison)
    futures = together(writer, *records)
    assert isinstance(futures.pop(60).exception(TIMEOUT), failure)
    assert [future.result(TIMEOUT) for future in futures] == [None] * 119
    assert stored(database, 60) is None
    assert stored(database, 119) == records[119]
    assert [str(UUID(int=60)) in message for message in caplog.messages] == [True]


def test_a_record_that_waits_is_replaced_by_a_newer_one(
    writer: Writer, together: Together, database: Database
) -> None:
    records = [run(1, progress={"done": done}) for done in range(10)]
    for future in together(writer, *records):
        future.result(TIMEOUT)
    assert stored(database, 1) == records[-1]


def test_a_key_is_written_before_an_invocation_that_was_put_later(
    writer: Writer, database: Database
) -> None:
    key = IdempotencyKey("k1", "stage", "move", "f00", UUID(int=1), utc_now())
    remembered = writer.put_key(key)
    writer.put(run(1)).result(TIMEOUT)
    assert remembered.result(0) == key
    with database.reading() as connection:
        assert find_key(connection, key.name) == key


def test_a_task_that_fails_fails_its_future_only(writer: Writer) -> None:
    def fail() -> None:
        raise LookupError("here")

    with pytest.raises(LookupError, match="here"):
        writer.submit(fail).result(TIMEOUT)
    assert writer.put(run(1)).result(TIMEOUT) is None


def test_closing_returns_false_if_the_timeout_is_too_short(writer: Writer) -> None:
    go = threading.Event()
    writer.submit(lambda: go.wait(TIMEOUT))
    future = writer.put(run(1))
    assert not writer.close(0)
    go.set()
    assert writer.close(TIMEOUT)
    assert future.result(0) is None


def test_no_file_is_created_before_the_first_record(database: Database, tmp_path: Path) -> None:
    writer = Writer(database, Retention(30, 1 << 30, utc_now), utc_now, time.monotonic)
    assert writer.close(0)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_cannot_write(writer: Writer, database: Database) -> None:
    writer.put(run(1)).result(TIMEOUT)
    with (
        pytest.raises(sqlite3.OperationalError, match="readonly"),
        database.reading() as connection,
    ):
        connection.execute("DELETE FROM runs")
    assert stored(database, 1) == run(1)


def mutation(number: int, **changes: Any) -> MutationRecord:
    texts = {"thing": "stage", "affordance": "speed", "method": "PUT", "path": "/stage/speed"}
    record = MutationRecord(
        UUID(int=number), NOON, NOON, actor=None, address=None, status=204, **texts
    )
    return replace(record, **changes)


def test_a_bad_mutation_does_not_harm_other_records(
    writer: Writer,
    database: Database,
    held_up: Callable[[Writer], AbstractContextManager[None]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    bad = mutation(2, address=object())
    with held_up(writer):
        futures = [writer.put_mutation(record) for record in (mutation(1), bad, mutation(3))]
        written = writer.put(run(4))
    errors = [type(future.exception(TIMEOUT)) for future in (*futures, written)]
    assert errors == [type(None), sqlite3.ProgrammingError, type(None), type(None)]
    with database.reading() as connection:
        rows = [select_mutation(connection, UUID(int=number)) for number in (1, 2, 3)]
    assert [[read_mutation(row) for row in found] for found in rows] == [
        [mutation(1)],
        [],
        [mutation(3)],
    ]
    assert len(caplog.messages) == 1


def test_a_path_that_is_not_valid_unicode_is_recorded(writer: Writer, database: Database) -> None:
    writer.put_mutation(mutation(1, path="/stage/\ud800")).result(TIMEOUT)
    with database.reading() as connection:
        (row,) = select_mutation(connection, UUID(int=1))
    assert read_mutation(row).path == "/stage/\\ud800"
