"""Journal files of earlier versions of this package, with the tables that those versions made."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from labthings_fastapi.journal.mutation import MutationRecord
from labthings_fastapi.journal.query import JournalQuery
from labthings_fastapi.journal.record import InvocationRecord
from labthings_fastapi.journal.schema import MIGRATIONS, VERSION
from labthings_fastapi.journal.sqlite import SqliteJournal
from labthings_fastapi.messages.message import InvocationStatus

TIMEOUT = 60.0
NOON = datetime(2024, 5, 17, 12, tzinfo=UTC)
NOON_MICROSECONDS = 1_715_947_200_000_000

VERSION_1 = """
CREATE TABLE runs (
    id BLOB NOT NULL UNIQUE, requested INTEGER NOT NULL, closed INTEGER, thing TEXT NOT NULL,
    action TEXT NOT NULL, status TEXT NOT NULL, incarnation TEXT NOT NULL, requested_by TEXT,
    started INTEGER, ended INTEGER, output_reference TEXT, progress TEXT, error TEXT,
    input BLOB NOT NULL, output BLOB, log TEXT NOT NULL, text TEXT NOT NULL
);
CREATE INDEX runs_by_request ON runs (requested, id);
CREATE INDEX runs_by_thing ON runs (thing, requested, id);
CREATE INDEX runs_by_closing ON runs (closed);
CREATE TABLE keys (
    "key" TEXT NOT NULL, thing TEXT NOT NULL, action TEXT NOT NULL, input_digest TEXT NOT NULL,
    run BLOB NOT NULL, time INTEGER NOT NULL, PRIMARY KEY ("key", thing, action)
);
CREATE INDEX keys_by_time ON keys (time);
CREATE INDEX keys_by_run ON keys (run);
PRAGMA user_version = 1;
"""
VERSION_2 = f"""
{VERSION_1}
ALTER TABLE runs ADD COLUMN kind TEXT NOT NULL DEFAULT 'run';
ALTER TABLE runs ADD COLUMN address TEXT;
ALTER TABLE runs ADD COLUMN request TEXT;
CREATE INDEX runs_by_actor ON runs (requested_by, requested, id) WHERE requested_by IS NOT NULL;
PRAGMA user_version = 2;
"""
RUNS = [
    InvocationRecord(
        id=UUID(int=number),
        thing="stage",
        action="move",
        status=InvocationStatus.COMPLETED,
        requested_by="ada",
        input=b'{"x":1.5}',
        time_requested=NOON + timedelta(minutes=number),
        time_started=NOON + timedelta(minutes=number, seconds=1),
        time_ended=NOON + timedelta(minutes=number, seconds=2),
        output=b"[1]",
        log=({"message": "moved"},),
        boot_id="one",
    )
    for number in (1, 3, 5)
]
# A run that was cancelled before it began has no time of its start, like a mutation.
RUNS[2] = RUNS[2]._replace(status=InvocationStatus.CANCELLED, time_started=None)
MUTATIONS = [
    MutationRecord(
        id=UUID(int=number),
        time=NOON + timedelta(minutes=number),
        last_time=NOON + timedelta(minutes=number, seconds=1),
        actor="ada",
        address="192.0.2.1",
        thing="stage",
        affordance="speed",
        method="PUT",
        path="/stage/Größe",
        status=status,
        count=3,
        boot_id="one",
    )
    for number, status in ((2, 204), (4, 403))
]


def microseconds(time: datetime | None) -> int | None:
    return None if time is None else NOON_MICROSECONDS + (time - NOON) // timedelta(microseconds=1)


def insert(connection: sqlite3.Connection, row: dict[str, Any]) -> None:
    names, values = ", ".join(row), ", ".join("?" * len(row))
    connection.execute(
        f"INSERT INTO runs ({names}) VALUES ({values})",  # noqa: S608 - constants
        tuple(row.values()),
    )


def old_run(record: InvocationRecord) -> dict[str, Any]:
    return {
        "id": record.id.bytes,
        "requested": microseconds(record.time_requested),
        "closed": microseconds(record.time_ended),
        "thing": record.thing,
        "action": record.action,
        "status": record.status.value,
        "incarnation": record.boot_id,
        "requested_by": record.requested_by,
        "started": microseconds(record.time_started),
        "ended": microseconds(record.time_ended),
        "input": record.input,
        "output": record.output,
        "log": json.dumps(record.log),
        "text": "stage\nmove\nada\nmoved",
    }


def old_mutation(record: MutationRecord) -> dict[str, Any]:
    request = {
        "method": record.method,
        "path": record.path,
        "status": record.status,
        "count": record.count,
    }
    return {
        "id": record.id.bytes,
        "requested": microseconds(record.time),
        "closed": microseconds(record.last_time),
        "thing": record.thing,
        "action": record.affordance,
        "status": record.outcome.value,
        "incarnation": record.boot_id,
        "requested_by": record.actor,
        "ended": microseconds(record.last_time),
        "input": b"null",
        "log": "[]",
        "text": "stage\nspeed\nada\nnull",
        "kind": "mutation",
        "address": record.address,
        "request": json.dumps(request),
    }


def make(path: Path, tables: str, rows: list[dict[str, Any]]) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(f"PRAGMA journal_mode = WAL; {tables}")
    for row in rows:
        insert(connection, row)
    connection.commit()
    connection.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def second_version(path: Path) -> Path:
    rows = [*map(old_run, RUNS), *map(old_mutation, MUTATIONS)]
    make(path, VERSION_2, rows)
    return path


def opened(path: Path) -> SqliteJournal:
    return SqliteJournal(path, boot_id="two", clock=lambda: NOON)


def assert_complete(path: Path) -> None:
    journal = opened(path)
    assert journal.interrupt_open_invocations() == []
    query = JournalQuery(limit=2)
    everything: list[InvocationRecord | MutationRecord] = []
    page = journal.search_all(query)
    everything += page.records
    while page.next_cursor is not None:
        page = journal.search_all(replace(query, cursor=page.next_cursor))
        everything += page.records
    expected = [RUNS[2], MUTATIONS[1], RUNS[1], MUTATIONS[0], RUNS[0]]
    assert everything == expected
    assert journal.search(JournalQuery(text="MOVED")).records == tuple(RUNS[::-1])
    assert journal.search_mutations(JournalQuery(text="SPEED")).records == tuple(MUTATIONS[::-1])
    assert [journal.get(record.id) for record in RUNS] == RUNS
    assert [journal.get(record.id) for record in MUTATIONS] == [None, None]
    assert [journal.get_mutation(record.id) for record in MUTATIONS] == MUTATIONS
    journal.close(TIMEOUT)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name], "no file was set aside"


def test_a_file_with_mutations_among_the_runs_shows_everything(second_version: Path) -> None:
    assert_complete(second_version)
    assert_complete(second_version)
    connection = sqlite3.connect(second_version)
    assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
    assert connection.execute("SELECT count(*) FROM runs").fetchone() == (len(RUNS),)
    connection.close()


def test_a_migrated_file_accepts_new_records(second_version: Path) -> None:
    journal = opened(second_version)
    run = RUNS[0]._replace(id=UUID(int=10), time_requested=NOON + timedelta(hours=1))
    mutation = replace(MUTATIONS[0], id=UUID(int=11), time=NOON + timedelta(hours=2))
    for future in (journal.put(run), journal.put_mutation(mutation)):
        future.result(TIMEOUT)
    assert journal.search_all(JournalQuery(limit=2)).records == (mutation, run)
    journal.close(TIMEOUT)


def test_a_file_of_the_first_version_keeps_its_runs(path: Path) -> None:
    make(path, VERSION_1, [old_run(record) for record in RUNS])
    journal = opened(path)
    journal.put_mutation(MUTATIONS[0]).result(TIMEOUT)
    assert journal.search(JournalQuery(actor="ada")).records == tuple(RUNS[::-1])
    assert journal.search_mutations(JournalQuery()).records == (MUTATIONS[0],)
    journal.close(TIMEOUT)


@pytest.mark.parametrize("request_text", [None, "{", "{}", "[]"])
def test_a_mutation_with_a_damaged_description_is_kept(
    path: Path, request_text: str | None
) -> None:
    make(path, VERSION_2, [{**old_mutation(MUTATIONS[1]), "request": request_text}])
    journal = opened(path)
    (found,) = journal.search_mutations(JournalQuery()).records
    assert found == replace(MUTATIONS[1], method="", path="", status=500, count=1)
    journal.close(TIMEOUT)


KILLED = """
import os, signal, sqlite3, sys
from labthings_fastapi.journal.schema import prepare

def kill(statement):
    if statement.lstrip().startswith(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.set_trace_callback(kill)
prepare(connection, sys.argv[1], "NORMAL")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO audit",
        "DELETE FROM runs",
        "CREATE INDEX runs_by_request",
        "PRAGMA user_version = ",
        "COMMIT",
    ],
)
def test_a_kill_during_the_migration_loses_nothing(second_version: Path, statement: str) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, second_version, statement], check=False, timeout=TIMEOUT
    )
    assert killed.returncode == -signal.SIGKILL
    assert_complete(second_version)


def test_a_file_of_the_third_version_keeps_its_runs_and_takes_new_members(path: Path) -> None:
    make(path, VERSION_2, list(map(old_run, RUNS)))
    connection = sqlite3.connect(path)
    for statement in MIGRATIONS[2].split(";\n"):
        connection.execute(statement)
    connection.execute("PRAGMA user_version = 3")
    connection.commit()
    connection.close()
    journal = opened(path)
    assert journal.search(JournalQuery()).records == tuple(RUNS[::-1])
    told = RUNS[0]._replace(cancel_requested=True, other_things=("laser",))
    journal.put(told).result(TIMEOUT)
    assert journal.get(told.id) == told
    journal.close(TIMEOUT)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name], "no file was set aside"
