"""What one connection may cost is bounded, whatever it sends and before anybody is identified.

The traffic is harmless, and exactly at or one beyond each bound.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI, Request, WebSocket

from labthings_fastapi.server.web.connection_limits import Limits

LIMITS = Limits()
HOST = b"Host: 127.0.0.1\r\n"
CHUNKED = b"POST /body HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n"


class Laboratory:
    """An app that says what reached it."""

    def __init__(self) -> None:
        self.app = FastAPI()
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.go_on = threading.Event()
        self.app.get("/now/{number}")(self.now)
        self.app.get("/late")(self.late)
        self.app.post("/body")(self.body)
        self.app.websocket("/echo")(self.echo)

    async def now(self, number: int) -> int:
        return number

    def late(self) -> str:
        self.go_on.wait(30)
        return "late"

    async def body(self, request: Request) -> int:
        size = len(await request.body())
        self.headers.append(dict(request.headers))
        return size

    async def echo(self, websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text)


@pytest.fixture
def laboratory() -> Laboratory:
    return Laboratory()


def received(client: socket.socket) -> bytes:
    """Return all bytes until the server closes the connection."""
    parts = []
    while part := client.recv(65536):
        parts.append(part)
    return b"".join(parts)


def send_while_read(client: socket.socket, size: int) -> int:
    """Return how many bytes were sent until the server did not read on."""
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < size:
            sent += client.send(b"x" * min(65536, size - sent))
    return sent


def numbered(count: int) -> bytes:
    return b"".join(b"GET /now/%d HTTP/1.1\r\n%b\r\n" % (n, HOST) for n in range(count))


def answers(text: bytes) -> list[bytes]:
    parts = text.split(b"HTTP/1.1 200 OK\r\n")
    assert parts[0] == b""
    return [part.partition(b"\r\n\r\n")[2] for part in parts[1:]]


def test_sixteen_requests_at_once_are_all_answered_in_order(
    serve: Callable[..., Any], laboratory: Laboratory
) -> None:
    last = b"GET /now/15 HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
    client = serve(laboratory.app, LIMITS).connect(numbered(15) + last)
    assert answers(received(client)) == [b"%d" % n for n in range(16)]


def test_of_more_requests_sixteen_are_answered_and_the_last_answer_closes_the_connection(
    serve: Callable[..., Any], laboratory: Laboratory
) -> None:
    client = serve(laboratory.app, LIMITS).connect(numbered(17))
    text = received(client)
    assert answers(text) == [b"%d" % n for n in range(16)]
    assert text.lower().count(b"connection: close") == 1


def test_a_connection_may_send_any_number_of_requests_one_after_another(
    serve: Callable[..., Any], laboratory: Laboratory
) -> None:
    running = serve(laboratory.app, LIMITS)
    client = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
    client.connect()
    kept = client.sock
    for n in range(50):
        client.request("GET", f"/now/{n}")
        assert client.getresponse().read() == b"%d" % n
    assert client.sock is kept
    client.close()


def test_nothing_is_read_behind_a_request_that_waits(
    serve: Callable[..., Any], laboratory: Laboratory
) -> None:
    running = serve(laboratory.app, LIMITS)
    client = running.connect(b"GET /late HTTP/1.1\r\n" + HOST + b"\r\n")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100_000)
    size = 12_000_000
    head = b"POST /body HTTP/1.1\r\n%bConnection: close\r\nContent-Length: %d\r\n\r\n"
    client.sendall(head % (HOST, size))
    client.settimeout(1)  # longer than a server that reads would need for all of it
    sent = send_while_read(client, size)
    assert sent < size
    laboratory.go_on.set()
    client.settimeout(30)
    client.sendall(b"x" * (size - sent))
    assert received(client).endswith(b"%d" % size)


def test_as_many_headers_as_allowed_are_accepted_and_one_more_is_refused(
    serve: Callable[..., Any], laboratory: Laboratory
) -> None:
    running = serve(laboratory.app, LIMITS)
    for fields, status in ((LIMITS.header_fields, b"200"), (LIMITS.header_fields + 1, b"431")):
        lines = HOST + b"Connection: close\r\n" + b"X: 1\r\n" * (fields - 2)
        client = running.connect(b"GET /now/1 HTTP/1.1\r\n" + lines + b"\r\n")
        assert received(client).startswith(b"HTTP/1.1 " + status)


def test_fields_behind_a_body_are_dropped_and_do_not_reach_the_app(
    serve: Callable[..., Any], laboratory: Laboratory
) -> None:
    client = serve(laboratory.app, LIMITS).connect(
        CHUNKED + b"Connection: close\r\n\r\n1\r\nx\r\n0\r\nX-Late: 1\r\nHost: other\r\n\r\n"
    )
    assert received(client).endswith(b"\r\n1")
    assert "x-late" not in laboratory.headers[0]
    assert laboratory.headers[0]["host"] == "127.0.0.1"


@pytest.mark.parametrize("place", ["field", "many fields", "extension"])
def test_fields_behind_a_body_and_in_its_chunks_are_bounded(
    serve: Callable[..., Any], laboratory: Laboratory, place: str
) -> None:
    begin = b"1;a=" if place == "extension" else b"1\r\nx\r\n0\r\nX-Late: "
    filling = b"1\r\nX: " * 250 if place == "many fields" else b"x" * 1500
    client = serve(laboratory.app, LIMITS).connect(CHUNKED + b"\r\n" + begin)
    answer = b""
    client.settimeout(0.05)
    for _ in range(400_000 // len(filling)):  # the bound, and what is read at once
        try:
            client.sendall(filling)
            answer = client.recv(65536)
        except TimeoutError:
            continue
        break
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert laboratory.headers == []


@pytest.mark.parametrize("size", [1, 100, 8192])
def test_a_body_in_chunks_of_any_size_is_accepted(
    serve: Callable[..., Any], laboratory: Laboratory, size: int
) -> None:
    chunk = b"%x\r\n%b\r\n" % (size, b"x" * size)
    count = 300_000 // len(chunk)
    client = serve(laboratory.app, LIMITS).connect(CHUNKED + b"Connection: close\r\n\r\n")
    client.sendall(chunk * count + b"0\r\n\r\n")
    assert received(client).endswith(b"%d" % (size * count))


def test_a_small_body_must_come_within_a_time_also_if_a_byte_comes_now_and_then(
    serve: Callable[..., Any], laboratory: Laboratory
) -> None:
    running = serve(laboratory.app, Limits(small_body_seconds=0.5))
    client = running.connect(b"POST /body HTTP/1.1\r\n%bContent-Length: 900\r\n\r\n" % HOST)
    answer = dribble(client, 900)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"900 bytes must come within 0.5 s" in answer
    assert laboratory.headers == []


def test_a_large_body_must_come_at_a_least_rate(
    serve: Callable[..., Any], laboratory: Laboratory
) -> None:
    running = serve(laboratory.app, Limits(body_seconds=0.5))
    client = running.connect(b"POST /body HTTP/1.1\r\n%bContent-Length: 99000\r\n\r\n" % HOST)
    answer = dribble(client, 900)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"it came with less than 1000 bytes in a second" in answer


def dribble(client: socket.socket, count: int) -> bytes:
    """Send a byte now and then, until the server answers."""
    client.settimeout(0.05)
    for _ in range(count):
        try:
            client.sendall(b"x")
            return client.recv(65536)
        except TimeoutError:
            continue
    return b""


UPGRADE = (
    b"GET /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
BEGIN, GO_ON, END = b"\x01\x80" + bytes(4), b"\x00\x80" + bytes(4), b"\x80\x81" + bytes(4) + b"x"


@pytest.mark.parametrize(("fragments", "first_byte"), [(1024, 0x81), (1025, 0x88)])
def test_a_message_of_a_socket_has_a_bounded_number_of_fragments(
    serve: Callable[..., Any], laboratory: Laboratory, fragments: int, first_byte: int
) -> None:
    client = serve(laboratory.app, LIMITS).connect(UPGRADE)
    assert client.recv(65536).startswith(b"HTTP/1.1 101 ")
    client.sendall(BEGIN + GO_ON * (fragments - 2) + END)
    frame = client.recv(65536)
    assert frame[0] == first_byte
    if first_byte == 0x88:
        assert int.from_bytes(frame[2:4]) == 1009
