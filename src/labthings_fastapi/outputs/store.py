"""Where binary values are found again by the id in their href."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .blob import Blob

BLOB_PATH = "/blob"


class BlobStore:
    """The blobs that a server has told clients of; any thread may use it.

    Blobs are held weakly: one lives as long as the run, the property or the code that holds it.
    """

    def __init__(self, prefix: str = "") -> None:
        """Serve the blobs under `prefix` + `/blob`."""
        self._lock = threading.Lock()
        self.prefix = prefix
        self._blobs: weakref.WeakValueDictionary[str, Blob] = weakref.WeakValueDictionary()

    def publish(self, blob: Blob) -> str:
        """Make a blob available to clients and return its href."""
        with self._lock:
            self._blobs[blob.id] = blob
        return f"{self.prefix}{BLOB_PATH}/{blob.id}"

    def find(self, id: str) -> Blob | None:
        """Return the blob with this id, or None if there is none or it is gone."""
        with self._lock:
            return self._blobs.get(id)
