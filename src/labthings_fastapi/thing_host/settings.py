"""The settings of a Thing on disk: one JSON file, which is replaced as a whole."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from labthings_fastapi.exceptions import SettingsWriteError

from .operating_system import remove_leftovers, set_aside, write_durably

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class SettingsFile:
    """The settings of one Thing, name → JSON value; safe from any thread.

    `lock` is held while the file is read or written. Hold it to change values in memory together
    with the file.
    """

    def __init__(
        self, path: Path, logger: logging.Logger, claim: Callable[[], None] = lambda: None
    ) -> None:
        """Use the file at `path`, which need not exist.

        `claim` is called before each save: it locks the folder against other processes.
        """
        self.path = path
        self._claim = claim
        self.lock = threading.RLock()
        self._logger = logger
        self._values: dict[str, Any] = {}
        self._refusal: str | None = None
        self._saves = 0
        self.loaded = False
        """Whether the file has been read. Nothing is saved before: it would replace the file."""

    def load(self) -> Mapping[str, Any]:
        """Read the file and return its values.

        A file that is not a JSON object is renamed, and an error is logged.
        """
        with self.lock:
            self._refusal = None
            remove_leftovers(self.path)
            self._values = self._read()
            self.loaded = True
            return dict(self._values)

    def _read(self) -> dict[str, Any]:
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            self._refuse(f"it cannot be read: {error}")
            return {}
        try:
            values = json.loads(content)
        except (ValueError, RecursionError) as error:
            return self._quarantine(f"it is not JSON: {error}")
        if not isinstance(values, dict):
            return self._quarantine("it does not hold a JSON object")
        return values

    def _quarantine(self, reason: str) -> dict[str, Any]:
        label = f"unreadable-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        try:
            aside = set_aside(self.path, label)
        except OSError as error:
            self._refuse(f"{reason}, and it cannot be set aside: {error}")
            return {}
        self._logger.error(
            "The settings file %s cannot be used: %s. It was renamed to %s, and the settings start "
            "from their defaults.",
            self.path,
            reason,
            aside.name,
        )
        return {}

    def _refuse(self, reason: str) -> None:
        """Refuse every save until the file can be read: a save would overwrite its values."""
        self._refusal = reason
        self._logger.error(
            "The settings file %s cannot be used: %s. The settings start from their defaults and "
            "cannot be changed. Make the file readable, then restart the server.",
            self.path,
            reason,
        )

    def save(self, changed: Mapping[str, Any]) -> None:
        """Write the file with these values changed; unknown keys in it are kept.

        Does nothing before the file was loaded: what `__init__` sets is a default.

        Raises:
            SettingsWriteError: the file cannot be written; it is unchanged.
            FolderInUseError: the server of another process uses the folder; the file is unchanged.
        """
        with self.lock:
            if not self.loaded:
                return
            self._claim()
            values = {**self._values, **changed}
            if self._refusal is not None:
                raise SettingsWriteError(
                    f"The settings file {str(self.path)!r} is not overwritten: {self._refusal}."
                )
            try:
                content = json.dumps(values, indent=4).encode()
                write_durably(self.path, content + b"\n")
            except (OSError, ValueError, RecursionError) as error:
                reason = getattr(error, "strerror", None) or error
                raise SettingsWriteError(
                    f"The settings file {str(self.path)!r} could not be written ({reason}); "
                    "the old value stays."
                ) from error
            self._values = values
            self._saves += 1

    def save_latest(self, read: Callable[[], Mapping[str, Any]]) -> None:
        """Save what `read` returns; call `read` again if another thread saved in between.

        `read` may run user code, so it is called without the lock. Of two threads, the one that
        has read an older value cannot overwrite the newer one.

        Raises:
            SettingsWriteError: as `save`.
        """
        while True:
            saves = self._saves
            changed = read()
            with self.lock:
                if saves == self._saves:
                    self.save(changed)
                    return
