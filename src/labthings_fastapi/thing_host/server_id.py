"""Who this server is: an id of its own, which outlives names, hosts and restarts."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from labthings_fastapi.own_log import own_logger

from .operating_system import write_durably

if TYPE_CHECKING:
    from pathlib import Path

LOGGER = own_logger("server")
FILE_NAME = "server-id"


class ServerId:
    """The id in the file `server-id` of the settings folder, made on first use.

    Any thread may ask; the first one waits for the disk.
    """

    def __init__(self, folder: Path) -> None:
        """Keep the id in this folder, which need not exist."""
        self._path = folder / FILE_NAME
        self._lock = threading.Lock()
        self._known = False
        self._id: UUID | None = None

    def get(self) -> UUID | None:
        """Return the id; None, after a warning, where it can be neither read nor stored."""
        with self._lock:
            if not self._known:
                self._id = self._read_or_make()
                self._known = True
            return self._id

    def _read_or_make(self) -> UUID | None:
        try:
            try:
                return UUID(self._path.read_text(encoding="utf-8").strip())
            except FileNotFoundError:
                made = uuid4()
                write_durably(self._path, f"{made}\n".encode())
                return made
        except (OSError, ValueError) as error:
            LOGGER.warning(
                "The server's id cannot be kept in %s (%s), so the ids of its Things come from "
                "their names alone. Mend or remove the file, then restart.",
                self._path,
                error,
            )
            return None
