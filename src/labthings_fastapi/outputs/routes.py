"""The HTTP resource of blobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Response
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse

from labthings_fastapi.routes import ProblemRoute

from .store import BLOB_PATH

if TYPE_CHECKING:
    from pathlib import Path

    from fastapi import FastAPI
    from starlette.types import Message, Receive, Scope, Send

    from .blob import Blob
    from .store import BlobStore

# Blobs come from user code: a browser must not run them as pages of this server.
SAFE_HEADERS = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"}
_INLINE_MEDIA_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp", "text/plain")


def blob_response(blob: Blob) -> Response:
    """Return a response with a blob's content and media type."""
    headers = dict(SAFE_HEADERS)
    if blob.media_type not in _INLINE_MEDIA_TYPES:
        headers["Content-Disposition"] = "attachment"
    if blob.path is not None:
        if not blob.path.is_file():
            raise HTTPException(404, f"The file of blob {blob.id!r} was deleted.")
        return FileResponse(blob.path, media_type=blob.media_type, headers=headers)
    return Response(blob.content, media_type=blob.media_type, headers=headers)


class _FileSoFar(FileResponse):
    """A file that may grow while it is sent: as much as there was at the start."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        left: int | None = None

        async def send_announced(message: Message) -> None:
            nonlocal left
            if message["type"] == "http.response.start":
                length = dict(message["headers"]).get(b"content-length")
                left = None if length is None else int(length)
            elif message["type"] == "http.response.body" and left is not None:
                message = {**message, "body": message.get("body", b"")[:left]}
                left -= len(message["body"])
            await send(message)

        await super().__call__(scope, receive, send_announced)


def file_response(path: Path) -> Response:
    """Return a response with a file as a download; of one that is being written, what is there."""
    return _FileSoFar(
        path,
        media_type="application/octet-stream",
        filename=path.name,
        headers=SAFE_HEADERS,
    )


def attach(store: BlobStore, app: FastAPI, prefix: str = "") -> None:
    """Serve the blobs of `store` on a FastAPI app."""
    router = APIRouter(route_class=ProblemRoute, tags=["blobs"])

    @router.get(
        f"{BLOB_PATH}/{{id}}",
        name="blob",
        response_class=Response,
        responses={404: {"description": "No such blob, or it is gone"}},
    )
    async def get_blob(id: str) -> Response:
        """Download a binary value."""
        blob = await store.look_for(id)
        if blob is None:
            raise HTTPException(
                404, f"There is no blob {id!r}: the id is unknown, or its invocation is deleted."
            )
        return blob_response(blob)

    app.include_router(router, prefix=prefix)
