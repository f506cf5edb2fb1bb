"""Streams of frames as HTTP resources: for browsers, and the newest frame for programs."""

from __future__ import annotations

import asyncio
import contextlib
import html
from typing import TYPE_CHECKING, Any, Final

from labthings_fastapi.outputs.npy import NPY, npy_parts
from labthings_fastapi.problems import problem_for_status
from labthings_fastapi.thing_description.paths import name_of

from .router import NO_METHODS

if TYPE_CHECKING:
    from labthings_fastapi.outputs.frame_stream import Frame, FrameStream
    from labthings_fastapi.thing import Thing

    from .request_response import HttpResponse

BOUNDARY: Final = "frame"
FIRST_FRAME: Final = 5.0
"""How long (s) a snapshot waits for the first frame."""
_VIEWER = """\
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title>
<style>
  body {{ margin: 0; background: #111; color: #eee; font-family: sans-serif; }}
  img {{ display: block; max-width: 100vw; max-height: 100vh; margin: 0 auto; }}
</style></head>
<body><img src="../{name}" alt="{title}"></body></html>
"""
_VIEWER_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; base-uri 'none'; "
        "frame-ancestors 'self'"
    ),
    "Cache-Control": "no-cache",
}


class _StreamPart:
    """Base of the resources of one stream; used on the server's event loop."""

    fallthrough_methods = NO_METHODS

    def __init__(self, thing: Thing, name: str) -> None:
        self._thing = thing
        self._name = name
        self.label = f"Stream {name!r} of Thing {name_of(thing)!r}"
        self.handlers = {"GET": self.get}

    @property
    def _stream(self) -> FrameStream[Any]:
        found: FrameStream[Any] = getattr(self._thing, self._name)
        return found

    async def get(self, response: HttpResponse) -> None:
        """Send the response."""
        raise NotImplementedError


class FrameStreamResource(_StreamPart):
    """`/{thing}/{stream}`: `multipart/x-mixed-replace`, each frame replaces the one before."""

    async def get(self, response: HttpResponse) -> None:
        """Send frames until the client leaves, or the stream or the server stops."""
        await response.begin_stream(f"multipart/x-mixed-replace; boundary={BOUNDARY}")
        if response.scope["method"] == "HEAD":
            await response.send_part(b"", more=False)
            return
        sending = asyncio.create_task(self._send(response))
        leaving = asyncio.create_task(response.client_left())
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)

    async def _send(self, response: HttpResponse) -> None:
        stream = self._stream
        head = f"--{BOUNDARY}\r\nContent-Type: {stream.media_type}\r\n\r\n".encode()
        async with contextlib.aclosing(stream.frames()) as frames:
            async for frame in frames:
                if stream.media_type == NPY:
                    header, data = npy_parts(frame.frame)
                    length = b"Content-Length: %d\r\n\r\n" % (len(header) + len(data))
                    await response.send_part(head[:-2] + length + header)
                    await response.send_part(data)
                    await response.send_part(b"\r\n")
                else:
                    await response.send_part(head + stream.encode(frame.frame) + b"\r\n")
        await response.send_part(f"--{BOUNDARY}--\r\n".encode(), more=False)


class SnapshotResource(_StreamPart):
    """`/{thing}/{stream}/snapshot`: the newest frame."""

    async def get(self, response: HttpResponse) -> None:
        """Send the newest frame; before the first, wait for it for a while."""
        stream = self._stream
        frame = stream.newest() or await self._first(stream)
        if frame is None:
            detail = f"{self.label} has no frame yet. Start the camera, and try again."
            problem = problem_for_status(503, detail, headers={"Retry-After": "1"})
            await response.send_problem(problem)
            return
        headers = {
            "Cache-Control": "no-store",
            "LabThings-Frame-Index": str(frame.index),
            "LabThings-Frame-Timestamp": frame.timestamp.isoformat(),
        }
        if stream.media_type == NPY:
            await response.send_parts(200, npy_parts(frame.frame), NPY, headers)
        else:
            await response.send(200, stream.encode(frame.frame), stream.media_type, headers)

    async def _first(self, stream: FrameStream[Any]) -> Frame[Any] | None:
        with contextlib.suppress(TimeoutError, StopAsyncIteration):
            async with asyncio.timeout(FIRST_FRAME):
                await stream.next_frame()
        return stream.newest()


class ViewerResource(_StreamPart):
    """`/{thing}/{stream}/viewer`: a page that shows a stream of pictures."""

    async def get(self, response: HttpResponse) -> None:
        """Send the page."""
        title = html.escape(f"{name_of(self._thing)}: {self._name}")
        text = _VIEWER.format(title=title, name=html.escape(self._name))
        await response.send(200, text.encode(), "text/html; charset=utf-8", _VIEWER_HEADERS)


def frame_resources(thing: Thing, name: str, path: str) -> dict[str, Any]:
    """Return the resources of a stream by path; `path` is that of the stream."""
    found: dict[str, Any] = {
        path: FrameStreamResource(thing, name),
        f"{path}/snapshot": SnapshotResource(thing, name),
    }
    if getattr(type(thing), name).stream_class.media_type.startswith("image/"):
        found[f"{path}/viewer"] = ViewerResource(thing, name)
    return found
