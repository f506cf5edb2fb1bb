"""Files and bytes on their way to a server, as inputs of actions.

A large file is sent in parts, by the protocol tus 1.0: when the connection breaks, the upload goes
on where it stopped. Steps without input and output, except that the file itself is read.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import IO, Any, Final, Protocol, TypeAlias
from urllib.parse import urljoin

from labthings_fastapi.exceptions import ClientError, ServerUnreachableError
from labthings_fastapi.outputs.blob import Blob
from labthings_fastapi.outputs.blob_data import LocalBlobData
from labthings_fastapi.outputs.media_types import media_type_of

from .description import Description
from .problems import request_error
from .steps import Answer, Pause, Request, Steps

Source: TypeAlias = str | os.PathLike[str] | bytes | IO[bytes] | Blob
"""What can be uploaded: the path of a file, bytes, an open binary file, or a blob."""
Progress: TypeAlias = Callable[[int, int], Any]
"""Is called with the bytes that have arrived, and the bytes in all."""

PART: Final = 8 * 2**20
"""Bytes of one request; the client needs memory for one."""
PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds before the next try, while nothing arrives; about a minute in all."""
_SECONDS: Final = 60.0  # for the answer to one part
_TUS: Final = {"Tus-Resumable": "1.0.0"}
_AGAIN: Final = frozenset({409, 423, 429, 502, 503, 504})


def upload(
    description: Description,
    source: Source,
    media_type: str | None = None,
    progress: Progress | None = None,
    place: str | None = None,
) -> Steps[dict[str, Any]]:
    """Send something to the server of a Thing; return the link that actions take as input.

    `place` is the address of the server, where it is known.

    Raises:
        ClientError: the server takes no uploads, or not this one.
        ServerUnreachableError: it does not answer, or the connection breaks again and again.
        OSError: the file cannot be read.
    """
    file, name, guessed = _opened(source)
    with closing(file):
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        sending = _Sending(description, file, size, media_type or guessed, name, progress)
        link = yield from sending.all(place)
    return link


def _opened(source: Source) -> tuple[ReadableFile, str | None, str]:
    """Return an open file, its name, and what its media type seems to be."""
    if isinstance(source, Blob):
        return source.open(), source.data.filename, source.media_type
    if isinstance(source, bytes | bytearray | memoryview):
        return io.BytesIO(source), None, "application/octet-stream"
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        return path.open("rb"), path.name, media_type_of(path.name)
    name = getattr(source, "name", None)
    name = Path(name).name if isinstance(name, str) else None
    # It stays open: who has opened it closes it.
    return _Borrowed(source), name, media_type_of(name or "")


class ReadableFile(Protocol):
    """What is needed of an open file."""

    def read(self, size: int = -1, /) -> bytes: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def close(self) -> None: ...


class _Borrowed:
    """A file that somebody else closes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def close(self) -> None:
        """Leave it open."""

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)


class _Sending:
    """One upload; for one user at a time."""

    def __init__(
        self,
        description: Description,
        file: ReadableFile,
        size: int,
        media_type: str,
        name: str | None,
        progress: Progress | None,
    ) -> None:
        self._description = description
        self._file = file
        self._size = size
        self._media_type = "application/octet-stream" if "*" in media_type else media_type
        self._name = name
        self._progress = progress

    def all(self, place: str | None) -> Steps[dict[str, Any]]:
        request = self._small if self._size <= PART else self._large
        if place is None:
            answer = yield from self._begin(request)
        else:
            answer = yield request(urljoin(place, "blob"))
        if not answer.ok:
            raise request_error(answer, f"{self._label()} was not uploaded")
        link: dict[str, Any] = answer.json()
        if self._size > PART:
            yield from self._send_parts(self._description.resolve(str(link["href"])))
        self._tell(self._size)
        return link

    def _label(self) -> str:
        return repr(self._name) if self._name else f"A blob of {self._size} bytes"

    def _tell(self, sent: int) -> None:
        if self._progress is not None:
            self._progress(sent, self._size)

    def _begin(self, request: Callable[[str], Request]) -> Steps[Answer]:
        """Find the place for uploads, which is above those of the Things."""
        place = self._description.url
        while True:
            above = urljoin(place, ".." if place.endswith("/") else ".")
            if above == place:
                raise ClientError(
                    f"The server at {self._description.url} takes no uploads (`POST /blob`)."
                )
            place = above
            answer: Answer = yield request(urljoin(place, "blob"))
            if answer.status not in (404, 405):
                return answer

    def _small(self, address: str) -> Request:
        self._file.seek(0)
        headers = {"Content-Type": self._media_type}
        if self._name:
            encoded = "".join(f"%{byte:02X}" for byte in self._name.encode())
            headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{encoded}"
        return Request("POST", address, self._file.read(), headers, _SECONDS)

    def _large(self, address: str) -> Request:
        pairs = {"filetype": self._media_type}
        if self._name:
            pairs["filename"] = self._name
        metadata = ",".join(
            f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs.items()
        )
        headers = {**_TUS, "Upload-Length": str(self._size), "Upload-Metadata": metadata}
        return Request("POST", address, None, headers, _SECONDS)

    def _send_parts(self, address: str) -> Steps[None]:
        offset, tries = 0, 0
        while offset < self._size:
            self._tell(offset)
            try:
                found = yield from self._send_part(address, offset)
            except ServerUnreachableError:
                if tries == len(PAUSES):
                    raise
                found = None
            if found is not None and found > offset:
                offset, tries = found, 0
                continue
            if tries == len(PAUSES):
                raise ClientError(f"{self._label()} was not uploaded: nothing arrives any more.")
            yield Pause(PAUSES[tries])
            tries += 1
            known = yield from self._ask(address)
            offset = offset if known is None else known

    def _send_part(self, address: str, offset: int) -> Steps[int | None]:
        """Send one part; return how many bytes there are now, or None to ask and try again."""
        self._file.seek(offset)
        body = self._file.read(min(PART, self._size - offset))
        if not body:
            raise ClientError(f"{self._label()} got shorter while it was uploaded.")
        headers = {
            **_TUS,
            "Upload-Offset": str(offset),
            "Content-Type": "application/offset+octet-stream",
        }
        answer: Answer = yield Request("PATCH", address, body, headers, _SECONDS)
        if answer.ok:
            return _offset(answer.headers)
        if answer.status in _AGAIN:
            return None
        raise request_error(answer, f"{self._label()} was not uploaded")

    def _ask(self, address: str) -> Steps[int | None]:
        try:
            answer: Answer = yield Request("HEAD", address, None, _TUS)
        except ServerUnreachableError:
            return None
        if answer.ok:
            return _offset(answer.headers)
        if answer.status in _AGAIN:
            return None
        raise request_error(answer, f"{self._label()} was not uploaded")


def _offset(headers: Mapping[str, str]) -> int | None:
    text = headers.get("upload-offset", "")
    return int(text) if text.isdigit() else None


def with_uploads(
    description: Description, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Steps[tuple[tuple[Any, ...], Mapping[str, Any]]]:
    """Return arguments with links in the place of blobs; those of this process are uploaded."""
    if not _has_blobs(args) and not _has_blobs(kwargs):
        return args, kwargs
    sent_args = yield from _linked(description, list(args))
    sent_kwargs = yield from _linked(description, dict(kwargs))
    return tuple(sent_args), sent_kwargs


def _has_blobs(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_blobs, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_has_blobs, value))
    return isinstance(value, Blob)


def _linked(description: Description, value: Any) -> Steps[Any]:
    if isinstance(value, Blob):
        if isinstance(value.data, LocalBlobData):
            return (yield from upload(description, value))
        return {"href": value.data.get_href(), "media_type": value.media_type}
    if isinstance(value, Mapping):
        members = {}
        for name, each in value.items():
            members[name] = yield from _linked(description, each)
        return members
    if isinstance(value, list | tuple):
        items: list[Any] = []
        for each in value:
            item = yield from _linked(description, each)
            items += [item]
        return items
    return value
