"""The one thread that writes the journal: everything that waits goes into one transaction."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

from labthings_fastapi.problems import well_formed

from .faults import as_os_error, is_busy, is_damage, is_of_the_system, may_pass
from .inbox import Inbox, KeyJob, RunJob, new_future
from .rows import ROWS_AT_ONCE, run_row, write_key, write_runs
from .schema import LOGGER
from .unwritten import Unwritten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future
    from datetime import datetime

    from .database import Database
    from .keys import RunKey
    from .record import RunRecord
    from .retention import Retention

T = TypeVar("T")

SWEEP_SECONDS: Final = 60.0
GATHER_SECONDS: Final = 0.002
"""How long more may come in after a batch of several: where many runs begin and end at once, larger
transactions cost each of them less than half. One run after the other is written without delay."""


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
        self._inbox = Inbox()
        self._unwritten = Unwritten(monotonic)
        self._next_sweep = monotonic() + SWEEP_SECONDS
        self._lock = threading.Lock()  # guards the one below
        self._thread: threading.Thread | None = None

    def put(self, record: RunRecord) -> Future[None]:
        """Write a record."""
        self._start()
        return self._inbox.put_run(record)

    def remember(self, key: RunKey) -> Future[RunKey]:
        """Write a key."""
        self._start()
        return self._inbox.put_key(key)

    def ask(self, do: Callable[[], T]) -> Future[T]:
        """Do something else on the writer's thread, after what was put in before."""
        self._start()
        return self._inbox.ask(do)

    def close(self, timeout: float) -> bool:
        """Take nothing more and write the rest; False if that is not done in time."""
        self._inbox.close()
        with self._lock:
            thread = self._thread
        if thread is None:
            return True
        thread.join(timeout)
        return not thread.is_alive()

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is taken."""
        return self._inbox.is_closed

    def sweep(self) -> None:
        """Drop what need not be kept any longer; on the writer's thread, through `ask`."""
        while self._sweep_a_little():
            pass

    def _start(self) -> None:
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
                self._thread.start()

    # --- the writer's thread --------------------------------------------------------------

    def _run(self) -> None:
        while (batch := self._inbox.take(self._patience())) is not None:
            with self._nothing_ends_the_thread():
                if self._write_all(batch.jobs):
                    self._retry()
            for errand in batch.errands:
                errand.run()
            with self._nothing_ends_the_thread():
                self._tidy()
            if len(batch.runs) > 1:
                self._inbox.wait_for_more(GATHER_SECONDS)
        with self._nothing_ends_the_thread():
            self._retry()
        for record in self._unwritten.records():
            LOGGER.error("The journal ends without the end of run %s.", record.id)
        self._database.close()

    @contextlib.contextmanager
    def _nothing_ends_the_thread(self) -> Iterator[None]:
        try:
            yield
        except Exception:  # noqa: BLE001 - the journal lives as long as the server
            LOGGER.exception("The writer of the journal %s goes on after:", self._database.path)

    def _patience(self) -> float:
        sweep = max(0.0, self._next_sweep - self._monotonic())
        retry = self._unwritten.seconds_left
        return sweep if retry is None else min(sweep, retry)

    def _tidy(self) -> None:
        if self._unwritten.seconds_left == 0:
            self._retry()
        if self._monotonic() < self._next_sweep:
            return
        # While records wait, one step between two batches is enough.
        while more := self._sweep_a_little():
            if not self._inbox.empty:
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
            error = self._attempt([RunJob(record, new_future())])
            if error is not None and not self._mend(error):
                self._unwritten.failed(record)
                return
        if records and not self._unwritten:
            LOGGER.warning("%s ends of runs were recorded after all.", len(records))

    def _write_all(self, jobs: Sequence[KeyJob | RunJob]) -> bool:
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

    def _attempt(self, jobs: Sequence[KeyJob | RunJob]) -> Exception | None:
        if not jobs:
            return None
        try:
            answers = self._transact(jobs)
        except Exception as error:  # noqa: BLE001 - judged by the caller
            return error
        self._unwritten.drop(job.record.id for job in jobs if isinstance(job, RunJob))
        for job, answer in zip(jobs, answers, strict=True):
            job.resolve(answer)
        return None

    def _transact(self, jobs: Sequence[KeyJob | RunJob]) -> list[Any]:
        keys = [job.key for job in jobs if isinstance(job, KeyJob)]
        rows = [run_row(job.record) for job in jobs if isinstance(job, RunJob)]
        connection = self._database.connection()
        if not keys and len(rows) <= ROWS_AT_ONCE:
            write_runs(connection, rows)  # one statement is a transaction by itself
            return [None] * len(rows)
        remaining = iter(rows)
        with _transaction(connection):
            now = self._clock()
            kept = [write_key(connection, key, now) for key in keys]
            while some := list(islice(remaining, ROWS_AT_ONCE)):
                write_runs(connection, some)
        return [*kept, *[None] * len(rows)]

    def _fail(self, jobs: Sequence[KeyJob | RunJob], error: Exception) -> None:
        reason = as_os_error(error, self._database.path)
        for job in jobs:
            if isinstance(job, RunJob):
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
