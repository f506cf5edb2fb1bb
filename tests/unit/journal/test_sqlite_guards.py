"""Errors around the writer: its thread goes on, and no future stays pending."""

from __future__ import annotations

import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from labthings_fastapi.exceptions import ServerNotRunningError, TooBusyError
from labthings_fastapi.journal import writer as module
from labthings_fastapi.journal.batch_writer import BatchWriter
from labthings_fastapi.journal.database import Database
from labthings_fastapi.journal.keys import IdempotencyKey, utc_now
from labthings_fastapi.journal.mutation import MutationRecord
from labthings_fastapi.journal.record import InvocationRecord
from labthings_fastapi.journal.retention import Retention
from labthings_fastapi.journal.schema import LOGGER
from labthings_fastapi.journal.write_queue import Batch, WriteQueue
from labthings_fastapi.journal.writer import Writer
from labthings_fastapi.messages.message import InvocationStatus

HeldUp = Callable[[Writer], AbstractContextManager[None]]
TIMEOUT = 60.0
NOON = datetime(2024, 5, 17, 12, tzinfo=UTC)
MUTATION = MutationRecord(
    *(UUID(int=9), NOON, NOON, None, None, "stage", "speed", "PUT", "/stage/speed", 204)
)


class Clock:
    """The monotonic clock, which fails `failures` times on the journal's thread."""

    failures = 0

    def __call__(self) -> float:
        """Return seconds."""
        if self.failures and threading.current_thread().name == "journal":
            self.failures -= 1
            raise MemoryError
        return time.monotonic()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setattr(module, "PAUSE", 0.01)
    return Clock()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "journal.sqlite", "NORMAL", utc_now)
    yield database
    database.close()


@pytest.fixture
def writer(database: Database, clock: Clock) -> Iterator[Writer]:
    writer = Writer(database, Retention(1e5, 1 << 30, utc_now), utc_now, clock)
    yield writer
    assert writer.close(TIMEOUT)


@pytest.fixture(params=[OSError("the network has gone"), SystemExit(1)], ids=["error", "exit"])
def raising(
    request: pytest.FixtureRequest, let_logging_fail: Callable[[str, BaseException], None]
) -> None:
    """Let logging fail by an exception, or by a handler that ends the program."""
    let_logging_fail("labthings_fastapi", request.param)


def run(number: int, **changes: Any) -> InvocationRecord:
    status = InvocationStatus.PENDING
    record = InvocationRecord(UUID(int=number), "stage", "move", status, None, b"{}", NOON)
    return record._replace(**changes)


@pytest.mark.usefixtures("raising")
def test_all_futures_are_done_although_logging_fails(
    writer: Writer, held_up: HeldUp, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = {"not JSON": object()}
    with held_up(writer):
        records = [run(1, error=bad), run(2, error=bad), run(3)]
        futures = [writer.put(record) for record in records]
    assert [type(future.exception(TIMEOUT)) for future in futures] == [TypeError] * 2 + [type(None)]
    assert writer.put(run(4)).result(TIMEOUT) is None
    stderr = capsys.readouterr().err
    assert str(UUID(int=2)) in stderr, "a message that could not be logged goes to stderr"
    assert "in emit" in stderr


@pytest.mark.usefixtures("raising")
def test_a_callback_that_fails_stops_nothing_although_logging_fails(
    writer: Writer, held_up: HeldUp
) -> None:
    def leave(_: object) -> None:
        raise SystemExit

    with held_up(writer):
        writer.put(run(1)).add_done_callback(leave)
    assert writer.put(run(2)).result(TIMEOUT) is None


def test_a_log_record_of_the_journal_has_the_line_of_the_caller(
    caplog: pytest.LogCaptureFixture,
) -> None:
    LOGGER.warning("The disk is %s.", "slow")
    (record,) = caplog.records
    assert record.getMessage() == "The disk is slow."
    assert (record.name, record.filename) == ("labthings_fastapi.journal", Path(__file__).name)


def test_a_thread_that_cannot_be_started_is_an_error_until_it_can(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError(f"can't start new thread {thread.name}")

    key = IdempotencyKey("k1", "stage", "move", "f00", UUID(int=1), utc_now())
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        refused: list[Future[Any]] = [
            writer.put(run(1)),
            writer.put_mutation(MUTATION),
            writer.put_key(key),
            writer.submit(lambda: None),
        ]
    for future in refused:
        with pytest.raises(TooBusyError, match=r"journal.sqlite .* can't start new thread journal"):
            future.result(TIMEOUT)
    assert writer.put(run(2)).result(TIMEOUT) is None


def test_a_journal_whose_thread_never_started_can_be_closed(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert isinstance(writer.put(run(1)).exception(TIMEOUT), TooBusyError)
    assert writer.close(TIMEOUT)
    assert isinstance(writer.put(run(1)).exception(TIMEOUT), ServerNotRunningError)


def test_a_failure_while_waiting_for_records_ends_nothing(
    writer: Writer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    writer.put(run(1)).result(TIMEOUT)
    clock.failures = 2  # one after the batch, one before the next
    for number in range(2, 6):
        assert writer.put(run(number)).result(TIMEOUT) is None
    assert writer.close(TIMEOUT)
    assert clock.failures == 0
    assert caplog.text.count("unexpected error, continuing") == 2


def test_without_a_clock_records_are_written_and_nothing_spins(
    writer: Writer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.05)
    looks = 1_000_000_000
    writer.put(run(1)).result(TIMEOUT)
    clock.failures = looks
    for number in range(2, 4):
        assert writer.put(run(number)).result(TIMEOUT) is None
    assert writer.close(TIMEOUT)
    assert 0 < looks - clock.failures < 100


@pytest.mark.parametrize(
    ("raised", "expected"), [(LookupError("odd"), LookupError), (SystemExit(3), RuntimeError)]
)
def test_an_error_in_a_batch_fails_all_its_futures(
    writer: Writer,
    held_up: HeldUp,
    monkeypatch: pytest.MonkeyPatch,
    raised: BaseException,
    expected: type[Exception],
) -> None:
    def die(*_: object) -> None:
        raise raised

    key = IdempotencyKey("k1", "stage", "move", "f00", UUID(int=1), utc_now())
    with monkeypatch.context() as patch:
        with held_up(writer):
            patch.setattr(BatchWriter, "write", die)
            futures: list[Future[Any]] = [
                writer.put_key(key),
                *(writer.put(run(number)) for number in (1, 1, 2)),
                writer.put_mutation(MUTATION),
                writer.submit(lambda: None),
            ]
        assert [type(future.exception(TIMEOUT)) for future in futures] == [expected] * 6
    assert writer.put(run(1)).result(TIMEOUT) is None


def test_a_thread_that_ends_leaves_no_future_pending(
    writer: Writer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    held, go = threading.Event(), threading.Event()

    def hold(*_: object) -> None:
        held.set()
        go.wait(TIMEOUT)
        raise RecursionError("unforeseen")

    writer.put(run(1)).result(TIMEOUT)
    monkeypatch.setattr(writer, "_process", hold)
    writer.put(run(2))
    held.wait(TIMEOUT)
    waiting = [writer.put(run(3)), writer.submit(lambda: None)]
    go.set()
    for future in waiting:
        with pytest.raises(ServerNotRunningError, match=r"unforeseen.*start the server"):
            future.result(TIMEOUT)
    assert isinstance(writer.put(run(4)).exception(TIMEOUT), ServerNotRunningError)
    assert writer.close(TIMEOUT)
    assert "has ended" in caplog.text


def test_a_sweep_that_fails_again_and_again_does_not_spin(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SWEEP_SECONDS", 0.0)
    sweeps: list[sqlite3.Connection] = []
    timeouts: list[float | None] = []
    take = WriteQueue.take

    class Odd(Retention):
        def step(self, connection: sqlite3.Connection) -> bool:
            sweeps.append(connection)
            raise LookupError("odd")

    def watched(write_queue: WriteQueue, timeout: float | None) -> Batch | None:
        timeouts.append(timeout)
        return take(write_queue, timeout)

    monkeypatch.setattr(WriteQueue, "take", watched)
    writer = Writer(database, Odd(1e5, 1 << 30, utc_now), utc_now, time.monotonic)
    for number in range(3):
        assert writer.put(run(number)).result(TIMEOUT) is None
    assert writer.close(TIMEOUT)
    assert sweeps
    assert {timeout is not None and timeout >= module.PAUSE for timeout in timeouts} == {True}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows renames no file that is open")
def test_a_connection_to_a_file_that_was_set_aside_is_not_used_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rename_during_a_read(path: Path, target: Path | str) -> Path:
        if path == database.path:
            readers.enter_context(database.reading())
        return rename(path, target)

    rename, readers = Path.rename, ExitStack()
    database.connection().execute("CREATE TABLE damaged (page)")
    with monkeypatch.context() as patch, readers:
        patch.setattr(Path, "rename", rename_during_a_read)
        assert database.set_aside(sqlite3.DatabaseError("damage"))
        database.connection()
    with database.reading() as reader:
        found = reader.execute("SELECT name FROM sqlite_master").fetchall()
    assert found != []
    assert ("damaged",) not in found
