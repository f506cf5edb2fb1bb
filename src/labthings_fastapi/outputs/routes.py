"""The HTTP resource of blobs, and responses with binary content."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Protocol
from uuid import UUID

from fastapi import APIRouter, Response
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

from labthings_fastapi.own_log import own_logger
from labthings_fastapi.problems import problem_for_status
from labthings_fastapi.routes import ProblemRoute, problem_response

from .byte_ranges import Selection, http_date, select_bytes
from .links import BLOB_PATH
from .media_types import content_disposition, content_type, default_filename, media_type_of
from .zip_stream import zip_pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fastapi import FastAPI
    from starlette.types import Receive, Scope, Send

LOGGER = own_logger("outputs")
# They come from user code: a browser must not run them as pages of this server.
SAFE_HEADERS: Final = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"}
CHUNK: Final = 256 * 1024
"""Bytes that are read from a file at once: a download needs no more memory, however large it is."""
_GONE: Final = "Blob not found"


class Content(Protocol):
    """The data of a blob: see `LocalBlobData`."""

    @property
    def id(self) -> UUID: ...
    @property
    def media_type(self) -> str: ...
    @property
    def filename(self) -> str | None: ...
    @property
    def content(self) -> bytes: ...


class Finder(Protocol):
    """Finds the data of blobs: a `BlobStore`."""

    async def look_for(self, id: UUID) -> Content | None: ...


def content_response(data: Content) -> Response:
    """Return a response with the data of a blob."""
    name = data.filename or default_filename(f"blob-{str(data.id)[:8]}", data.media_type)
    path: Path | None = getattr(data, "path", None)
    source = data.content if path is None else path
    return ContentResponse(source, data.media_type, name, etag=f'"{data.id.hex}"')


def file_response(path: Path, name: str | None = None) -> Response:
    """Return a response with a file; of one that is being written, with what is there."""
    name = path.name if name is None else name
    return ContentResponse(path, media_type_of(name), name)


class ContentResponse(Response):
    """Bytes or a file, whole or a range of it; a file is read in small pieces, in other threads.

    As many bytes are sent as the file has when the response begins, also if it grows meanwhile.
    """

    def __init__(
        self, source: bytes | Path, media_type: str, filename: str, *, etag: str | None = None
    ) -> None:
        """Open nothing yet. Without an `etag`, one is made of the size and time of the file."""
        headers = {
            **SAFE_HEADERS,
            "Content-Disposition": content_disposition(media_type, filename),
            "Accept-Ranges": "bytes",
        }
        is_file = isinstance(source, Path)
        content = None if is_file else source
        # The whole value of the header: Starlette would add a `charset` to plain text.
        headers["Content-Type"] = content_type(media_type)
        super().__init__(content, headers=headers)
        self._path = source if isinstance(source, Path) else None
        self._etag = etag
        if is_file:
            del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        if self._path is None:
            await self._send_bytes(scope, receive, send)
            return
        try:
            file, facts = await asyncio.to_thread(_open, self._path)
        except OSError as error:
            await _refuse(404, f"{_GONE}: its file cannot be read ({error.strerror}).", scope, send)
            return
        try:
            modified = datetime.fromtimestamp(facts.st_mtime, UTC)
            etag = self._etag or f'"{facts.st_mtime_ns:x}-{facts.st_size:x}-{facts.st_ino:x}"'
            selected = self._select(scope, facts.st_size, etag, modified)
            await self._start(selected, facts.st_size, send)
            if selected.stop > selected.start and scope["method"] != "HEAD":
                await _send_file(file, selected, receive, send)
            else:
                await send({"type": "http.response.body", "body": b""})
        finally:
            with suppress(OSError):
                file.close()

    async def _send_bytes(self, scope: Scope, _receive: Receive, send: Send) -> None:
        body = bytes(self.body)
        etag = self._etag or f'"{hash(body) & 0xFFFFFFFFFFFFFFFF:x}-{len(body):x}"'
        selected = self._select(scope, len(body), etag, None)
        await self._start(selected, len(body), send)
        if scope["method"] == "HEAD":
            body = b""
        elif (selected.start, selected.stop) != (0, len(body)):
            body = body[selected.start : selected.stop]
        await send({"type": "http.response.body", "body": body})

    def _select(self, scope: Scope, size: int, etag: str, modified: datetime | None) -> Selection:
        if self.status_code != 200 or scope["method"] not in ("GET", "HEAD"):
            return Selection(self.status_code, 0, size)
        self.headers["ETag"] = etag
        if modified is not None:
            self.headers["Last-Modified"] = http_date(modified)
        headers: Mapping[str, str] = Headers(scope=scope)
        return select_bytes(headers, size, etag, modified or datetime.max.replace(tzinfo=UTC))

    async def _start(self, selected: Selection, size: int, send: Send) -> None:
        status, start, stop = selected
        headers = self.headers
        if status == 206:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        elif status == 416:
            headers["Content-Range"] = f"bytes */{size}"
        if status == 304:
            with suppress(KeyError):
                del headers["content-length"]
        else:
            headers["Content-Length"] = str(stop - start)
        await send({"type": "http.response.start", "status": status, "headers": self.raw_headers})


def _open(path: Path) -> tuple[IO[bytes], os.stat_result]:
    file = path.open("rb", buffering=0)
    return file, os.fstat(file.fileno())


class ZipResponse(Response):
    """Files by name as one zip, which is made while it is sent."""

    def __init__(self, files: Iterable[tuple[str, Path]], filename: str) -> None:
        """Read nothing yet."""
        kind = "application/zip"
        disposition = content_disposition(kind, filename)
        headers = {**SAFE_HEADERS, "Content-Disposition": disposition, "Content-Type": kind}
        super().__init__(None, headers=headers)
        del self.headers["content-length"]  # files may grow until their turn comes
        self._files = files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        gone = asyncio.ensure_future(_wait_for_disconnect(receive))
        pieces = zip_pieces(self._files)
        try:
            if scope["method"] != "HEAD":
                while not gone.done():
                    piece = await asyncio.to_thread(next, pieces, None)
                    if piece is None:
                        break
                    if piece:
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()


async def _send_file(file: IO[bytes], selected: Selection, receive: Receive, send: Send) -> None:
    start, left = selected.start, selected.stop - selected.start
    # Servers drop what is sent to a client that has gone, so nothing else would end this.
    gone = asyncio.ensure_future(_wait_for_disconnect(receive))
    try:
        if start:
            file.seek(start)
        while left and not gone.done():
            chunk = await asyncio.to_thread(file.read, min(CHUNK, left))
            if not chunk:
                raise OSError(f"{file.name!r} got shorter while it was sent.")
            left -= len(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": left > 0})
    finally:
        gone.cancel()


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _refuse(status: int, detail: str, scope: Scope, send: Send) -> None:
    problem = problem_for_status(status, detail, instance=scope["path"])

    async def nothing() -> Any:
        return {"type": "http.disconnect"}

    await problem_response(problem)(scope, nothing, send)


async def blob_response(store: Finder, blob_id: str) -> Response:
    """Return the content of a blob.

    Raises:
        HTTPException: there is none with this id.
        BlobIncompleteError: it is an upload of which not all bytes have arrived.
    """
    try:
        data = await store.look_for(UUID(blob_id))
    except ValueError:
        data = None
    if data is None:
        raise HTTPException(404, _GONE)
    return content_response(data)


def attach(store: Finder, app: FastAPI, prefix: str = "") -> None:
    """Serve the blobs of `store` on a FastAPI app."""
    router = APIRouter(route_class=ProblemRoute, tags=["blobs"])
    responses: dict[int | str, dict[str, Any]] = {
        200: {"content": {"*/*": {}}, "description": "The content"},
        206: {"description": "A range of it"},
        404: {"description": "No such blob, or it is gone"},
        409: {"description": "An upload of which not all bytes have arrived"},
    }

    @router.get(
        f"{BLOB_PATH}/{{blob_id}}", name="blob", response_class=Response, responses=responses
    )
    async def get_blob(blob_id: str) -> Response:
        """Download a binary value, or a range of it."""
        return await blob_response(store, blob_id)

    app.include_router(router, prefix=prefix)
