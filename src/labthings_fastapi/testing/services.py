"""A house for one Thing on its own."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path

from labthings_fastapi.thing_host.interface import StandaloneServices
from labthings_fastapi.thing_host.lock import GlobalLock


class TestServices(StandaloneServices):
    """A house for one Thing, with a folder for its settings that goes away with it."""

    def __init__(self, settings_folder: Path | None, *, enable_global_lock: bool) -> None:
        super().__init__()
        if settings_folder is None:
            settings_folder = Path(tempfile.mkdtemp(prefix="labthings-settings-"))
            # Not a TemporaryDirectory: that warns, in the middle of a test, when it is forgotten.
            weakref.finalize(self, shutil.rmtree, settings_folder, ignore_errors=True)
        self.settings_folder = settings_folder
        self.global_lock = GlobalLock() if enable_global_lock else None
