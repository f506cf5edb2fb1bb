"""The blobs of a server by their id, which is part of their href."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .blob import Blob

BLOB_PATH = "/blob"


class BlobStore:
    """The blobs whose link was sent to a client; any thread may use it.

    The references are weak: a blob exists as long as an invocation, a property or other code
    refers to it.
    """

    def __init__(self, prefix: str = "") -> None:
        """Serve the blobs under `prefix` + `/blob`."""
        self._lock = threading.Lock()
        self.prefix = prefix
        self._blobs: weakref.WeakValueDictionary[str, Blob] = weakref.WeakValueDictionary()

    def publish(self, blob: Blob) -> str:
        """Make a blob available for download and return its href."""
        with self._lock:
            self._blobs[blob.id] = blob
        return f"{self.prefix}{BLOB_PATH}/{blob.id}"

    def find(self, id: str) -> Blob | None:
        """Return the blob with this id; None if the id is unknown or the blob is gone."""
        with self._lock:
            return self._blobs.get(id)
