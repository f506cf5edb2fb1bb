"""The journal of a server, from its start to its end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from labthings_fastapi.journal.sqlite import SqliteJournal
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.thing_host.folder_lock import FolderLock

if TYPE_CHECKING:
    from pathlib import Path

    from labthings_fastapi.actions.manager import ActionManager

    from .config_model import JournalConfig

LOGGER = own_logger("server")
JOURNAL_FILE = "journal.sqlite"


class JournalLifecycle:
    """Gives the manager a lasting journal while the server runs; any thread may use it.

    A server that is started again continues the same life: the incarnation is that of its broker,
    which lives as long as the server object. So a run that did not stop with its server is not
    taken for interrupted; it is in the manager still, and its end goes to the journal that is in
    use then. Between two starts, runs are recorded in memory only.
    """

    def __init__(self, manager: ActionManager, config: JournalConfig, folder: Path) -> None:
        """Record in memory until `begin`; `folder` is the settings folder."""
        self._manager = manager
        self._config = config
        self._folder = folder
        self._memory = manager.journal
        self._lock = FolderLock(folder)
        self._ending = threading.Lock()  # held while the journal is put away

    def begin(self) -> None:
        """Lock the settings folder, open the journal, and end what an earlier life left open.

        Waits for the disk. Nothing is made on the disk before the first run.

        Raises:
            FolderInUseError: another process serves from this folder.
            ServerConfigurationError: the journal cannot be kept where it should be.
        """
        if not self._lock.claim():
            LOGGER.warning(
                "Another server of this process uses the settings folder %s: the runs of this "
                "one are recorded in memory only.",
                self._folder,
            )
            return
        if self._config.kind == "memory":
            return
        try:
            journal = self._open()
            interrupted = journal.interrupt_open_invocations()
        except BaseException:
            self._lock.release()
            raise
        for record in interrupted:
            LOGGER.warning(
                "Run %s (%s.%s) was interrupted when the server stopped without notice.",
                *(record.id, record.thing, record.action),
            )
        self._manager.journal = journal

    def claim_folder(self) -> None:
        """Keep other processes out of the settings folder, before the first file is made in it.

        Raises:
            FolderInUseError: one of them was first.
        """
        self._lock.secure_if_claimed()

    def _open(self) -> SqliteJournal:
        config = self._config
        return SqliteJournal(
            config.path if config.path is not None else self._folder / JOURNAL_FILE,
            boot_id=self._manager.broker.boot_id,
            keep_days=config.keep_days,
            keep_bytes=config.keep_bytes,
            synchronous=config.synchronous,
            claim=self._lock.secure,
        )

    def end(self, timeout: float) -> None:
        """Write what is left, for at most `timeout` seconds, and free the folder; harmless twice.

        Waits for the disk.
        """
        with self._ending:
            journal, self._manager.journal = self._manager.journal, self._memory
            if journal is not self._memory:
                journal.close(timeout)
            self._lock.release()
