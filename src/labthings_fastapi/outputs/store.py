"""The blobs of a server by their id, which is part of their href."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .blob import Blob

BLOB_PATH = "/blob"


class BlobStore:
    """The blobs whose link was sent to a client; any thread may use it.

    The references are weak: a blob exists as long as an invocation, a property or other code
    refers to it. Those of invocations are kept on the disk too, and found with `find_kept`.
    """

    def __init__(self, prefix: str = "") -> None:
        """Serve the blobs under `prefix` + `/blob`."""
        self._lock = threading.Lock()
        self.prefix = prefix
        self.find_kept: Callable[[str], Awaitable[Blob | None]] | None = None
        self._blobs: weakref.WeakValueDictionary[str, Blob] = weakref.WeakValueDictionary()

    def publish(self, blob: Blob) -> str:
        """Make a blob available for download and return its href."""
        with self._lock:
            self._blobs[blob.id] = blob
        return self.href(blob.id)

    def href(self, id: str) -> str:
        """Return the href of a blob."""
        return f"{self.prefix}{BLOB_PATH}/{id}"

    def find(self, id: str) -> Blob | None:
        """Return the blob with this id; None if the id is unknown or the blob is gone."""
        with self._lock:
            return self._blobs.get(id)

    async def look_for(self, id: str) -> Blob | None:
        """Return the blob with this id, from memory or from the disk; None if it is gone."""
        blob = self.find(id)
        return blob if blob is not None or self.find_kept is None else await self.find_kept(id)
