"""The journal of a server, from the start to the stop of the server."""

from __future__ import annotations

import threading
from pathlib import Path

from labthings_fastapi.actions.manager import ActionManager
from labthings_fastapi.journal.sqlite import SqliteJournal
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.thing_host.folder_lock import FolderLock, lock_for_journal, lock_for_server

from .config_model import ThingServerConfig

LOGGER = own_logger("server")
JOURNAL_FILE = "journal.sqlite"


class JournalLifecycle:
    """Gives the action manager a lasting journal while the server runs; any thread may use it.

    A server object that is started again keeps its `boot_id`, which its broker has. So an
    invocation that did not stop with its server is not recorded as interrupted: it is still in the
    manager, and its end is written to the journal that is in use then. Between two starts,
    invocations are recorded in memory only.
    """

    def __init__(self, manager: ActionManager, config: ThingServerConfig) -> None:
        self._manager = manager
        self._config = config.journal
        self._max_output_bytes = config.max_output_bytes
        self._folder = folder = config.settings_folder
        self._memory = manager.journal
        self.folder_lock = lock_for_server(folder)
        self._file_lock: FolderLock | None = None
        self._ending = threading.Lock()  # held while the journal is closed

    def begin(self) -> None:
        self._open()
        self._manager.journal.limit_outputs(self._max_output_bytes)

    def _open(self) -> None:
        if not self.folder_lock.claim():
            LOGGER.warning(
                "Another server of this process uses the settings folder %s: the runs of this "
                "server are recorded in memory only.",
                self._folder,
            )
            return
        config = self._config
        if config.kind == "memory":
            return
        path = config.path if config.path is not None else self._folder / JOURNAL_FILE
        try:
            if not self._claim_file(path, make=config.path is not None):
                LOGGER.warning(
                    "Another server of this process writes the journal %s: the runs of this server "
                    "are recorded in memory only.",
                    path,
                )
                return
            journal = SqliteJournal(
                path,
                boot_id=self._manager.broker.boot_id,
                keep_days=config.keep_days,
                keep_bytes=config.keep_bytes,
                keep_trail_days=config.keep_trail_days,
                synchronous=config.synchronous,
                claim=self._secure,
            )
            interrupted = journal.interrupt_open_invocations()
        except BaseException:
            self._release()
            raise
        for record in interrupted:
            LOGGER.warning(
                "Run %s (%s.%s) was interrupted, because the server was killed or crashed.",
                *(record.id, record.thing, record.action),
            )
        self._manager.journal = journal

    def end(self, timeout: float) -> None:
        """Write pending records within `timeout` seconds, and unlock the folder; idempotent."""
        with self._ending:
            self._manager.save_open()  # of those that did not stop
            journal, self._manager.journal = self._manager.journal, self._memory
            if journal is not self._memory:
                journal.close(timeout)
            elif journal.outputs is not None:
                journal.outputs.stop()
            self._release()

    def health(self) -> dict[str, str]:
        """Return whether invocations are recorded on the disk, and if not, why."""
        journal = self._manager.journal
        if journal is self._memory:
            return {"state": "memory"}
        failure = journal.failure
        if failure is None:
            return {"state": "recording"}
        since = failure.since.isoformat().replace("+00:00", "Z")
        return {"state": "failing", "error": failure.reason, "since": since}

    def _claim_file(self, path: Path, *, make: bool) -> bool:
        self._file_lock = lock_for_journal(path)
        return self._file_lock.claim_and_make() if make else self._file_lock.claim()

    def _secure(self) -> None:
        self.folder_lock.secure()
        if self._file_lock is not None:
            self._file_lock.secure()

    def _release(self) -> None:
        if self._file_lock is not None:
            self._file_lock.release()
        self.folder_lock.release()
