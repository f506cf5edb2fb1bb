"""The one thread that writes the journal: everything that waits goes into one transaction."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

from labthings_fastapi.exceptions import (
    ServerNotRunningError,
    TooBusyError,
    describe_exception,
)
from labthings_fastapi.problems import well_formed

from .faults import as_os_error, is_busy, is_damage, is_of_the_system, may_pass
from .retry_queue import RetryQueue
from .rows import ROWS_AT_ONCE, record_row, write_key, write_records
from .schema import LOGGER
from .write_queue import Batch, KeyJob, RecordJob, WriteQueue, failed, new_future

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future
    from datetime import datetime

    from .database import Database
    from .keys import IdempotencyKey
    from .record import InvocationRecord
    from .retention import Retention

T = TypeVar("T")

SWEEP_SECONDS: Final = 60.0
GATHER_SECONDS: Final = 0.002
"""How long more may come in after a batch of several: where many runs begin and end at once, larger
transactions cost each of them less than half. One run after the other is written without delay."""
PAUSE: Final = 1.0
"""Seconds between two tries of whatever fails, so that the thread does not spin."""


class Writer:
    """Writes what is put in, and tidies up in between.

    The methods without an underscore may be called from any thread and wait for no disk, `close`
    excepted; the others run on the writer's own thread, which starts with the first use.
    """

    def __init__(
        self,
        database: Database,
        retention: Retention,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._database = database
        self._retention = retention
        self._clock = clock
        self._monotonic = monotonic
        self._write_queue = WriteQueue()
        self._unwritten = RetryQueue(monotonic)
        self._next_sweep = monotonic() + SWEEP_SECONDS
        self._lock = threading.Lock()  # guards the one below
        self._thread: threading.Thread | None = None

    def put(self, record: InvocationRecord) -> Future[None]:
        """Write a record."""
        error = self._start()
        return self._write_queue.put_record(record) if error is None else failed(error)

    def remember(self, key: IdempotencyKey) -> Future[IdempotencyKey]:
        """Write a key."""
        error = self._start()
        return self._write_queue.put_key(key) if error is None else failed(error)

    def ask(self, do: Callable[[], T]) -> Future[T]:
        """Do something else on the writer's thread, after what was put in before."""
        error = self._start()
        return self._write_queue.ask(do) if error is None else failed(error)

    def close(self, timeout: float) -> bool:
        """Take nothing more and write the rest; False if that is not done in time."""
        self._write_queue.close()
        with self._lock:
            thread = self._thread
        if thread is None:
            return True
        thread.join(timeout)
        return not thread.is_alive()

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is taken."""
        return self._write_queue.is_closed

    def sweep(self) -> None:
        """Drop what need not be kept any longer; on the writer's thread, through `ask`."""
        while self._sweep_a_little():
            pass

    def _start(self) -> Exception | None:
        """Start the thread, once; return what is to be told if that fails, until the next try."""
        if self._thread is not None:
            return None
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="journal", daemon=True)
                try:
                    thread.start()
                except (RuntimeError, MemoryError) as error:
                    return self._not_started(error)
                self._thread = thread
        return None

    def _not_started(self, error: Exception) -> TooBusyError:
        told = TooBusyError(
            f"The journal {self._database.path} cannot record this, because its thread cannot be "
            f"started ({describe_exception(error)}): ask again later, or end programs that this "
            "computer can spare."
        )
        told.__cause__ = error
        return told

    # --- the writer's thread --------------------------------------------------------------

    def _run(self) -> None:
        try:
            while (batch := self._next()) is not None:
                self._handle(batch)
            self._retry()
        except BaseException as error:  # noqa: BLE001 - nobody may wait for a thread that is gone
            LOGGER.exception("The thread of the journal %s ends by:", self._database.path)
            self._write_queue.give_up(
                ServerNotRunningError(
                    f"The journal {self._database.path} records nothing more, because its thread "
                    f"has ended by {describe_exception(error)}: start the server again."
                )
            )
        finally:
            for record in self._unwritten.records():
                LOGGER.error("The journal ends without the end of run %s.", record.id)
            self._database.close()

    def _next(self) -> Batch | None:
        """Wait for the next batch; None when closed."""
        failed_before = False
        while True:
            try:
                # Without a look at the clock after a failure, should that be what fails.
                return self._write_queue.take(PAUSE if failed_before else self._patience())
            except BaseException:  # noqa: BLE001 - such as a MemoryError, which may pass
                failed_before = True
                self._go_on()
            time.sleep(PAUSE)

    def _handle(self, batch: Batch) -> None:
        try:
            some = self._write_all(batch.jobs)
            for task in batch.tasks:
                task.run()
            if some:
                self._retry()
            self._tidy()
            if len(batch.invocations) > 1:
                self._write_queue.wait_for_more(GATHER_SECONDS)
        except BaseException as error:  # noqa: BLE001 - the journal lives as long as the server
            self._go_on()
            batch.fail(error)

    def _go_on(self) -> None:
        LOGGER.exception("The writer of the journal %s goes on after:", self._database.path)

    def _patience(self) -> float:
        sweep = self._next_sweep - self._monotonic()
        retry = self._unwritten.seconds_left
        # What is due is done after each batch: if it is due now, it has most likely failed.
        return max(PAUSE, sweep if retry is None else min(sweep, retry))

    def _tidy(self) -> None:
        if self._unwritten.seconds_left == 0:
            self._retry()
        if self._monotonic() < self._next_sweep:
            return
        # While records wait, one step between two batches is enough.
        while more := self._sweep_a_little():
            if not self._write_queue.empty:
                break
        if not more:
            self._next_sweep = self._monotonic() + SWEEP_SECONDS

    def _sweep_a_little(self) -> bool:
        if not (self._database.number is not None or self._database.path.exists()):
            return False
        try:
            return self._retention.step(self._database.connection())
        except (sqlite3.Error, OSError) as error:
            if not self._mend(error):
                LOGGER.warning("The journal %s was not tidied: %s", self._database.path, error)
            return False

    def _retry(self) -> None:
        """Try the ends of runs that could not be written; the first failure ends the try."""
        records = self._unwritten.records()
        for record in records:
            error = self._attempt([RecordJob(record, new_future())])
            if error is not None and not self._mend(error):
                self._unwritten.failed(record)
                return
        if records and not self._unwritten:
            LOGGER.warning("%s ends of runs were recorded after all.", len(records))

    def _write_all(self, jobs: Sequence[KeyJob | RecordJob]) -> bool:
        """Write a batch; after a failure one by one, so that a bad record costs only itself."""
        error = self._attempt(jobs)
        if error is not None and self._mend(error):
            error = self._attempt(jobs)
        if error is None:
            return bool(jobs)
        if len(jobs) == 1 or is_busy(error):
            self._fail(jobs, error)
            return False
        written = [self._write_all([job]) for job in jobs]
        return any(written)

    def _mend(self, error: Exception) -> bool:
        """Begin a new file if this one is damaged; True if another attempt is worth it."""
        if is_of_the_system(error):
            self._database.abandon()
        return is_damage(error) and self._database.set_aside(error)

    def _attempt(self, jobs: Sequence[KeyJob | RecordJob]) -> Exception | None:
        if not jobs:
            return None
        try:
            answers = self._transact(jobs)
        except Exception as error:  # noqa: BLE001 - judged by the caller
            return error
        self._unwritten.drop(job.record.id for job in jobs if isinstance(job, RecordJob))
        for job, answer in zip(jobs, answers, strict=True):
            job.resolve(answer)
        return None

    def _transact(self, jobs: Sequence[KeyJob | RecordJob]) -> list[Any]:
        keys = [job.key for job in jobs if isinstance(job, KeyJob)]
        rows = [record_row(job.record) for job in jobs if isinstance(job, RecordJob)]
        connection = self._database.connection()
        if not keys and len(rows) <= ROWS_AT_ONCE:
            write_records(connection, rows)  # one statement is a transaction by itself
            return [None] * len(rows)
        remaining = iter(rows)
        with _transaction(connection):
            now = self._clock()
            kept = [write_key(connection, key, now) for key in keys]
            while some := list(islice(remaining, ROWS_AT_ONCE)):
                write_records(connection, some)
        return [*kept, *[None] * len(rows)]

    def _fail(self, jobs: Sequence[KeyJob | RecordJob], error: Exception) -> None:
        reason = as_os_error(error, self._database.path)
        for job in jobs:
            if isinstance(job, RecordJob):
                LOGGER.error(
                    "The journal %s could not record run %s (%s.%s: %s): %s",
                    *(self._database.path, job.record.id, well_formed(job.record.thing)),
                    *(well_formed(job.record.action), job.record.status.value, reason),
                )
                if not job.record.is_open and may_pass(error):
                    self._unwritten.add(job.record)
            job.fail(reason)


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
