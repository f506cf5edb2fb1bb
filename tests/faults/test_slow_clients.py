"""Clients that send nothing, too slowly or too much: other clients are not affected."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI, Request, WebSocket

from labthings_fastapi.server.web.connection_limits import Limits

SHORT = Limits(header_seconds=0.6, body_seconds=0.6, keep_alive_seconds=1)
HEAD = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n"
UPGRADE = (
    b"GET /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Laboratory:
    """A small app, and what it received."""

    def __init__(self) -> None:
        self.app = FastAPI()
        self.bodies: list[int] = []
        self.disconnected = threading.Event()
        self.go_on = threading.Event()
        self.app.get("/health")(self.health)
        self.app.post("/body")(self.body)
        self.app.post("/late")(self.late)
        self.app.websocket("/echo")(self.echo)

    async def health(self) -> str:
        return "fine"

    async def body(self, request: Request) -> int:
        try:
            self.bodies.append(len(await request.body()))
        except Exception:
            self.disconnected.set()
            raise
        return self.bodies[-1]

    async def late(self, request: Request) -> int:
        """Read the body once `go_on` is set."""
        await asyncio.get_running_loop().run_in_executor(None, self.go_on.wait, 30)
        return len(await request.body())

    async def echo(self, websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text)


@pytest.fixture
def laboratory() -> Laboratory:
    return Laboratory()


@pytest.fixture
def many_files() -> Iterator[None]:
    """Allow enough open files: client and server share this process."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 4096 if hard == resource.RLIM_INFINITY else min(hard, 4096)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def received(client: socket.socket) -> bytes:
    """Return all bytes until the server closes the connection."""
    parts = []
    while part := client.recv(65536):
        parts.append(part)
    return b"".join(parts)


def problem(answer: bytes) -> dict[str, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Content-Type: application/problem+json" in head
    assert b"Connection: close" in head
    found: dict[str, Any] = json.loads(body)
    assert head.startswith(b"HTTP/1.1 %d " % found["status"])
    return found


def is_answered(running: Any) -> bool:
    with urllib.request.urlopen(f"{running.address.url}health", timeout=30) as answer:
        return bool(answer.read() == b'"fine"')


def test_half_open_connections_are_closed_and_500_websockets_stay_open(
    serve: Callable[..., Any], laboratory: Laboratory, many_files: None
) -> None:
    running = serve(laboratory.app, SHORT)
    sockets = [running.connect(UPGRADE) for _ in range(500)]
    for each in sockets:
        assert each.recv(65536).startswith(b"HTTP/1.1 101 ")
    silent = [running.connect() for _ in range(50)]
    begun = [running.connect(HEAD) for _ in range(50)]
    assert is_answered(running)
    assert {received(client) for client in silent} == {b""}
    assert {problem(received(client))["status"] for client in begun} == {408}
    assert is_answered(running)
    # A frame with "x", masked by zeros (RFC 6455, section 5.2), and its echo.
    for each in sockets:
        each.sendall(b"\x81\x81\x00\x00\x00\x00x")
        assert each.recv(16) == b"\x81\x01x"


def test_headers_that_arrive_byte_by_byte_are_refused(
    serve: Callable[..., Any], laboratory: Laboratory
) -> None:
    client = serve(laboratory.app, SHORT).connect(HEAD)
    client.settimeout(0.05)
    answer = b""
    for _ in range(1000):
        try:
            client.sendall(b"X")
            answer = client.recv(65536)
        except TimeoutError:
            continue
        break
    found = problem(answer)
    assert (found["status"], found["type"]) == (408, "urn:labthings:problem:too-slow")
    assert "headers did not arrive within 0.6 s" in found["detail"]


def test_empty_lines_between_requests_do_not_keep_a_connection_open(
    serve: Callable[..., Any], laboratory: Laboratory
) -> None:
    """They stop uvicorn's timer and begin no request."""
    client = serve(laboratory.app, SHORT).connect(HEAD + b"\r\n")
    answer = client.recv(65536)
    assert answer.startswith(b"HTTP/1.1 200 ")
    client.sendall(b"\r\n")
    assert received(client) in (b"", b'"fine"')


@pytest.mark.parametrize("pieces", [1, 50])
@pytest.mark.parametrize("ended", [b"\r\n\r\n", b""])
def test_headers_that_are_too_large_are_refused(
    serve: Callable[..., Any], laboratory: Laboratory, pieces: int, ended: bytes
) -> None:
    running = serve(laboratory.app, Limits())
    client = running.connect(HEAD + b"Cookie: ")
    size = 400_000 if ended == b"" else 70_000
    for _ in range(pieces):
        client.sendall(b"x" * (size // pieces))
    client.sendall(ended)
    found = problem(received(client))
    assert found["status"] == 431
    assert "longer than 65536 bytes" in found["detail"]
    assert is_answered(running)


def test_a_url_that_is_too_long_is_refused(
    serve: Callable[..., Any], laboratory: Laboratory
) -> None:
    client = serve(laboratory.app, Limits()).connect(
        b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % (b"x" * 70_000)
    )
    assert problem(received(client))["status"] == 431


def test_headers_just_below_the_limit_and_a_large_body_in_one_piece_are_accepted(
    serve: Callable[..., Any], laboratory: Laboratory
) -> None:
    body = b"x" * 200_000
    head = b"POST /body HTTP/1.1\r\nHost: a\r\nConnection: close\r\nCookie: %s\r\n" % (
        b"x" * 60_000
    )
    client = serve(laboratory.app, Limits()).connect(
        head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    )
    assert received(client).endswith(b"200000")


@pytest.mark.parametrize("headers", [b"Content-Length: 100", b"Transfer-Encoding: chunked"])
def test_a_body_without_progress_is_refused_and_the_app_learns_it(
    serve: Callable[..., Any], laboratory: Laboratory, headers: bytes
) -> None:
    running = serve(laboratory.app, SHORT)
    client = running.connect(b"POST /body HTTP/1.1\r\nHost: a\r\n" + headers + b"\r\n\r\n")
    found = problem(received(client))
    assert found["status"] == 408
    assert "body did not arrive" in found["detail"]
    assert laboratory.disconnected.wait(30)
    assert laboratory.bodies == []
    assert is_answered(running)


def test_a_body_that_the_app_does_not_read_yet_is_not_refused(
    serve: Callable[..., Any], laboratory: Laboratory
) -> None:
    running = serve(laboratory.app, SHORT)
    size = 4_000_000
    client = running.connect(
        b"POST /late HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size
    )
    sending = threading.Thread(target=client.sendall, args=(b"x" * size,))
    sending.start()
    # Longer than the limit for a body: two other clients are refused meanwhile.
    other = running.connect(b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
    assert problem(received(other))["status"] == 408
    other = running.connect(b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
    assert problem(received(other))["status"] == 408
    laboratory.go_on.set()
    answer = received(client)
    sending.join(30)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(str(size).encode())


def test_no_limit_of_time_applies_to_a_client_that_waits_for_its_response(
    serve: Callable[..., Any], laboratory: Laboratory
) -> None:
    running = serve(laboratory.app, SHORT)
    client = running.connect(
        b"POST /late HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx"
    )
    for _ in range(3):  # each of these is closed after the limit
        assert received(running.connect()) == b""
    laboratory.go_on.set()
    assert received(client).startswith(b"HTTP/1.1 200 ")


def test_bytes_that_are_not_http_are_answered_with_400(
    serve: Callable[..., Any], laboratory: Laboratory
) -> None:
    found = problem(received(serve(laboratory.app, Limits()).connect(b"SSH-2.0-OpenSSH_9\r\n")))
    assert (found["status"], found["type"]) == (400, "urn:labthings:problem:not-http")


def test_an_incomplete_request_behind_another_one_is_not_answered(
    serve: Callable[..., Any], laboratory: Laboratory
) -> None:
    """The client would take a 408 for the response to the first request."""
    client = serve(laboratory.app, SHORT).connect(
        b"POST /late HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx" + HEAD
    )
    assert received(client) == b""
    laboratory.go_on.set()


def test_a_websocket_message_that_is_too_large_is_refused_before_it_is_sent(
    serve: Callable[..., Any], laboratory: Laboratory
) -> None:
    running = serve(laboratory.app, Limits())
    client, other = running.connect(UPGRADE), running.connect(UPGRADE)
    for each in (client, other):
        assert each.recv(65536).startswith(b"HTTP/1.1 101 ")
    client.sendall(b"\x81\xff" + (1 << 30).to_bytes(8) + bytes(4))  # the head of a frame of 1 GiB
    closing = received(client)
    assert closing[0] == 0x88
    assert int.from_bytes(closing[2:4]) == 1009  # too big (RFC 6455, section 7.4.1)
    other.sendall(b"\x81\x81\x00\x00\x00\x00x")
    assert other.recv(16) == b"\x81\x01x"


def test_connections_beyond_the_limit_are_answered_with_503(
    serve: Callable[..., Any], laboratory: Laboratory, caplog: pytest.LogCaptureFixture
) -> None:
    running = serve(laboratory.app, Limits(connections=4))
    kept = [running.connect(UPGRADE) for _ in range(3)]
    for each in kept:
        each.recv(65536)
    with caplog.at_level(logging.WARNING, "labthings_fastapi.server"):
        refused = [running.connect(HEAD + b"\r\n") for _ in range(20)]
        answers = [received(client) for client in refused]
    assert {problem(answer)["status"] for answer in answers} == {503}
    assert all(b"\r\nRetry-After: 5\r\n" in answer for answer in answers)
    first, *others = [record.message for record in caplog.records]
    assert first == (
        "A new connection was refused: 127.0.0.1 has 3 connections, the most for one address. Look "
        "for clients that open connections and do not close them, or raise max_connections."
    )
    assert len(others) <= 1, "one line an address and minute"
    for each in kept:
        each.close()
    for _ in range(
        1000
    ):  # a connection is counted until a moment after its client has seen the end
        client = running.connect(HEAD + b"Connection: close\r\n\r\n")
        answer = received(client)
        if answer.startswith(b"HTTP/1.1 200 "):
            break
        assert problem(answer)["status"] == 503
    else:
        pytest.fail("Closed WebSockets are still counted.")
