"""The unique id of a server, which stays the same when its name, host or address changes."""

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

    Safe from any thread; the first call waits for the disk.
    """

    def __init__(self, folder: Path) -> None:
        """Store the id in `folder`, which need not exist."""
        self._path = folder / FILE_NAME
        self._lock = threading.Lock()
        self._loaded = False
        self._id: UUID | None = None

    def get(self) -> UUID | None:
        """Return the id; None, after a warning, if it can be neither read nor stored."""
        with self._lock:
            if not self._loaded:
                self._id = self._read_or_make()
                self._loaded = True
            return self._id

    def _read_or_make(self) -> UUID | None:
        try:
            try:
                return UUID(self._path.read_text(encoding="utf-8").strip())
            except FileNotFoundError:
                new_id = uuid4()
                write_durably(self._path, f"{new_id}\n".encode())
                return new_id
        except (OSError, ValueError) as error:
            LOGGER.warning(
                "The server's id cannot be read from or written to %s (%s). The ids of its Things "
                "are derived from their names only, so they are not unique. Correct or remove the "
                "file, then restart the server.",
                self._path,
                error,
            )
            return None
