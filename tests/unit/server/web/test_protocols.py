"""The limits of one connection, with a clock that the test sets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from labthings_fastapi.server.web.connection_limits import ConnectionLimits, Limits
from labthings_fastapi.server.web.protocols import HttpProtocol

LIMITS = Limits()
BEGIN = b"GET / HTTP/1.1\r\nHost: a\r\n"
LATER = 1000.0


class Transport(asyncio.Transport):
    """The server's end of a connection, which keeps sent bytes."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.sent = b""
        self.reading = True
        self.closing = False

    def write(self, data: Any) -> None:
        self.sent += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.closing = True

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return 0

    def is_reading(self) -> bool:
        return self.reading

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Connection:
    """A protocol with a transport, and an app that reads the body or waits for ever."""

    def __init__(self, *, reads: bool = True) -> None:
        config = uvicorn.Config(self.app, interface="asgi3", log_config=None)
        config.load()
        self.reads = reads
        self.messages: list[Any] = []
        self.transport = Transport()
        self.state = ServerState()
        self.protocol = HttpProtocol(config, self.state, {}, limits=ConnectionLimits(LIMITS))
        self.protocol.connection_made(self.transport)

    async def app(self, _scope: Any, receive: Any, send: Any) -> None:
        while self.reads:
            self.messages.append(await receive())
            if not self.messages[-1].get("more_body"):
                break
        if not self.reads:
            await asyncio.get_running_loop().create_future()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    def check(self, seconds: float) -> None:
        """Check twice, that many seconds from now."""
        for _ in range(2):
            self.protocol.check(self.protocol.loop.time() + seconds, LIMITS)


async def loop_steps() -> None:
    """Let the tasks of the loop run until they wait."""
    for _ in range(10):
        await asyncio.sleep(0)


def on_a_loop(test: Callable[[], Any]) -> Callable[[], None]:
    def run() -> None:
        asyncio.run(test())

    run.__name__ = test.__name__
    return run


@on_a_loop
async def test_headers_that_arrived_while_the_loop_was_held_up_are_not_late():
    connection = Connection()
    connection.protocol.data_received(BEGIN)
    connection.protocol.check(connection.protocol.loop.time() + LATER, LIMITS)
    connection.protocol.data_received(b"\r\n")
    await loop_steps()
    connection.check(LIMITS.header_seconds / 2)
    assert connection.transport.sent.startswith(b"HTTP/1.1 204 ")
    assert not connection.transport.closing


@on_a_loop
async def test_headers_that_are_late_twice_are_refused():
    connection = Connection()
    connection.protocol.data_received(BEGIN)
    connection.check(LATER)
    assert connection.transport.sent.startswith(b"HTTP/1.1 408 ")
    assert connection.transport.closing
    connection.protocol.data_received(b"\r\n")  # dropped
    assert connection.transport.sent.count(b"HTTP/1.1") == 1


@on_a_loop
async def test_a_connection_without_a_request_is_closed_without_an_answer():
    connection = Connection()
    connection.check(LATER)
    assert connection.transport.sent == b""
    assert connection.transport.closing


@on_a_loop
async def test_a_client_that_waits_for_the_response_is_never_late():
    connection = Connection(reads=False)
    connection.protocol.data_received(BEGIN + b"\r\n")
    await loop_steps()
    connection.check(LATER)
    assert not connection.transport.closing


@on_a_loop
async def test_a_body_that_the_app_does_not_read_is_not_late():
    connection = Connection(reads=False)
    connection.protocol.data_received(BEGIN + b"Content-Length: 900000\r\n\r\n")
    connection.protocol.data_received(bytes(100_000))
    assert not connection.transport.reading  # uvicorn waits for the app
    connection.check(LATER)
    assert not connection.transport.closing


@on_a_loop
async def test_the_app_learns_that_a_late_body_does_not_come():
    connection = Connection()
    connection.protocol.data_received(BEGIN + b"Content-Length: 9\r\n\r\n")
    await loop_steps()
    connection.check(LATER)
    await loop_steps()
    assert connection.transport.sent.startswith(b"HTTP/1.1 408 ")
    assert connection.messages[-1] == {"type": "http.disconnect"}


@pytest.mark.parametrize("lines", [b"\r\n", b"\r\n\r\n\r\n"])
def test_empty_lines_between_requests_count_as_the_wait_for_a_request(lines):
    async def run() -> None:
        connection = Connection()
        connection.protocol.data_received(BEGIN + b"\r\n")
        await loop_steps()
        connection.protocol.data_received(lines)
        connection.check(LATER)
        assert connection.transport.closing

    asyncio.run(run())


@pytest.mark.parametrize(
    ("url", "headers"),
    [("x" * 9000, ""), ("", f"Cookie: {'x' * 9000}\r\n"), ("", "X: 1\r\n" * 130)],
    ids=["url", "header", "headers"],
)
def test_a_websocket_handshake_that_the_library_cannot_read_is_answered(url, headers):
    async def run() -> None:
        connection = Connection()
        connection.protocol.data_received(
            f"GET /{url} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"{headers}\r\n".encode()
        )
        assert connection.transport.sent.startswith(b"HTTP/1.1 431 ")

    asyncio.run(run())


def test_a_refused_connection_is_counted_until_it_is_lost():
    async def run() -> None:
        connection = Connection()
        shared = connection.protocol._shared
        connection.protocol.data_received(b"no HTTP\r\n\r\n")
        assert connection.state.connections == set()
        assert shared.lingering == 1
        connection.protocol.connection_lost(None)
        assert shared.lingering == 0

    asyncio.run(run())
