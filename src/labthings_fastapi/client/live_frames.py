"""Live streams of pictures and arrays, from the server to an iterator; see `outputs`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from labthings_fastapi.exceptions import ClientError
from labthings_fastapi.outputs.npy import NPY, read_npy

from .problems import request_error
from .protocol import fetch
from .steps import STREAM_SECONDS, Answer, CloseStream, NextChunk, OpenStream, Request

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from .description import Description
    from .protocol import ThingProtocol
    from .steps import Steps

LARGEST_FRAME: Final = 256 * 2**20
"""Bytes of one frame that are read at most."""
_END_OF_JPEG = b"\xff\xd9\r\n"


class FrameParser:
    """Takes the parts of a `multipart/x-mixed-replace` body (RFC 2046, 5.1.1) out of its bytes."""

    def __init__(self, boundary: bytes = b"frame") -> None:
        self._start = b"--" + boundary + b"\r\n"
        self._next = b"\r\n--" + boundary
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> list[tuple[str, bytes]]:
        """Take more bytes, and return the parts that are whole: media type and content.

        Raises:
            ClientError: a part is too large.
        """
        self._buffer += chunk
        found = []
        while (part := self._take()) is not None:
            found.append(part)
        if len(self._buffer) > LARGEST_FRAME:
            raise ClientError(f"A frame of the stream has more than {LARGEST_FRAME >> 20} MiB.")
        return found

    def _take(self) -> tuple[str, bytes] | None:
        start = self._buffer.find(self._start)
        body = self._buffer.find(b"\r\n\r\n", start)
        if start < 0 or body < 0:
            return None
        lines = bytes(self._buffer[start + len(self._start) : body]).decode("latin-1").split("\r\n")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        media_type = headers.get("content-type", "")
        body += 4
        length = headers.get("content-length", "")
        if length.isdigit():
            end = body + int(length)
            if len(self._buffer) < end:
                return None
        else:
            end = self._end_without_length(body)
            if end < 0:
                return None
        content = bytes(self._buffer[body:end])
        del self._buffer[:end]
        return media_type, content

    def _end_without_length(self, body: int) -> int:
        end = self._buffer.find(self._next, body)
        if end < 0 and self._buffer.endswith(_END_OF_JPEG):
            end = len(self._buffer) - 2  # the next part has not begun
        return end


def decoded(media_type: str, content: bytes) -> Any:
    """Return a frame: an array, or the bytes of a picture."""
    return read_npy(content) if media_type.partition(";")[0].strip() == NPY else content


def _address(description: Description, name: str) -> str:
    links = description.members.get("links")
    known = []
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("rel") == "labthings:stream":
            href = str(link.get("href", ""))
            known.append(href.rpartition("/")[2])
            if known[-1] == quote(name, safe=""):
                return description.resolve(href)
    listed = ", ".join(sorted(known)) or "none"
    raise ClientError(f"{description.title} has no live stream {name!r}. Its streams: {listed}.")


def open_frames(protocol: ThingProtocol, name: str) -> Steps[OpenStream]:
    """Open a stream of frames."""
    url = _address(protocol.description, name)
    opened = yield Request("GET", url, seconds=STREAM_SECONDS, stream=True)
    if isinstance(opened, OpenStream):
        return opened
    raise request_error(opened, f"The stream {name!r} of {protocol.description.title}")


def newest_frame(protocol: ThingProtocol, name: str) -> Steps[Any]:
    """Get the newest frame of a stream."""
    url = f"{_address(protocol.description, name)}/snapshot"
    answer: Answer = yield from fetch(Request("GET", url, seconds=60.0), repeat=True)
    if not answer.ok:
        raise request_error(answer, f"The stream {name!r} of {protocol.description.title}")
    return decoded(answer.media_type, bytes(answer.body))


def _step(step: NextChunk | CloseStream) -> Steps[Any]:
    return (yield step)


class LiveFrames:
    """What a blocking client does with live streams."""

    _protocol: ThingProtocol

    def _run(self, steps: Steps[Any]) -> Any:
        raise NotImplementedError

    def live_frames(self, name: str) -> Generator[Any, None, None]:
        """Yield the frames of a live stream: JPEG files as bytes, or numpy arrays.

        Each is the newest when you ask for it, so slow code skips frames. It ends with the stream,
        or with the server. Leaving the loop closes the connection.

        Raises:
            ClientError: the Thing has no such stream; the message lists those that it has.
        """
        stream = self._run(open_frames(self._protocol, name))
        parser = FrameParser()
        try:
            while chunk := self._run(_step(NextChunk(stream))):
                for media_type, content in parser.feed(chunk)[-1:]:
                    yield decoded(media_type, content)
        finally:
            self._run(_step(CloseStream(stream)))

    def snapshot(self, name: str) -> Any:
        """Return the newest frame of a live stream: a JPEG file as bytes, or a numpy array.

        Raises:
            ClientError: the Thing has no such stream, or it has no frame yet.
        """
        return self._run(newest_frame(self._protocol, name))


class AsyncLiveFrames:
    """What an asynchronous client does with live streams."""

    _protocol: ThingProtocol

    async def _run(self, steps: Steps[Any]) -> Any:
        raise NotImplementedError

    async def live_frames(self, name: str) -> AsyncGenerator[Any, None]:
        """Yield the frames of a live stream; see `ThingClient.live_frames`."""
        stream = await self._run(open_frames(self._protocol, name))
        parser = FrameParser()
        try:
            while chunk := await self._run(_step(NextChunk(stream))):
                for media_type, content in parser.feed(chunk)[-1:]:
                    yield decoded(media_type, content)
        finally:
            await self._run(_step(CloseStream(stream)))

    async def snapshot(self, name: str) -> Any:
        """Return the newest frame of a live stream; see `ThingClient.snapshot`."""
        return await self._run(newest_frame(self._protocol, name))
