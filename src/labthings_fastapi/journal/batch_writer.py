"""Writing batches of records to the database, and what happens when that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labthings_fastapi.exceptions import FolderInUseError, JournalWriteError
from labthings_fastapi.problems import well_formed

from .faults import as_os_error, is_busy, is_damage, is_system_error, is_temporary
from .invocation_rows import ROWS_PER_STATEMENT, invocation_row, write_invocations
from .journal import JournalFailure
from .key_rows import write_key
from .mutation_rows import mutation_row, write_mutations
from .part_rows import delete_parts, write_parts
from .retry_queue import RetryQueue
from .schema import LOGGER, VERSION
from .sql_values import transaction
from .write_queue import Batch, Job, new_future

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from uuid import UUID

    from .database import Database
    from .keys import IdempotencyKey


class BatchWriter:
    """Writes records in transactions and completes their futures; for the writer's thread only.

    `retries` has the final records that could not be written yet.
    """

    def __init__(
        self, database: Database, clock: Callable[[], datetime], monotonic: Callable[[], float]
    ) -> None:
        self._database = database
        self._clock = clock
        self.retries = RetryQueue(monotonic)
        self.failure: JournalFailure | None = None
        """Why the file cannot be written; replaced and never changed, so any thread may read it."""
        self._with_parts: set[UUID] = set()  # the open invocations that have rows in `parts`

    def write(self, batch: Batch) -> bool:
        """Write records, and return whether at least one was written.

        If they cannot be written together, each is written by itself, so that a bad record does
        not cost the others.
        """
        if not batch.number_of_records:
            return False
        error = self._attempt(batch)
        if error is not None and self.repair(error):
            error = self._attempt(batch)
        if error is None:
            return True
        if batch.number_of_records == 1 or is_busy(error):
            self._fail(batch, error)
            return False
        written = [self.write(part) for part in batch.split()]
        return any(written)

    def retry(self) -> None:
        """Write the final records that failed earlier, up to the first one that fails again."""
        records = self.retries.records()
        for record in records:
            error = self._attempt(Batch(invocations={record.id: Job(record, new_future())}))
            if error is not None and not self.repair(error):
                self.retries.postpone(record)
                return
        if records and not self.retries:
            LOGGER.warning("%s ends of runs were recorded late.", len(records))

    def repair(self, error: Exception) -> bool:
        """Start a new file if this one is damaged; True if another attempt makes sense."""
        if is_system_error(error):
            self._database.abandon()
        return is_damage(error) and self._database.set_aside(error)

    def note_failure(self, error: Exception) -> Exception:
        """Remember that the file cannot be written, unless the record is at fault.

        Return the error for those who wait.
        """
        reason = as_os_error(error, self._database.path)
        refusal: Exception = reason
        if is_temporary(reason):
            refusal = JournalWriteError(str(self._database.path), reason)
            refusal.__cause__ = error
        elif not isinstance(reason, FolderInUseError):
            return reason
        before = self.failure
        self.failure = JournalFailure(str(refusal), before.since if before else self._clock())
        return refusal

    def note_success(self) -> None:
        """Remember that the file can be written."""
        if self.failure is not None:
            self.failure = None
            LOGGER.warning("The journal %s can be written again.", self._database.path)

    def try_again(self) -> None:
        """Find out whether the file can be written now, by writing its version again."""
        try:
            self._database.connection().execute(f"PRAGMA user_version = {VERSION}")
        except Exception as error:  # noqa: BLE001 - told by `failure`
            self.repair(error)
            self.note_failure(error)
        else:
            self.note_success()

    def _attempt(self, batch: Batch) -> Exception | None:
        try:
            stored_keys = self._store(batch)
        except Exception as error:  # noqa: BLE001 - the caller decides
            return error
        self.note_success()
        self.retries.discard(batch.invocations)
        for key_job, key in zip(batch.keys, stored_keys, strict=True):
            key_job.resolve(key)
        for job in batch.invocations.values():
            job.resolve()
        for mutation_job in batch.mutations:
            mutation_job.resolve()
        for part_job in batch.parts:
            part_job.resolve()
        return None

    def _store(self, batch: Batch) -> list[IdempotencyKey]:
        rows = [invocation_row(job.record) for job in batch.invocations.values()]
        connection = self._database.connection()
        ended = [id for id in self._with_parts if batch.ends(id)]
        if len(rows) == batch.number_of_records <= ROWS_PER_STATEMENT and not ended:
            write_invocations(connection, rows)  # one statement is a transaction by itself
            return []
        with transaction(connection):
            now = self._clock()
            stored_keys = [write_key(connection, job.record, now) for job in batch.keys]
            write_invocations(connection, rows)
            write_mutations(connection, [mutation_row(job.record) for job in batch.mutations])
            parts = [job.record for job in batch.parts if not batch.ends(job.record.id)]
            write_parts(connection, parts)
            delete_parts(connection, ended)
        self._with_parts.difference_update(ended)
        self._with_parts.update(part.id for part in parts)
        return stored_keys

    def _fail(self, batch: Batch, error: Exception) -> None:
        reason = self.note_failure(error)
        for record in [job.record for job in batch.invocations.values()]:
            LOGGER.error(
                "The journal %s could not record run %s (%s.%s: %s): %s",
                *(self._database.path, record.id, well_formed(record.thing)),
                *(well_formed(record.action), record.status.value, reason),
            )
            if not record.is_open and is_temporary(error):
                self.retries.add(record)
        if batch.mutations:
            LOGGER.error(
                "The journal %s could not record %s mutations: %s",
                *(self._database.path, len(batch.mutations), reason),
            )
        if batch.parts:
            LOGGER.error(
                "The journal %s could not record the log and progress so far of %s runs: %s",
                *(self._database.path, len(batch.parts), reason),
            )
        batch.fail_records(reason)
