"""The blobs of a server by their id, which is part of their URL."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import UUID

from labthings_fastapi.request_location import base_url

from .blob_data import BlobFile, LocalBlobData, find_local
from .links import BLOB_PATH, absolute_links

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .links import HasId


class BlobStore:
    """The URLs of blobs below one prefix, and the blobs at these URLs; any thread may use it.

    A blob exists as long as an invocation, a property or other code refers to it. Those of
    invocations and uploads are on the disk too.
    """

    def __init__(self, prefix: str = "", max_upload_bytes: int | None = None) -> None:
        """Serve the blobs under `prefix` + `/blob`, and take uploads of at most so many bytes."""
        self.prefix = prefix
        self.max_upload_bytes = max_upload_bytes

    def publish(self, data: HasId) -> str:
        """Return the path of the data of a blob."""
        return f"{self.prefix}{BLOB_PATH}/{data.id}"

    def absolute(self, json: bytes, scope: Mapping[str, Any]) -> bytes:
        """Return JSON in which the links to blobs are URLs, for the answer to a request."""
        base = f"{base_url(scope)}{self.prefix}"
        return absolute_links(json, base, self.prefix)

    async def look_for(self, id: UUID) -> LocalBlobData | None:
        """Return the data with this id, from memory or from the disk; None if they are gone."""
        living = LocalBlobData.living(id)
        if living is not None and not isinstance(living, BlobFile):
            return living
        return await asyncio.to_thread(find_local, id)
