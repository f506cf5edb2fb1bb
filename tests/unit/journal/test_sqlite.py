"""The journal in a file, beyond the contract: restarts, interrupted runs, unusual paths."""

from __future__ import annotations

import os
import re
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from labthings_fastapi.exceptions import ServerConfigurationError
from labthings_fastapi.journal.keys import IdempotencyKey
from labthings_fastapi.journal.query import JournalQuery
from labthings_fastapi.journal.record import InvocationRecord
from labthings_fastapi.journal.schema import VERSION
from labthings_fastapi.journal.sqlite import SqliteJournal
from labthings_fastapi.messages.message import InvocationStatus

TIMEOUT = 60.0
NOON = datetime(2024, 5, 17, 12, tzinfo=UTC)
Open = Callable[..., SqliteJournal]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "settings of the Möbius #1" / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> SqliteJournal:
    return opened(path)


def opened(path: Path, boot_id: str = "one", **options: Any) -> SqliteJournal:
    return SqliteJournal(path, boot_id=boot_id, clock=lambda: NOON, **options)


def run(**changes: Any) -> InvocationRecord:
    record = InvocationRecord(
        uuid4(), "stage", "move", InvocationStatus.PENDING, "ada", b"{}", NOON, boot_id="one"
    )
    return replace(record, **changes)


def ended(**changes: Any) -> InvocationRecord:
    return run(status=InvocationStatus.COMPLETED, time_ended=NOON, **changes)


def keep(journal: SqliteJournal, *records: InvocationRecord) -> None:
    for future in [journal.put(record) for record in records]:
        future.result(TIMEOUT)


# The file


def test_reading_a_journal_that_was_never_written_creates_no_file(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    assert journal.get(uuid4()) is None
    assert journal.search(JournalQuery()).records == ()
    assert journal.interrupt_open_invocations() == []
    journal.close(TIMEOUT)
    assert list(tmp_path.iterdir()) == []


def test_folder_and_file_are_created_on_first_use(journal: SqliteJournal, path: Path) -> None:
    assert not path.parent.exists()
    keep(journal, run())
    journal.close(TIMEOUT)
    # Closed in order, one file holds everything.
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_runs_and_keys_outlive_the_server(journal: SqliteJournal, path: Path) -> None:
    records = [ended() for _ in range(10)]
    key = IdempotencyKey("k1", "stage", "move", "f00", records[0].id, NOON)
    journal.remember_key(key).result(TIMEOUT)
    keep(journal, *records)
    journal.close(TIMEOUT)
    again = opened(path, "two")
    assert set(again.search(JournalQuery()).records) == set(records)
    assert again.find_key("k1", "stage", "move") == key
    again.close(TIMEOUT)


def test_a_file_that_is_moved_while_it_is_used_is_created_again(
    journal: SqliteJournal, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """If a user has moved the file, later records are in a new one."""
    first, second = run(), run()
    keep(journal, first)
    path.rename(path.with_name("old.sqlite"))
    keep(journal, second)
    assert journal.search(JournalQuery()).records == (second,)
    journal.close(TIMEOUT)
    assert "moved or deleted" in caplog.text
    again = opened(path)
    assert again.get(second.id) == second
    again.close(TIMEOUT)


def test_a_file_of_a_later_version_is_left_as_it_is(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.mkdir()
    later = sqlite3.connect(path)
    later.execute("CREATE TABLE runs (something_new)")
    later.execute(f"PRAGMA user_version = {VERSION + 1}")
    later.close()
    journal, record = opened(path), run()
    keep(journal, record)
    assert journal.get(record.id) == record
    journal.close(TIMEOUT)
    (aside,) = path.parent.glob("journal.sqlite.newer-*")
    kept = sqlite3.connect(aside)
    assert kept.execute("SELECT something_new FROM runs").fetchall() == []
    kept.close()
    assert aside.name in caplog.text


@pytest.mark.parametrize("synchronous", ["NORMAL", "FULL"])
def test_records_are_kept_with_either_durability(path: Path, synchronous: str) -> None:
    journal, record = opened(path, synchronous=synchronous), run()
    keep(journal, record)
    assert journal.get(record.id) == record
    journal.close(TIMEOUT)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no dot-file locks")
def test_without_a_write_ahead_log_it_works_and_a_warning_is_logged(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With SQLite's dot-file locks there is no shared memory, which the log needs."""
    journal, records = opened(path, vfs="unix-dotfile"), [run() for _ in range(5)]
    keep(journal, *records)
    assert set(journal.search(JournalQuery()).records) == set(records)
    journal.close(TIMEOUT)
    (message,) = caplog.messages
    assert str(path) in message
    assert "network share" in message


# Construction


@pytest.mark.parametrize("prepare", ["file for folder", "folder for file"])
def test_a_path_that_cannot_be_written_is_refused_at_once(tmp_path: Path, prepare: str) -> None:
    path = tmp_path / "a" / "journal.sqlite"
    if prepare == "file for folder":
        (tmp_path / "a").touch()
    else:
        path.mkdir(parents=True)
    with pytest.raises(ServerConfigurationError, match=re.escape(str(path))) as refused:
        opened(path)
    assert 'journal="memory"' in str(refused.value)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only POSIX processes can change their user")
def test_a_folder_without_the_right_to_write_is_refused_at_once(path: Path) -> None:
    opened(path)  # imports everything, because the child may not be able to read modules
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        child = os.fork()
        if child == 0:
            # Root may write everywhere, so the child changes to the user nobody.
            try:
                if os.geteuid() == 0:
                    os.setuid(65534)
                opened(folder / "journal.sqlite")
            except ServerConfigurationError as refused:
                os._exit(0 if str(folder) in str(refused) else 2)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        folder.chmod(0o700)


@pytest.mark.parametrize(
    "options", [{"keep_days": 0}, {"keep_bytes": 0}, {"synchronous": "OFF; DROP TABLE runs"}]
)
def test_invalid_options_are_refused(path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ServerConfigurationError, match=next(iter(options))):
        opened(path, **options)


# Invocations that a crash left open


@pytest.mark.parametrize("status", [InvocationStatus.PENDING, InvocationStatus.RUNNING])
def test_open_invocations_of_an_earlier_start_are_ended_once(
    path: Path, status: InvocationStatus
) -> None:
    started = NOON if status is InvocationStatus.RUNNING else None
    # A time in the future, as after a correction of the clock: age does not matter.
    left = run(status=status, time_started=started, time_requested=NOON + timedelta(days=1))
    over = ended()
    first = opened(path, "one")
    keep(first, left, over)
    first.close(TIMEOUT)
    second = opened(path, "two")
    mine = run(boot_id="two")
    keep(second, mine)
    (found,) = second.interrupt_open_invocations()
    assert found == replace(left, status=InvocationStatus.ERROR, time_ended=NOON, error=found.error)
    assert found.error is not None
    assert found.error["type"] == "urn:labthings:problem:interrupted"
    assert found.error["title"] == "The run was interrupted"
    assert "not run again" in found.error["detail"]
    assert [second.get(record.id) for record in (left, over, mine)] == [found, over, mine]
    assert second.interrupt_open_invocations() == []
    second.close(TIMEOUT)
    third = opened(path, "three")
    assert [record.id for record in third.interrupt_open_invocations()] == [mine.id]
    third.close(TIMEOUT)


def test_a_thousand_open_runs_are_ended(journal: SqliteJournal, path: Path) -> None:
    records = [run() for _ in range(1001)]
    keep(journal, *records)
    journal.close(TIMEOUT)
    again = opened(path, "two")
    assert {record.id for record in again.interrupt_open_invocations()} == {r.id for r in records}
    again.close(TIMEOUT)


def test_a_key_whose_run_never_began_is_forgotten_at_the_next_start(
    journal: SqliteJournal, path: Path
) -> None:
    """The crash came between key and invocation, so the client may send the request again."""
    record = run()
    for name, id in (("lost", uuid4()), ("kept", record.id)):
        journal.remember_key(IdempotencyKey(name, "stage", "move", "f00", id, NOON)).result(TIMEOUT)
    keep(journal, record)
    journal.close(TIMEOUT)
    again = opened(path, "two")
    again.interrupt_open_invocations()
    assert again.find_key("lost", "stage", "move") is None
    assert again.find_key("kept", "stage", "move") is not None
    again.close(TIMEOUT)


# Rows that were changed on the disk


@pytest.mark.parametrize(
    "change",
    ["status = 'flying'", "log = '{'", "id = x'00'", "requested = 9e18", "error = x'ff'"],
)
def test_a_row_that_cannot_be_read_does_not_hide_others(
    journal: SqliteJournal, path: Path, caplog: pytest.LogCaptureFixture, change: str
) -> None:
    records = [run(time_requested=NOON + timedelta(minutes=minute)) for minute in range(3)]
    keep(journal, *records)
    journal.close(TIMEOUT)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute(f"UPDATE runs SET {change} WHERE id = ?", (records[1].id.bytes,))  # noqa: S608
    other.close()
    again = opened(path)
    first = again.search(JournalQuery(limit=1))
    rest = again.search(JournalQuery(cursor=first.next_cursor))
    assert first.records + rest.records == (records[2], records[0])
    assert again.get(records[1].id) is None
    again.close(TIMEOUT)
    assert str(path) in caplog.text
