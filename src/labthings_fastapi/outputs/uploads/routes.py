"""`POST /blob`: uploads in one request, or in several by the protocol tus 1.0.

The bytes go to the disk as they arrive, in small pieces, and the disk is written in other threads.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from labthings_fastapi.exceptions import BlobIncompleteError, UnsupportedMediaTypeError
from labthings_fastapi.outputs.blob import BlobModel
from labthings_fastapi.outputs.byte_ranges import http_date
from labthings_fastapi.outputs.links import BLOB_PATH
from labthings_fastapi.outputs.media_types import (
    UNKNOWN_MEDIA_TYPE,
    content_type,
    parse_media_type,
    safe_filename,
)
from labthings_fastapi.outputs.routes import Finder, blob_response
from labthings_fastapi.request_location import base_url
from labthings_fastapi.routes import ProblemRoute, is_form

from . import tus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from fastapi import FastAPI
    from starlette.types import Receive

    from .kept import KeptUploads, Upload

WRITE_SIZE: Final = 256 * 1024
"""Bytes that are written at once; an upload needs little more memory."""
TAKE_OVER_SECONDS: Final = 30.0
"""So long a request waits for another one of the same upload, which was told to end."""
_BROWSER_FORM: Final = "application/x-www-form-urlencoded"
_ONE: Final = f"{BLOB_PATH}/{{blob_id}}"
_Responses = dict[int | str, dict[str, Any]]


class _Replaced(Exception):  # noqa: N818 - no error: another request goes on
    """Another request sends the bytes of the same upload."""


class Writers:
    """Who sends bytes of which upload at the moment; used on the server's event loop.

    A connection that was lost seems open for minutes, so the newest request has the upload.
    """

    def __init__(self) -> None:
        self._of: dict[UUID, tuple[asyncio.Event, asyncio.Event]] = {}

    async def take(self, id: UUID) -> asyncio.Event:
        """End the request that sends bytes; return the event that tells when to end this one."""
        while (found := self._of.get(id)) is not None:
            stop, ended = found
            stop.set()
            try:
                async with asyncio.timeout(TAKE_OVER_SECONDS):
                    await ended.wait()
            except TimeoutError:
                text = "Another request still writes bytes of this upload to the disk: try again."
                raise HTTPException(423, text, {"Retry-After": "5"}) from None
        stop = asyncio.Event()
        self._of[id] = stop, asyncio.Event()
        return stop

    def release(self, id: UUID) -> None:
        """Let others send bytes."""
        self._of.pop(id)[1].set()


async def _body(receive: Receive, stop: asyncio.Event | None) -> AsyncIterator[bytes]:
    """Yield the parts of a body.

    Raises:
        ClientDisconnect: the client went before the end.
        _Replaced: `stop` was set.
    """
    more = True
    stopping = None if stop is None else asyncio.ensure_future(stop.wait())
    try:
        while more:
            if stopping is None:
                message = await receive()
            else:
                receiving = asyncio.ensure_future(receive())
                await asyncio.wait({receiving, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if not receiving.done():
                    receiving.cancel()
                    raise _Replaced
                message = receiving.result()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            yield message.get("body", b"")
            more = message.get("more_body", False)
    finally:
        if stopping is not None:
            stopping.cancel()


async def _store(upload: Upload, parts: AsyncIterator[bytes], *, keep_rest: bool) -> None:
    """Append a body; with `keep_rest` also what came of one that did not end."""
    gathered = bytearray()
    try:
        async for part in parts:
            gathered += part
            if len(gathered) >= WRITE_SIZE:
                full, gathered = gathered, bytearray()
                await asyncio.to_thread(upload.write, full)
    except (ClientDisconnect, _Replaced):
        if keep_rest:
            await asyncio.to_thread(upload.write, gathered)
        raise
    await asyncio.to_thread(upload.write, gathered)


def _filename(request: Request) -> str | None:
    """Return the name that `Content-Disposition` gives (RFC 6266); None: none."""
    header = request.headers.get("content-disposition")
    if header is None:
        return None
    message = EmailMessage()
    message["Content-Disposition"] = header.replace("\n", " ").replace("\r", " ")
    return safe_filename(message.get_filename() or "") or None


def _media_type(text: str | None) -> str:
    """Return the media type of an upload.

    Raises:
        HTTPException: it is none.
    """
    if not text or text.partition(";")[0].strip().lower() == _BROWSER_FORM:
        return UNKNOWN_MEDIA_TYPE  # curl sends this one when it is not told another
    try:
        parse_media_type(text)
    except ValueError as error:
        raise HTTPException(400, f"The media type of the upload: {error}") from None
    return content_type(text)


def _length_of_body(request: Request) -> int | None:
    text = request.headers.get("content-length", "")
    return int(text) if text.isdigit() else None


class UploadRoutes:
    """The endpoints of uploads; used on the server's event loop."""

    def __init__(self, uploads: Callable[[], KeptUploads | None], prefix: str) -> None:
        """`uploads` returns where they are kept now; None: nowhere, so none are taken."""
        self._uploads = uploads
        self._prefix = prefix
        self._writers = Writers()

    def kept(self) -> KeptUploads:
        uploads = self._uploads()
        if uploads is None:
            raise HTTPException(501, "This server has no folder for uploads.")
        return uploads

    async def find(self, blob_id: str) -> Upload:
        try:
            upload = await asyncio.to_thread(self.kept().find, UUID(blob_id))
        except ValueError:
            upload = None
        if upload is None:
            raise HTTPException(404, "There is no such upload, or its time is over.")
        return upload

    def answer(self, request: Request, upload: Upload, headers: dict[str, str]) -> Response:
        """Return 201 with the link that actions take."""
        href = f"{base_url(request.scope)}{self._prefix}{BLOB_PATH}/{upload.id}"
        size = upload.length
        link = BlobModel(href=href, media_type=upload.media_type, size=size)
        return Response(
            link.model_dump_json(exclude_none=True),
            201,
            {"Location": href, **headers},
            media_type="application/json",
        )

    async def upload_at_once(self, request: Request) -> Response:
        """Take an upload in one request; what does not come to its end is deleted."""
        kind = request.headers.get("content-type", "")
        if is_form(kind):
            raise UnsupportedMediaTypeError(
                "An upload is no form: send the bytes themselves, with their media type as "
                "`Content-Type`. With curl: `--data-binary @FILE -H 'Content-Type: image/tiff'`."
            )
        uploads = self.kept()
        name, length = _filename(request), _length_of_body(request)
        media_type = _media_type(kind)
        upload = await asyncio.to_thread(
            lambda: uploads.begin(media_type, name, length, resumable=False)
        )
        try:
            await _store(upload, _body(request.receive, None), keep_rest=False)
            await asyncio.to_thread(uploads.complete, upload)
        except ClientDisconnect:
            uploads.abort(upload)
            return Response(status_code=400)  # nobody reads it
        except BaseException:
            uploads.abort(upload)
            raise
        return self.answer(request, upload, {})

    async def create(self, request: Request) -> Response:
        """Begin a resumable upload (tus, creation)."""
        try:
            length = tus.read_number("Upload-Length", request.headers.get("upload-length"))
            about = tus.read_metadata(request.headers.get("upload-metadata", ""))
        except ValueError as error:
            raise HTTPException(400, str(error)) from None
        if _length_of_body(request) or "transfer-encoding" in request.headers:
            text = "A resumable upload begins without a body: send its bytes with PATCH."
            raise HTTPException(400, text)
        uploads = self.kept()
        media_type = _media_type(about.get("filetype"))
        name = safe_filename(about.get("filename", "")) or None
        upload = await asyncio.to_thread(
            lambda: uploads.begin(media_type, name, length, resumable=True)
        )
        return self.answer(request, upload, await self._progress(upload))

    async def _progress(self, upload: Upload) -> dict[str, str]:
        received, expires = await asyncio.to_thread(lambda: (upload.received, upload.expires))
        time = http_date(datetime.fromtimestamp(expires, UTC))
        return {"Upload-Offset": str(received), "Upload-Expires": time}

    async def tell(self, blob_id: str) -> Response:
        """Say how many bytes of an upload there are (tus, HEAD)."""
        upload = await self.find(blob_id)
        headers = await self._progress(upload)
        headers |= {"Upload-Length": str(upload.length), "Cache-Control": "no-store"}
        return Response(None, 200, headers)

    async def append(self, request: Request, blob_id: str) -> Response:
        """Append the body to an upload (tus, PATCH)."""
        if request.headers.get("content-type", "").lower() != tus.CONTENT_TYPE:
            raise UnsupportedMediaTypeError(
                f"The bytes of a resumable upload have the `Content-Type` {tus.CONTENT_TYPE}."
            )
        try:
            offset = tus.read_number("Upload-Offset", request.headers.get("upload-offset"))
        except ValueError as error:
            raise HTTPException(400, str(error)) from None
        upload = await self.find(blob_id)
        stop = await self._writers.take(upload.id)
        try:
            await self._append(upload, offset, request, stop)
        except _Replaced:
            text = "Another request sends the bytes of this upload now."
            raise HTTPException(409, text, {"Connection": "close"}) from None
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        finally:
            self._writers.release(upload.id)
        return Response(None, 204, await self._progress(upload))

    async def _append(
        self, upload: Upload, offset: int, request: Request, stop: asyncio.Event
    ) -> None:
        received = await asyncio.to_thread(lambda: upload.received)
        if offset != received:
            text = f"The upload has {received} bytes, so it goes on at {received}, not at {offset}."
            raise HTTPException(409, text, {"Upload-Offset": str(received)})
        left = (upload.length or 0) - received
        if (length := _length_of_body(request)) is not None and length > left:
            raise HTTPException(413, f"The upload has room for {left} more bytes, not {length}.")
        try:
            await _store(upload, _body(request.receive, stop), keep_rest=True)
        finally:
            await asyncio.to_thread(upload.close)
        if not upload.is_short():
            await asyncio.to_thread(self.kept().complete, upload)


class _TusRoute(ProblemRoute):
    """A route whose answers, errors too, name the version of tus."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            response = await handle(request)
            if "tus-resumable" in request.headers or "upload-length" in request.headers:
                response.headers["Tus-Resumable"] = tus.VERSION
            return response

        return answer


def check_version(request: Request) -> None:
    """Refuse another version of tus; a client that names none is taken at its word.

    Raises:
        HTTPException: it has another version.
    """
    version = request.headers.get("tus-resumable", tus.VERSION)
    if version != tus.VERSION:
        text = f"Resumable uploads have version {tus.VERSION} of tus here, not {version}."
        raise HTTPException(412, text, {"Tus-Version": tus.VERSION})


def attach(
    store: Finder,
    uploads: Callable[[], KeptUploads | None],
    app: FastAPI,
    prefix: str = "",
) -> None:
    """Take uploads on a FastAPI app, and answer HEAD of all blobs of `store`."""
    routes = UploadRoutes(uploads, prefix)
    router = APIRouter(route_class=_TusRoute, tags=["blobs"])
    _add_beginning(router, routes)
    _add_going_on(router, routes, store)
    app.include_router(router, prefix=prefix)


_BEGUN: Final[_Responses] = {
    201: {"model": BlobModel, "description": "The link that actions take as input"},
    412: {"description": "Another version of tus"},
    507: {"description": "No space is left for it"},
}
_TOLD: Final[_Responses] = {
    200: {"description": "The headers of the blob, or of the upload with `Upload-Offset`"},
    404: {"description": "No such blob, or it is gone"},
    412: {"description": "Another version of tus"},
}
_PATCHED: Final[_Responses] = {
    204: {"description": "Stored; `Upload-Offset` says how many bytes there are now"},
    404: {"description": "No such upload, or its time is over"},
    409: {"description": "`Upload-Offset` is another one"},
    412: {"description": "Another version of tus"},
    415: {"description": f"The `Content-Type` is not `{tus.CONTENT_TYPE}`"},
    423: {"description": "Another request writes to the disk at the moment"},
    507: {"description": "No space is left for it"},
}


_BYTES: Final = {"schema": {"type": "string", "format": "binary"}}
_OFFSET: Final = {
    "name": "Upload-Offset",
    "in": "header",
    "required": True,
    "schema": {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
    "description": "How many bytes there are already.",
}


def _add_beginning(router: APIRouter, routes: UploadRoutes) -> None:
    body = {"requestBody": {"content": {"*/*": _BYTES}}}

    @router.post(
        BLOB_PATH,
        name="upload_blob",
        status_code=201,
        response_class=Response,
        responses=_BEGUN,
        openapi_extra=body,
    )
    async def upload_blob(request: Request) -> Response:
        """Upload bytes for the input of an action; `Upload-Length` begins a resumable upload."""
        check_version(request)
        if "upload-length" in request.headers or "upload-defer-length" in request.headers:
            return await routes.create(request)
        return await routes.upload_at_once(request)

    @router.options(BLOB_PATH, name="upload_options", status_code=204, response_class=Response)
    async def upload_options() -> Response:
        """Say which resumable uploads there are (tus, OPTIONS)."""
        most = routes.kept().most_bytes
        headers = {"Tus-Version": tus.VERSION, "Tus-Extension": tus.EXTENSIONS}
        if most is not None:
            headers["Tus-Max-Size"] = str(most)
        return Response(None, 204, {"Tus-Resumable": tus.VERSION, **headers})


def _add_going_on(router: APIRouter, routes: UploadRoutes, store: Finder) -> None:
    @router.head(_ONE, name="blob_headers", response_class=Response, responses=_TOLD)
    async def head_blob(request: Request, blob_id: str) -> Response:
        """Say what a blob is; of an upload, how many bytes have arrived (tus, HEAD)."""
        check_version(request)
        if "tus-resumable" in request.headers:
            return await routes.tell(blob_id)
        try:
            return await blob_response(store, blob_id)
        except BlobIncompleteError:
            return await routes.tell(blob_id)

    body = {"required": True, "content": {tus.CONTENT_TYPE: _BYTES}}

    @router.patch(
        _ONE,
        name="continue_upload",
        status_code=204,
        response_class=Response,
        responses=_PATCHED,
        openapi_extra={"requestBody": body, "parameters": [_OFFSET]},
    )
    async def continue_upload(request: Request, blob_id: str) -> Response:
        """Append bytes to a resumable upload (tus, PATCH)."""
        check_version(request)
        return await routes.append(request, blob_id)
