"""Real faults of the journal: a killed process, a full disk, a damaged file."""

from __future__ import annotations

import importlib.util
import json
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from uuid import UUID

import pytest

from labthings_fastapi.journal.query import JournalQuery
from labthings_fastapi.journal.record import InvocationRecord
from labthings_fastapi.journal.sqlite import SqliteJournal
from labthings_fastapi.messages.message import InvocationStatus

TIMEOUT = 60.0
PROGRAMS = Path(__file__).with_name("journal_under_fire.py")
STARTS = [20, pytest.param(100, marks=pytest.mark.slow)]


def loaded() -> ModuleType:
    """Import the programs beside this file, which is in no package."""
    spec = importlib.util.spec_from_file_location("journal_under_fire", PROGRAMS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fire = loaded()
started: Callable[..., InvocationRecord] = fire.started
ended: Callable[..., InvocationRecord] = fire.ended


def run_program(*arguments: object, namespace: bool = False) -> str:
    """Run one of the programs, in a mount namespace of its own if it mounts a disk."""
    prefix = ["unshare", "-rm"] if namespace else []
    finished = subprocess.run(
        [*prefix, sys.executable, PROGRAMS, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=560,  # the limit of pytest is shorter, unless a test sets a longer one
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def may_mount() -> bool:
    """Return whether this system allows to mount a disk in a namespace."""
    if not shutil.which("unshare"):
        return False
    attempt = subprocess.run(
        ["unshare", "-rm", "sh", "-c", "mount -t tmpfs -o size=1m none /mnt"],
        capture_output=True,
        check=False,
    )
    return attempt.returncode == 0


mounts = pytest.mark.skipif(not may_mount(), reason="`unshare -rm` is missing or not allowed here")
posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither fork nor rlimits")


def opened(path: Path, boot_id: str = "one") -> SqliteJournal:
    return SqliteJournal(path, boot_id=boot_id)


def keep(journal: SqliteJournal, *records: InvocationRecord) -> None:
    for future in [journal.put(record) for record in records]:
        future.result(TIMEOUT)


def everything(journal: SqliteJournal) -> dict[UUID, InvocationRecord]:
    return {record.id: record for record in journal.search(JournalQuery(limit=1_000_000)).records}


# Killed


@posix
@pytest.mark.timeout(600)  # the disk must be flushed thousands of times, which may be slow
@pytest.mark.parametrize("starts", STARTS)
def test_committed_records_are_there_after_every_kill(tmp_path: Path, starts: int) -> None:
    """And the next start interrupts each invocation that a kill left open, once."""
    path = tmp_path / "journal.sqlite"
    reported = json.loads(run_program("starts", path, starts, random.randrange(10**9)))  # noqa: S311
    journal = opened(path, "the last")
    last = {str(record.id) for record in journal.interrupt_open_invocations()}
    found = {str(id): record for id, record in everything(journal).items()}
    journal.close(TIMEOUT)
    assert not list(tmp_path.glob("*.corrupt-*"))
    assert len({record.boot_id for record in found.values()}) > starts // 2
    assert set(reported["started"]) <= set(found)
    assert {found[id].status for id in reported["ended"]} == {InvocationStatus.COMPLETED}
    completed = [r for r in found.values() if r.status is InvocationStatus.COMPLETED]
    assert all(fire.is_whole(record) for record in completed)
    interrupted = {id for id, r in found.items() if r.status is InvocationStatus.ERROR}
    assert len(interrupted) + len(completed) == len(found), "some run is still open"
    assert len(reported["interrupted"]) == len(set(reported["interrupted"]))
    assert set(reported["interrupted"]) | last <= interrupted
    assert not set(reported["interrupted"]) & last


# Full


@mounts
@pytest.mark.parametrize("program", ["full", "full-from-the-start"])
def test_a_full_disk_is_reported_and_nothing_is_lost(tmp_path: Path, program: str) -> None:
    """Each `put` fails with ENOSPC, reading works, final records are written later."""
    assert run_program(program, tmp_path, namespace=True) == ""


@mounts
def test_a_disk_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    assert run_program("read-only", tmp_path, namespace=True) == ""


@posix
def test_a_file_that_may_not_grow_loses_only_records_that_do_not_fit(tmp_path: Path) -> None:
    assert run_program("file-limit", tmp_path / "journal.sqlite") == ""


# Damaged


def written(path: Path, count: int = 300) -> list[InvocationRecord]:
    journal = opened(path)
    records = [ended(started("one")) for _ in range(count)]
    keep(journal, *records)
    journal.close(TIMEOUT)
    return records


def header_is_garbage(content: bytearray) -> None:
    content[:100] = b"\xff" * 100


def the_file_is_a_text(content: bytearray) -> None:
    content[:] = b"dear diary\n" * 1000


def half_is_missing(content: bytearray) -> None:
    del content[len(content) // 2 :]


def the_middle_is_garbage(content: bytearray) -> None:
    length = len(content)
    content[length // 4 : length // 2] = b"\xff" * (length // 2 - length // 4)


def one_page_is_zero(content: bytearray) -> None:
    content[4096:8192] = bytes(4096)


def the_format_is_of_the_future(content: bytearray) -> None:
    content[44:48] = b"\xff" * 4


DAMAGES = [
    header_is_garbage,
    the_file_is_a_text,
    half_is_missing,
    the_middle_is_garbage,
    one_page_is_zero,
    the_format_is_of_the_future,
]


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_set_aside_and_a_new_one_begun(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[bytearray], None]
) -> None:
    path = tmp_path / "journal.sqlite"
    written(path)
    content = bytearray(path.read_bytes())
    damage(content)
    path.write_bytes(content)
    journal, record = opened(path, "two"), ended(started("two"))
    assert journal.interrupt_open_invocations() == []
    keep(journal, record)
    assert everything(journal) == {record.id: record}
    journal.close(TIMEOUT)
    (aside,) = tmp_path.glob("journal.sqlite.corrupt-*Z")
    assert aside.read_bytes() == content
    (message,) = errors(caplog)
    assert str(path) in message
    assert str(aside) in message


def test_an_empty_file_is_a_new_journal(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "journal.sqlite"
    path.touch()
    journal, record = opened(path), started("one")
    keep(journal, record)
    assert everything(journal) == {record.id: record}
    journal.close(TIMEOUT)
    assert errors(caplog) == []


@pytest.mark.parametrize("seed", range(30))
def test_flipped_bits_stop_nothing(tmp_path: Path, seed: int) -> None:
    """A changed text cannot be detected; a changed structure must not stop the journal."""
    path = tmp_path / "journal.sqlite"
    records = written(path)
    content, generator = bytearray(path.read_bytes()), random.Random(seed)  # noqa: S311
    for _ in range(2 ** (seed % 8)):
        content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
    path.write_bytes(content)
    journal, record = opened(path, "two"), ended(started("two"))
    journal.interrupt_open_invocations()
    keep(journal, record)
    found = everything(journal)
    assert found[record.id] == record
    if not list(tmp_path.glob("*.corrupt-*")):
        assert len(found) > 200
        keep(journal, *records)
        assert len(everything(journal)) >= 300
    journal.sweep().result(TIMEOUT)
    journal.close(TIMEOUT)


def overwrite(path: Path) -> None:
    """Damage a file that is in use, from another process, which does not release the locks."""
    program = (
        "import sys; file = open(sys.argv[1], 'r+b'); size = file.seek(0, 2); "
        "file.seek(4096); file.write(b'\\xff' * (size - 4096))"
    )
    subprocess.run([sys.executable, "-c", program, path], check=True)


def in_use(path: Path) -> tuple[SqliteJournal, list[InvocationRecord]]:
    """Return an open journal whose file is much larger than its cache."""
    records = [ended(started("one"), 800) for _ in range(400)]
    journal = opened(path)
    keep(journal, *records)
    journal.close(TIMEOUT)
    journal = opened(path)
    assert journal.get(records[0].id) == records[0]
    return journal, records


def test_damage_is_found_by_a_reader_while_the_journal_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "journal.sqlite"
    journal, _ = in_use(path)
    overwrite(path)
    start = threading.Barrier(4)

    def search() -> dict[UUID, InvocationRecord]:
        start.wait()
        return everything(journal)

    with ThreadPoolExecutor(4) as pool:
        found = [future.result(TIMEOUT) for future in [pool.submit(search) for _ in range(4)]]
    assert found == [{}] * 4
    record = started("one")
    keep(journal, record)
    assert everything(journal) == {record.id: record}
    journal.close(TIMEOUT)
    assert len(list(tmp_path.glob("*.corrupt-*Z"))) == 1
    assert len(errors(caplog)) == 1


def test_damage_is_found_by_the_writer_and_no_waiting_record_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "journal.sqlite"
    journal, records = in_use(path)
    overwrite(path)
    keep(journal, *records)
    assert everything(journal) == {record.id: record for record in records}
    journal.close(TIMEOUT)
    assert len(list(tmp_path.glob("*.corrupt-*Z"))) == 1
    assert len(errors(caplog)) == 1


# Two at once


def test_two_journals_on_one_file_lose_nothing(tmp_path: Path) -> None:
    """The lock on the settings folder prevents it, but it must not do harm."""
    path = tmp_path / "journal.sqlite"
    journals = [opened(path), opened(path)]
    start = threading.Barrier(2)

    def put_many(journal: SqliteJournal) -> list[InvocationRecord]:
        start.wait()
        records = [ended(started("one")) for _ in range(500)]
        for first in range(0, 500, 10):
            keep(journal, *records[first : first + 10])
        return records

    with ThreadPoolExecutor(2) as pool:
        records = [record for some in pool.map(put_many, journals) for record in some]
    for journal in journals:
        assert everything(journal) == {record.id: record for record in records}
        journal.close(TIMEOUT)
