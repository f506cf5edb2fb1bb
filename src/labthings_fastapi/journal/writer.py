"""The one thread that writes the journal, with one transaction for everything that waits."""

from __future__ import annotations

import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Final, TypeVar

from labthings_fastapi.exceptions import (
    ServerNotRunningError,
    TooBusyError,
    describe_exception,
)

from .batch_writer import BatchWriter
from .schema import LOGGER
from .write_queue import Batch, WriteQueue, failed_future

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from datetime import datetime

    from .database import Database
    from .journal import JournalFailure
    from .keys import IdempotencyKey
    from .mutation import MutationRecord
    from .part import InvocationPart
    from .record import InvocationRecord
    from .retention import Retention

T = TypeVar("T")

ATTEMPT_SECONDS: Final = 5.0
"""How often it is tried whether a file can be written again that could not."""
SWEEP_SECONDS: Final = 60.0
PAUSE: Final = 1.0
"""Minimum of seconds between two attempts of an operation that fails."""


class Writer:
    """Writes records, and applies the retention between batches.

    Any thread may call the public methods, and only `close` waits for a disk. `sweep` and the
    private methods, except `_start`, run on the writer's thread, which starts with the first use.
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
        self._monotonic = monotonic
        self._write_queue = WriteQueue()
        self._batches = BatchWriter(database, clock, monotonic)
        self._next_sweep = monotonic() + SWEEP_SECONDS
        self._next_attempt = 0.0
        self._lock = threading.Lock()  # guards the one below
        self._thread: threading.Thread | None = None

    def put(self, record: InvocationRecord) -> Future[None]:
        """Write an invocation."""
        error = self._start()
        return failed_future(error) if error else self._write_queue.put_invocation(record)

    def put_part(self, part: InvocationPart) -> Future[None]:
        """Write a part of an open invocation."""
        error = self._start()
        return failed_future(error) if error else self._write_queue.put_part(part)

    def put_mutation(self, record: MutationRecord) -> Future[None]:
        """Write a mutation."""
        error = self._start()
        return failed_future(error) if error else self._write_queue.put_mutation(record)

    def put_key(self, key: IdempotencyKey) -> Future[IdempotencyKey]:
        """Write a key."""
        error = self._start()
        return failed_future(error) if error else self._write_queue.put_key(key)

    def submit(self, function: Callable[[], T]) -> Future[T]:
        """Call a function on the writer's thread, after what was put before."""
        error = self._start()
        return failed_future(error) if error else self._write_queue.submit(function)

    def close(self, timeout: float) -> bool:
        """Accept nothing more and write what waits; False if that takes longer than `timeout`."""
        self._write_queue.close()
        with self._lock:
            thread = self._thread
        if thread is None:
            return True
        thread.join(timeout)
        return not thread.is_alive()

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is accepted."""
        return self._write_queue.is_closed

    @property
    def failure(self) -> JournalFailure | None:
        """Why the file cannot be written now, as far as it is known."""
        return self._batches.failure

    def note_failure(self, error: Exception) -> None:
        """Remember that the file cannot be written; call it through `submit`."""
        self._batches.note_failure(error)

    def sweep(self) -> None:
        """Apply the retention completely; call it through `submit`."""
        while self._sweep_step():
            pass

    def _start(self) -> Exception | None:
        """Start the thread once; return an error if that fails. The next call tries again."""
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

    def _not_started(self, cause: Exception) -> TooBusyError:
        error = TooBusyError(
            f"The journal {self._database.path} cannot record this, because its thread cannot be "
            f"started ({describe_exception(cause)}): try again later, or end programs that this "
            "computer does not need."
        )
        error.__cause__ = cause
        return error

    def _run(self) -> None:
        try:
            while (batch := self._next_batch()) is not None:
                self._process(batch)
            self._batches.retry()
        except BaseException as error:  # noqa: BLE001 - or callers would wait for ever
            LOGGER.exception("The thread of the journal %s has ended:", self._database.path)
            self._write_queue.abort(
                ServerNotRunningError(
                    f"The journal {self._database.path} records nothing more, because its thread "
                    f"has ended by {describe_exception(error)}: start the server again."
                )
            )
        finally:
            for record in self._batches.retries.records():
                LOGGER.error("The end of run %s is not in the journal.", record.id)
            self._database.close()

    def _next_batch(self) -> Batch | None:
        """Wait for the next batch; None when closed."""
        timeout: float | None = None
        while True:
            try:
                # After an error the clock is not read, because it may be what fails.
                return self._write_queue.take(self._timeout() if timeout is None else timeout)
            except BaseException:  # noqa: BLE001 - such as a MemoryError, which may be temporary
                timeout = PAUSE
                self._log_unexpected_error()
            time.sleep(PAUSE)

    def _process(self, batch: Batch) -> None:
        try:
            anything_written = self._batches.write(batch)
            for task in batch.tasks:
                task.run()
            if anything_written or self._batches.retries.seconds_left == 0:
                self._batches.retry()
            if self._monotonic() >= self._next_sweep:
                self._regular_sweep()
            self._attempt_after_failure()
        except BaseException as error:  # noqa: BLE001 - the thread lasts as long as the server
            self._log_unexpected_error()
            batch.fail(error)

    def _attempt_after_failure(self) -> None:
        if self._batches.failure is not None and self._monotonic() >= self._next_attempt:
            self._batches.try_again()
            self._next_attempt = self._monotonic() + ATTEMPT_SECONDS

    def _log_unexpected_error(self) -> None:
        LOGGER.exception(
            "Writer of the journal %s: unexpected error, continuing.", self._database.path
        )

    def _timeout(self) -> float:
        """Return the seconds until a retry or a sweep is due.

        Both are done after each batch. If one is due now, it has just failed, so it has to wait.
        """
        sweep = self._next_sweep - self._monotonic()
        retry = self._batches.retries.seconds_left
        times = [sweep] if retry is None else [sweep, retry]
        if self._batches.failure is not None:
            times.append(self._next_attempt - self._monotonic())
        return max(PAUSE, min(times))

    def _regular_sweep(self) -> None:
        """Apply the retention; while records wait, only one step of it."""
        while self._sweep_step():
            if not self._write_queue.is_empty:
                return
        self._next_sweep = self._monotonic() + SWEEP_SECONDS

    def _sweep_step(self) -> bool:
        if not self._database.exists:
            return False
        try:
            return self._retention.step(self._database.connection())
        except (sqlite3.Error, OSError) as error:
            if not self._batches.repair(error):
                self._batches.note_failure(error)
                LOGGER.warning(
                    "Old records of the journal %s were not deleted: %s",
                    *(self._database.path, error),
                )
            return False
