"""The settings of a Thing on disk: one JSON file, which is replaced as a whole."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from labthings_fastapi.exceptions import SettingsWriteError

from .operating_system import remove_leftovers, set_aside, unused_name_beside, write_durably

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
        self._content: bytes | None = None  # as last read or written; None: there was no file
        self._refusal: str | None = None
        self._saves = 0
        self._saved_at: dict[str, int] = {}  # name → number of the save that changed it last
        self.loaded = False
        """Whether the file has been read. Nothing is saved before: it would replace the file."""

    def load(self) -> Mapping[str, Any]:
        """Read the file and return its values.

        A file that is not a JSON object is renamed, and an error is logged.
        """
        with self.lock:
            self._refusal, self._content = None, None
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
        self._content = content
        return values

    def _quarantine(self, reason: str) -> dict[str, Any]:
        label = _label("unreadable")
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

    @property
    def saves(self) -> int:
        """How often the file was saved; for `is_newer`."""
        return self._saves

    def is_newer(self, name: str, saves: int) -> bool:
        """Return whether a value was saved since `saves` had this value; hold `lock`."""
        return self._saved_at.get(name, 0) > saves

    def value(self, name: str) -> Any:
        """Return the value in the file, or raise KeyError."""
        with self.lock:
            return self._values[name]

    def names(self) -> frozenset[str]:
        """Return the names of the values in the file."""
        with self.lock:
            return frozenset(self._values)

    def save(self, changed: Mapping[str, Any]) -> None:
        """Write the file with these values changed; unknown keys in it are kept.

        Does nothing before the file was loaded: what `__init__` sets is a default. If another
        program has changed the file, its content is kept in a copy, and a warning names both.

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
                content = json.dumps(values, indent=4, sort_keys=True).encode() + b"\n"
                write_durably(self.path, content, before_replacing=self._keep_edit)
            except (OSError, ValueError, RecursionError) as error:
                reason = getattr(error, "strerror", None) or error
                raise SettingsWriteError(
                    f"The settings file {str(self.path)!r} could not be written ({reason}); "
                    "the old value stays."
                ) from error
            self._values, self._content = values, content
            self._saves += 1
            self._saved_at.update(dict.fromkeys(changed, self._saves))

    def _keep_edit(self) -> None:
        """Copy the file, if another program has changed it; `OSError` if that fails."""
        try:
            found = self.path.read_bytes()
        except FileNotFoundError:
            if self._content is not None:
                self._logger.warning(
                    "The settings file %s was removed while the server runs. It is written again, "
                    "with the settings of the server.",
                    self.path,
                )
            return
        if found == self._content or self._has_known_values(found):
            return
        copy = unused_name_beside(self.path, _label("edited"))
        write_durably(copy, found)
        self._logger.warning(
            "The settings file %s was changed by another program while the server runs. That "
            "content is kept in %s, and the settings of the server are saved in the file. Stop the "
            "server before you edit the file, or set the values while it runs.",
            self.path,
            copy,
        )

    def _has_known_values(self, content: bytes) -> bool:
        try:
            return bool(json.loads(content) == self._values)
        except (ValueError, RecursionError):
            return False

    def others_beside(self) -> list[Path]:
        """Return the settings files of other classes in the same folder."""
        return sorted(
            each for each in self.path.parent.glob("Settings*.json") if each.name != self.path.name
        )

    def exists(self) -> bool:
        """Return whether the file was there when it was last read or written."""
        with self.lock:
            return self._content is not None


def _label(reason: str) -> str:
    return f"{reason}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
