"""Clients that follow a property, all in one thread: what arrives is counted, the last is kept."""

from __future__ import annotations

import base64
import os
import selectors
import socket
import time
from typing import TYPE_CHECKING, Protocol

from .connection import Connection

if TYPE_CHECKING:
    from .load import Request

QUIET_SECONDS = 1.0


class Counter(Protocol):
    """Counts the notifications in the bytes of one stream."""

    latest: bytes
    """The newest notification."""
    gaps: int
    """How often the server reported a gap."""

    def feed(self, data: bytes) -> int:
        """Return how many ended in these bytes."""


class EventCounter:
    """Counts server-sent events: each ends with an empty line."""

    def __init__(self) -> None:
        """Begin at the start of an event."""
        self.latest = b""
        self.gaps = 0
        self._rest = b""

    def feed(self, data: bytes) -> int:
        """Return how many ended in these bytes."""
        *events, self._rest = (self._rest + data).split(b"\n\n")
        # The size of a chunk stands before an event. What names no event is a comment.
        received_events = [event for event in events if b"event: " in event]
        gaps = sum(b"event: gap\n" in event for event in received_events)
        self.gaps += gaps
        self.latest = received_events[-1] if received_events else self.latest
        return len(received_events) - gaps


class FrameCounter:
    """Counts the WebSocket frames of a server, which are not masked (RFC 6455, section 5.2)."""

    def __init__(self) -> None:
        """Begin at the start of a frame."""
        self.latest = b""
        self.gaps = 0
        self._buffer = b""

    def feed(self, data: bytes) -> int:
        """Return how many ended in these bytes."""
        buffer, count, at = self._buffer + data, 0, 0
        while len(buffer) >= at + 2:
            length, head = buffer[at + 1] & 127, 2
            if length == 126:
                length, head = int.from_bytes(buffer[at + 2 : at + 4], "big"), 4
            if len(buffer) < at + head + length:
                break
            if buffer[at] & 15 in (1, 2):
                count += 1
                self.latest = buffer[at + head : at + head + length]
            at += head + length
        self._buffer = buffer[at:]
        return count


def _follow(subject: str, port: int, *, small: bool = False) -> tuple[socket.socket, Counter]:
    """Open one stream of the property's changes, by the means that a subject documents."""
    connection = Connection(port)
    if small:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    if subject == "ours":
        connection.send("GET", "/instrument/speed", headers={"Accept": "text/event-stream"})
        connection.head()
        return connection.socket, EventCounter()
    key = base64.b64encode(os.urandom(16)).decode()
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    connection.send("GET", "/instrument/ws", headers={**upgrade, "Sec-WebSocket-Key": key})
    connection.head()
    text = b'{"messageType":"addPropertyObservation","data":{"speed":true}}'
    mask = bytes(4)  # a mask of zeros leaves the text as it is
    connection.socket.sendall(bytes([0x81, 0x80 | len(text)]) + mask + text)
    return connection.socket, FrameCounter()


class Followers:
    """A number of followers of a property, and one writer."""

    def __init__(self, subject: str, port: int, count: int, *, stuck: int = 0) -> None:
        """Connect them; `stuck` more never read."""
        self._selector = selectors.DefaultSelector()
        self._sockets = []
        for _ in range(count):
            stream, counter = _follow(subject, port)
            stream.setblocking(False)
            self._sockets.append(stream)
            self._selector.register(stream, selectors.EVENT_READ, counter)
        self._stuck = [_follow(subject, port, small=True)[0] for _ in range(stuck)]
        self._port = port
        self.received = 0
        self._drain(QUIET_SECONDS)  # the peer does not report when it observes
        self.received = 0

    def write(self, request: Request, times: int, *, last: bytes | None = None) -> float:
        """Write one after the other; return the seconds until the last notification arrived.

        `last` is another value for the last of them.
        """
        writer = Connection(self._port)
        self._selector.register(writer.socket, selectors.EVENT_READ, None)
        began = time.perf_counter()
        for left in reversed(range(times)):
            body = last if last is not None and left == 0 else request.body
            writer.send(request.method, request.path, body)
            while not self._take(10.0):
                pass
            writer.receive()
        self._selector.unregister(writer.socket)
        writer.close()
        return self._drain(QUIET_SECONDS) - began

    def share_up_to_date(self, value: bytes) -> float:
        """Return the share of those that read whose newest notification holds this value.

        Those that got a gap are not among them.
        """
        counters = [key.data for key in self._selector.get_map().values()]
        return sum(one.gaps == 0 and value in one.latest for one in counters) / len(counters)

    def _take(self, timeout: float) -> bool:
        """Count what has come; True if the writer has its answer."""
        answered = False
        for key, _ in self._selector.select(timeout):
            if key.data is None:
                answered = True
                continue
            assert isinstance(key.fileobj, socket.socket)
            self.received += key.data.feed(key.fileobj.recv(1 << 16))
        return answered

    def _drain(self, quiet: float) -> float:
        """Take what is still coming; return when the last of it came."""
        last = time.perf_counter()
        while (now := time.perf_counter()) < last + quiet:
            before = self.received
            self._take(last + quiet - now)
            if self.received > before:
                last = time.perf_counter()
        return last

    def __enter__(self) -> Followers:
        return self

    def __exit__(self, *_: object) -> None:
        for stream in (*self._sockets, *self._stuck):
            stream.close()
        self._selector.close()
