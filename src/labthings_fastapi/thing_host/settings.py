"""Settings on disk: one small JSON file for each Thing, whole at any moment."""

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
    """The settings of one Thing, name → JSON value.

    `lock` is held while the file is written and by whoever must change memory together with it.
    Any thread may use it.
    """

    def __init__(
        self, path: Path, logger: logging.Logger, claim: Callable[[], None] = lambda: None
    ) -> None:
        """Use the file at `path`, which need not exist.

        `claim` is called before it is written, and keeps the servers of other processes out.
        """
        self.path = path
        self._claim = claim
        self.lock = threading.RLock()
        self._logger = logger
        self._values: dict[str, Any] = {}
        self._refusal: str | None = None
        self._version = 0  # counts the saves
        self.loaded = False
        """Whether the file has been read. Before, nothing is saved: it would replace the file."""

    def load(self) -> Mapping[str, Any]:
        """Read the file and return what is in it.

        One that cannot be understood is set aside under another name, with a loud log record.
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
            "The settings file %s cannot be used: %s. It was kept as %s; the settings start from "
            "their defaults.",
            self.path,
            reason,
            aside.name,
        )
        return {}

    def _refuse(self, reason: str) -> None:
        """Save nothing until the file can be read: saving would overwrite what is in it."""
        self._refusal = reason
        self._logger.error(
            "The settings file %s cannot be used: %s. Settings start from their defaults, and "
            "cannot be changed until that is put right.",
            self.path,
            reason,
        )

    def save(self, changed: Mapping[str, Any]) -> None:
        """Write the file with these values changed; keys that nobody knows stay.

        Does nothing before the file was loaded: what `__init__` sets is a default.

        Raises:
            SettingsWriteError: neither the file nor what `load` returned has changed.
            FolderInUseError: nor then: the server of another process keeps its settings here.
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
                said = getattr(error, "strerror", None) or error
                raise SettingsWriteError(
                    f"The settings file {str(self.path)!r} could not be written ({said}); "
                    "the old value stays."
                ) from error
            self._values = values
            self._version += 1

    def save_latest(self, read: Callable[[], Mapping[str, Any]]) -> None:
        """Save what `read` returns, and ask it again if something else was saved meanwhile.

        So that of two threads the one with the older value cannot come last, although user code
        runs in `read` and the lock is not held there.

        Raises:
            SettingsWriteError: as `save`.
        """
        while True:
            version = self._version
            changed = read()
            with self.lock:
                if version == self._version:
                    self.save(changed)
                    return
