"""The files of the web page, as the build made them.

`build_page.py` makes the folder `bundle` when the package is installed; git ignores it. It may be
missing, where there was neither Node nor a package index: everything else works without it.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).with_name("bundle")
INDEX: Final = "index.html"
MEDIA_TYPES: Final = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class BundleFile:
    """A file of the page, as it is sent."""

    body: bytes
    media_type: str
    is_compressed: bool
    is_final: bool
    """Whether its name changes with its content, so that browsers may keep it for ever."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """The folder with the files; reads the disk, so call it in a worker thread."""

    folder: Path = FOLDER

    def page(self, files: str) -> bytes | None:
        """Return the HTML, whose files are at the relative URL `files`; None if it is not built."""
        try:
            html = (self.folder / INDEX).read_text("utf-8")
        except OSError:
            return None
        return html.replace('="./', f'="{files}').encode()

    def file(self, name: str, *, gzipped: bool) -> BundleFile | None:
        """Return a file by its path below the folder, compressed if the client can read that."""
        path = self.folder / name
        media_type = MEDIA_TYPES.get(path.suffix)
        try:
            inside = path.resolve().is_relative_to(self.folder.resolve())
            found = inside and path.is_file()
        except (OSError, ValueError):  # a name that no file can have: too long, or with a NUL
            return None
        if media_type is None or not found:
            return None
        body = path.read_bytes()
        if gzipped:
            body = gzip.compress(body, 6, mtime=0)
        return BundleFile(body, media_type, gzipped, name.startswith("assets/"))
