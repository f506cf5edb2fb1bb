"""The newest frames of a camera, for many viewers at once.

Each viewer gets the newest frame when it is ready for one. One that is slow skips frames, and costs
no memory: frames wait in the ring of the stream alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

T = TypeVar("T")
_RATE_OVER = 30  # frames

Waiters = dict[asyncio.AbstractEventLoop, set["asyncio.Future[None]"]]


@dataclass(frozen=True, slots=True)
class Frame(Generic[T]):
    """One frame of a stream."""

    frame: T
    timestamp: datetime
    index: int


class FrameStream(Generic[T]):
    """A ring of the newest frames, and those who wait for the next one.

    Any thread may use it. Coroutines may be awaited on any event loop, several at once.
    """

    media_type: ClassVar[str] = "application/octet-stream"
    """Of one frame, as it is sent to clients."""

    def __init__(self, thing_server_interface: Any = None, ringbuffer_size: int = 10) -> None:
        """Keep the newest `ringbuffer_size` frames of the Thing with this interface."""
        self.thing_server_interface = thing_server_interface
        # Assigned by older code, also from a signal handler: False ends all viewers.
        self._streaming = True
        self._lock = threading.Lock()  # guards all that follows
        self._ring: deque[Frame[T]] = deque(maxlen=_checked_size(ringbuffer_size))
        self._times: deque[float] = deque(maxlen=_RATE_OVER)
        self._waiters: Waiters = {}
        self._last = -1
        self._dropped = 0
        self._viewers = 0
        self._ended = 0  # how often all viewers were ended

    def encode(self, frame: T) -> bytes:
        """Return a frame as it is sent to clients."""
        raise NotImplementedError

    def check(self, frame: Any) -> T:
        """Return a frame that may be added; raise `ValueError` or `TypeError` for another value."""
        raise NotImplementedError

    @property
    def last_frame_i(self) -> int:
        """The index of the newest frame; -1 before the first."""
        return self._last

    @property
    def frames_per_second(self) -> float:
        """How many frames were added in a second lately (1/s); 0 if none come."""
        with self._lock:
            times = list(self._times)
        if len(times) < 2 or times[-1] <= times[0]:
            return 0.0
        period = (times[-1] - times[0]) / (len(times) - 1)
        return 0.0 if time.monotonic() - times[-1] > max(1.0, 5 * period) else 1 / period

    @property
    def frames_dropped(self) -> int:
        """How many frames viewers have skipped, all viewers together."""
        return self._dropped

    @property
    def viewers(self) -> int:
        """How many viewers there are."""
        return self._viewers

    def add_frame(self, frame: T, timestamp: datetime | Any = None, *_ignored: Any) -> None:
        """Add a frame, and wake all who wait for one; never waits itself.

        Args:
            frame: the frame; it must not be changed afterwards.
            timestamp: when it was taken; None: now. A portal, which older code gives, is ignored.

        Raises:
            ValueError, TypeError: the frame is of another kind.
        """
        checked = self.check(frame)
        when = timestamp if isinstance(timestamp, datetime) else datetime.now(UTC)
        with self._lock:
            if self._streaming:
                self._last += 1
                self._ring.append(Frame(checked, when, self._last))
                self._times.append(time.monotonic())
            waiters, self._waiters = self._waiters, {}
        _wake(waiters)

    def reset(self, ringbuffer_size: int | None = None) -> None:
        """Forget all frames and begin anew, also after `stop`."""
        with self._lock:
            size = self._ring.maxlen if ringbuffer_size is None else _checked_size(ringbuffer_size)
            self._ring = deque(maxlen=size)
            self._times.clear()
            self._last = -1
            self._streaming = True

    def stop(self, *_ignored: Any) -> None:
        """End all viewers, and take no frames until `reset`."""
        self._streaming = False
        self.end_viewers()

    def end_viewers(self) -> None:
        """End all viewers that there are now; a server does it when it stops."""
        with self._lock:
            self._ended += 1
            waiters, self._waiters = self._waiters, {}
        _wake(waiters)

    def ringbuffer_entry(self, i: int) -> Frame[T]:
        """Return the frame with an index.

        Raises:
            ValueError: it is not there yet, or was replaced by newer ones.
        """
        with self._lock:
            ring, last = list(self._ring), self._last
        if i > last or i < 0:
            raise ValueError(f"Frame {i} is not there yet: the newest is {last}.")
        if i < ring[0].index:
            raise ValueError(f"Frame {i} is no longer there: the oldest is {ring[0].index}.")
        return ring[i - ring[0].index]

    def newest(self) -> Frame[T] | None:
        """Return the newest frame; None before the first."""
        with self._lock:
            return self._ring[-1] if self._ring else None

    async def next_frame(self) -> int:
        """Wait for the next frame and return its index.

        Raises:
            StopAsyncIteration: the stream was stopped, or is being stopped.
        """
        return await self._after(self._last, self._ended)

    async def grab_frame(self) -> T:
        """Wait for the next frame and return it.

        Raises:
            StopAsyncIteration: as of `next_frame`.
        """
        while True:
            frame = self._entry_or_newest(await self.next_frame())
            if frame is not None:
                return frame.frame

    async def next_frame_size(self) -> int:
        """Wait for the next frame and return its size in bytes, as it is sent to clients."""
        return len(self.encode(await self.grab_frame()))

    async def frames(self) -> AsyncGenerator[Frame[T], None]:
        """Yield frames from now on, each time the newest, until the stream is stopped."""
        last, ended = self._last, self._ended
        with self._viewing():
            while True:
                try:
                    index = await self._after(last, ended)
                except StopAsyncIteration:
                    return
                frame = self._entry_or_newest(index)
                if frame is None:
                    last = -1
                    continue
                with self._lock:
                    self._dropped += max(frame.index - last - 1, 0)
                last = frame.index
                yield frame

    async def frame_async_generator(self) -> AsyncGenerator[bytes, None]:
        """Yield frames from now on, as they are sent to clients, until the stream is stopped."""
        async for frame in self.frames():
            yield self.encode(frame.frame)

    def _entry_or_newest(self, index: int) -> Frame[T] | None:
        """Return a frame, or the newest if that is gone; None if the stream was reset meanwhile."""
        with self._lock:
            if not self._ring:
                return None
            first = self._ring[0].index
            at = index - first
            return self._ring[at] if 0 <= at < len(self._ring) else self._ring[-1]

    @contextlib.contextmanager
    def _viewing(self) -> Iterator[None]:
        with self._lock:
            self._viewers += 1
        try:
            yield
        finally:
            with self._lock:
                self._viewers -= 1

    async def _after(self, index: int, ended: int) -> int:
        """Wait for a frame that is newer than `index`, and return the index of the newest."""
        loop = asyncio.get_running_loop()
        while True:
            with self._lock:
                if not self._streaming or ended != self._ended:
                    raise StopAsyncIteration
                if self._last != index and self._ring:  # smaller after a reset
                    return self._last
                future: asyncio.Future[None] = loop.create_future()
                self._waiters.setdefault(loop, set()).add(future)
            try:
                await future
            finally:
                with self._lock:
                    self._waiters.get(loop, set()).discard(future)


class FrameStreamDescriptor(Generic[T]):
    """Declares a stream: an attribute of the class, and one stream for each Thing.

    It is served at the path of the attribute, and is no part of the Thing Description's
    affordances. Any thread may use it.
    """

    stream_class: ClassVar[Any] = FrameStream

    def __init__(self, ringbuffer_size: int = 10) -> None:
        """Keep the newest `ringbuffer_size` frames of each Thing."""
        self.ringbuffer_size = _checked_size(ringbuffer_size)
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, obj: None, owner: type | None = None) -> Self: ...

    @overload
    def __get__(self, obj: object, owner: type | None = None) -> Any: ...

    def __get__(self, obj: Any, owner: type | None = None) -> Any:
        if obj is None:
            return self
        found = obj.__dict__.get(self.name)
        if found is None:
            made = self.stream_class(obj._thing_server_interface, self.ringbuffer_size)
            found = obj.__dict__.setdefault(self.name, made)
        return found

    def __set__(self, obj: Any, value: Any) -> None:
        raise AttributeError(f"{type(obj).__name__}.{self.name} is a stream: add frames to it.")


def stream_descriptors(cls: type) -> dict[str, FrameStreamDescriptor[Any]]:
    """Return the streams that a class declares, its own and inherited ones, by name."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        found |= vars(base)
    return {name: each for name, each in found.items() if isinstance(each, FrameStreamDescriptor)}


def _checked_size(size: Any) -> int:
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise ValueError(f"ringbuffer_size={size!r} is not valid. Use a whole number from 1 on.")
    return size


def _wake(waiters: Waiters) -> None:
    for loop, futures in waiters.items():
        with contextlib.suppress(RuntimeError):  # that loop is closed
            loop.call_soon_threadsafe(_resolve, futures)


def _resolve(futures: set[asyncio.Future[None]]) -> None:
    for future in list(futures):
        if not future.done():
            future.set_result(None)
