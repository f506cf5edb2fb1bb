"""What an SQLite journal has of invocations whose server was killed, after the next start."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from labthings_fastapi.journal.part import Addition, InvocationPart
from labthings_fastapi.journal.record import InvocationRecord
from labthings_fastapi.journal.sqlite import SqliteJournal
from labthings_fastapi.messages.message import InvocationStatus

TIMEOUT = 60.0
NOON = datetime(2024, 5, 17, 12, tzinfo=UTC)
Start = Callable[[], SqliteJournal]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def start(path: Path) -> Start:
    """Start the next server on the file; the one before has been killed: it was not closed."""
    starts = iter(range(100))
    return lambda: SqliteJournal(path, boot_id=f"start{next(starts)}", clock=lambda: NOON)


def scan(minutes: float = 0, **changes: Any) -> InvocationRecord:
    record = InvocationRecord(
        id=uuid4(),
        thing="scanner",
        action="scan",
        status=InvocationStatus.RUNNING,
        requested_by=None,
        input=b"{}",
        time_requested=NOON + timedelta(minutes=minutes),
        time_started=NOON,
        boot_id="start0",
    )
    return record._replace(**changes)


def keep(journal: SqliteJournal, record: InvocationRecord, *parts: InvocationPart) -> None:
    futures = [journal.put(record), *(journal.put_part(part) for part in parts)]
    for future in futures:
        future.result(TIMEOUT)


def found(journal: SqliteJournal, record: InvocationRecord) -> InvocationRecord:
    kept = journal.get(record.id)
    assert kept is not None
    return kept


def test_log_progress_and_results_up_to_the_kill_are_kept(start: Start, path: Path) -> None:
    record = scan()
    line = {"message": "tile 1"}
    part = InvocationPart(
        record.id, Addition((line,), 7, 1), Addition((b"1", b'"2"'), 3, 2), {"done": 2}, ("laser",)
    )
    keep(start(), record, part)
    journal = start()
    (interrupted,) = journal.interrupt_open_invocations()
    assert found(journal, record) == interrupted
    assert interrupted.status is InvocationStatus.ERROR
    assert interrupted.error is not None
    assert interrupted.error["type"].endswith(":interrupted")
    assert (interrupted.log, interrupted.log_dropped) == ((line,), 6)
    assert (interrupted.output, interrupted.partial) == (b'[1,"2"]', True)
    assert interrupted.results_dropped == 1
    assert interrupted.progress == {"done": 2}
    assert interrupted.things == ("scanner", "laser")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM parts").fetchone() == (0,)


def test_a_damaged_part_does_not_hide_other_runs(start: Start, path: Path) -> None:
    damaged, whole = scan(), scan(1)
    journal = start()
    for record in (damaged, whole):
        keep(journal, record, InvocationPart(record.id, log=Addition(({"message": "x"},), 1, 9)))
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE parts SET items = '[{' WHERE run = ?", (damaged.id.bytes,))
        db.commit()
    journal = start()
    assert [record.id for record in journal.interrupt_open_invocations()] == [whole.id]


def test_parts_whose_run_is_unknown_are_deleted_at_the_next_start(start: Start, path: Path) -> None:
    record, other = scan(), scan(1)
    keep(start(), record, InvocationPart(other.id, log=Addition(({"message": "x"},), 1, 9)))
    start().interrupt_open_invocations()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM parts").fetchone() == (0,)


def test_the_things_of_interrupted_runs_are_to_be_made_safe_the_latest_first(start: Start) -> None:
    first, second = scan(), scan(1, thing="oven")
    journal = start()
    keep(journal, first, InvocationPart(first.id, things=("stage", "laser")))
    keep(journal, second, InvocationPart(second.id, things=("stage",)))
    journal = start()
    journal.interrupt_open_invocations()
    assert journal.things_to_make_safe() == ["stage", "oven", "laser", "scanner"]


def test_a_thing_is_to_be_made_safe_until_it_was_also_after_another_crash(start: Start) -> None:
    record = scan()
    keep(start(), record)
    start().interrupt_open_invocations()
    journal = start()
    journal.interrupt_open_invocations()
    assert journal.things_to_make_safe() == ["scanner"]
    journal.made_safe("scanner", "It does not answer.", "ERROR").result(TIMEOUT)
    assert journal.things_to_make_safe() == ["scanner"]
    journal.made_safe("scanner", "The scanner was made safe.").result(TIMEOUT)
    assert journal.things_to_make_safe() == []
    assert start().things_to_make_safe() == []
    messages = [(line["message"], line["levelname"]) for line in found(journal, record).log]
    assert messages == [("It does not answer.", "ERROR"), ("The scanner was made safe.", "INFO")]


def test_only_the_runs_in_which_a_thing_took_part_tell_of_it(start: Start) -> None:
    scanned, heated = scan(), scan(1, thing="oven")
    journal = start()
    keep(journal, scanned)
    keep(journal, heated)
    journal = start()
    journal.interrupt_open_invocations()
    journal.made_safe("oven", "The oven is off.").result(TIMEOUT)
    assert found(journal, scanned).log == ()
    assert len(found(journal, heated).log) == 1
    assert journal.things_to_make_safe() == ["scanner"]


def test_a_run_that_ended_leaves_nothing_to_make_safe(start: Start) -> None:
    record = scan()
    journal = start()
    keep(journal, record, InvocationPart(record.id, things=("stage",)))
    keep(journal, record._replace(status=InvocationStatus.COMPLETED, time_ended=NOON))
    journal = start()
    assert journal.interrupt_open_invocations() == []
    assert journal.things_to_make_safe() == []
