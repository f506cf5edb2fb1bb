"""A house for one Thing on its own."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path

from labthings_fastapi.hosting.interface import EmptyHouse
from labthings_fastapi.hosting.lock import GlobalLock


class TemporaryHouse(EmptyHouse):
    """A house for one Thing, with a folder for its settings that goes away with it."""

    def __init__(self, settings_folder: Path | None, *, enable_global_lock: bool) -> None:
        super().__init__()
        if settings_folder is None:
            settings_folder = Path(tempfile.mkdtemp(prefix="labthings-settings-"))
            # Not a TemporaryDirectory: that warns, in the middle of a test, when it is forgotten.
            weakref.finalize(self, shutil.rmtree, settings_folder, ignore_errors=True)
        self.settings_folder = settings_folder
        self.global_lock = GlobalLock() if enable_global_lock else None
