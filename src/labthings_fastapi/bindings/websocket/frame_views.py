"""Streams of frames on one socket: `labthings:observestream`."""

from __future__ import annotations

import asyncio
import json
import struct
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from labthings_fastapi.exceptions import TooBusyError
from labthings_fastapi.own_log import own_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labthings_fastapi.outputs.frame_stream import Frame, FrameStream

LOGGER = own_logger("websocket")
MAX_VIEWS = 32
"""The most streams that one socket shows."""

Key = tuple[str, str]
"""The names of a Thing and of its stream."""


class FrameViews:
    """The streams that one client looks at; used on the server's event loop.

    At most one frame of each stream waits for the socket. A client that reads slowly skips frames.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        """Call `wake` when a frame waits."""
        self._wake = wake
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._waiting: dict[Key, tuple[bytes, asyncio.Event]] = {}

    def observe(self, key: Key, thing_id: str, stream: FrameStream[Any]) -> None:
        """Send the frames of a stream from now on; once, if they are sent already.

        Raises:
            TooBusyError: as many streams are shown as one socket may have.
        """
        if key in self._tasks:
            return
        if len(self._tasks) >= MAX_VIEWS:
            raise TooBusyError(
                f"This socket shows {len(self._tasks)} streams, the most that are allowed: leave "
                "one with `labthings:unobservestream`, or open another socket."
            )
        task = asyncio.create_task(self._watch(key, thing_id, stream))
        self._tasks[key] = task
        task.add_done_callback(lambda done: self._ended(key, done))

    def unobserve(self, key: Key) -> bool:
        """Send no more frames of a stream; return False if none were sent."""
        task = self._tasks.pop(key, None)
        self._waiting.pop(key, None)
        if task is not None:
            task.cancel()
        return task is not None

    def close(self) -> None:
        """Leave all streams."""
        for key in list(self._tasks):
            self.unobserve(key)

    def take(self) -> Iterator[bytes]:
        """Yield the messages that wait; the next frame of each is asked for when it was sent."""
        while self._waiting:
            key = next(iter(self._waiting))
            message, sent = self._waiting.pop(key)
            yield message
            sent.set()

    async def _watch(self, key: Key, thing_id: str, stream: FrameStream[Any]) -> None:
        async with aclosing(stream.frames()) as frames:
            async for frame in frames:
                sent = asyncio.Event()
                self._waiting[key] = (encode_frame(thing_id, key[1], frame, stream), sent)
                self._wake()
                await sent.wait()

    def _ended(self, key: Key, task: asyncio.Task[None]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
        if not task.cancelled() and (error := task.exception()) is not None:
            LOGGER.error("Stream %r of Thing %r failed.", key[1], key[0], exc_info=error)


def encode_frame(thing_id: str, name: str, frame: Frame[Any], stream: FrameStream[Any]) -> bytes:
    """Return a binary message: the length of a header in JSON, the header, and the frame.

    The length has four bytes, the most significant first.
    """
    header = json.dumps(
        {
            "thingID": thing_id,
            "name": name,
            "index": frame.index,
            "timestamp": frame.timestamp.isoformat(),
            "contentType": stream.media_type,
        }
    ).encode()
    return struct.pack(">I", len(header)) + header + stream.encode(frame.frame)
