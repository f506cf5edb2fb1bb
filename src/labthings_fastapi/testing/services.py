"""The server's services for a Thing in a test, without a server."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path

from labthings_fastapi.thing_host.interface import StandaloneServices
from labthings_fastapi.thing_host.lock import GlobalLock


class TestServices(StandaloneServices):
    """Services for one Thing, with a temporary settings folder unless one is given."""

    def __init__(self, settings_folder: Path | None, *, enable_global_lock: bool) -> None:
        super().__init__()
        if settings_folder is None:
            settings_folder = Path(tempfile.mkdtemp(prefix="labthings-settings-"))
            # Not a TemporaryDirectory: it warns if it is not closed, which fails a test.
            weakref.finalize(self, shutil.rmtree, settings_folder, ignore_errors=True)
        self.settings_folder = settings_folder
        self.global_lock = GlobalLock() if enable_global_lock else None
