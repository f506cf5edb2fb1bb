"""WebSockets whose clients send bad frames, or read nothing: closed with the reason."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI, Response, WebSocket, WebSocketDisconnect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from labthings_fastapi.server.web.connection_limits import Limits
from labthings_fastapi.server.web.tls import Tls

SHORT = Limits(connections=1, closing_seconds=0.4, ping_seconds=0.4)
NOT_TEXT = b"\x81\x81\x00\x00\x00\x00\xff"
PING = b"\x89\x81\x00\x00\x00\x00x"
CLOSE = b"\x88\x82\x00\x00\x00\x00\x03\xe8"
NO_FRAME = b"\x83\x80\x00\x00\x00\x00"  # an opcode that is not in use
A_GIBIBYTE = b"\x81\xff" + (1 << 30).to_bytes(8) + bytes(4)  # the head of such a frame


def upgrade(path: str, headers: str = "") -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"{headers}\r\n"
    ).encode()


class Laboratory:
    """A small app, and the codes with which its sockets were closed."""

    def __init__(self) -> None:
        self.app = FastAPI()
        self.asked = threading.Event()
        self.go_on = threading.Event()
        self.ends: list[int] = []
        self.ended = threading.Event()
        self.app.websocket("/echo")(self.echo)
        self.app.websocket("/pictures")(self.pictures)
        self.app.websocket("/late")(self.late)
        self.app.get("/large")(self.large)

    def _end(self, end: WebSocketDisconnect) -> None:
        self.ends.append(end.code)
        self.ended.set()

    async def echo(self, websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                await websocket.send_text(await websocket.receive_text())
        except WebSocketDisconnect as end:
            self._end(end)

    async def pictures(self, websocket: WebSocket) -> None:
        """Send without receiving."""
        await websocket.accept()
        try:
            while True:
                await websocket.send_bytes(bytes(65536))
                await asyncio.sleep(0)
        except WebSocketDisconnect as end:
            self._end(end)

    async def late(self, websocket: WebSocket) -> None:
        """Answer the handshake once `go_on` is set."""
        self.asked.set()
        await asyncio.get_running_loop().run_in_executor(None, self.go_on.wait, 30)
        try:
            await websocket.accept()
        except OSError:  # the ASGI specification requires an OSError
            self.ended.set()

    async def large(self) -> Response:
        return Response(bytes(32_000_000), headers={"connection": "close"})


@pytest.fixture
def laboratory() -> Laboratory:
    return Laboratory()


def received(client: socket.socket) -> bytes:
    """Return all bytes until the server closes the connection."""
    parts = []
    while part := client.recv(65536):
        parts.append(part)
    return b"".join(parts)


def send_and_wait(wire: ClientConnection, message: list[str]) -> None:
    wire.send(message)
    wire.recv(30)


def opened(running: Any, path: str) -> socket.socket:
    client: socket.socket = running.connect(upgrade(path))
    assert client.recv(65536).startswith(b"HTTP/1.1 101 ")
    return client


def client_that_reads_nothing(running: Any, sent: bytes) -> socket.socket:
    """Return a client with a small buffer, which sends bytes and then reads nothing."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", running.port))
    client.sendall(sent)
    return client


def errors_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        each.getMessage()
        for each in caplog.records
        if each.levelno >= logging.ERROR and "Invalid UTF-8" not in each.getMessage()
    ]


def wait_until_accepted(running: Any) -> None:
    """Connect until the server accepts the connection."""
    while True:
        with running.connect(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") as client:
            if not received(client).startswith(b"HTTP/1.1 503 "):
                return


def test_a_client_that_is_still_sending_receives_the_close_frame(
    serve: Callable[..., Any], laboratory: Laboratory
) -> None:
    client = opened(serve(laboratory.app, Limits()), "/echo")
    client.sendall(A_GIBIBYTE)
    assert client.recv(2, socket.MSG_PEEK)[0] == 0x88  # it has been refused
    for _ in range(8):
        client.sendall(bytes(65536))  # an error if the connection were closed already
    assert int.from_bytes(received(client)[2:4]) == 1009
    assert laboratory.ended.wait(30)
    assert laboratory.ends == [1009]


def test_a_client_that_is_still_sending_over_tls_receives_the_close_frame(
    serve: Callable[..., Any], laboratory: Laboratory, certificate: Tls
) -> None:
    running = serve(laboratory.app, Limits(), certificate)
    context = ssl.create_default_context(cafile=certificate.certificate)
    url = f"wss://localhost:{running.port}/echo"
    with connect(url, ssl=context, proxy=None, sock=running.connect()) as wire:
        with pytest.raises(ConnectionClosed):
            send_and_wait(wire, ["x" * 1024 * 1024, "x"])
        assert wire.close_code == 1009


@pytest.mark.parametrize("behind", [b"", PING, NOT_TEXT], ids=["nothing", "ping", "more"])
def test_frames_behind_text_that_is_not_utf_8_are_dropped(
    serve: Callable[..., Any],
    laboratory: Laboratory,
    caplog: pytest.LogCaptureFixture,
    behind: bytes,
) -> None:
    client = opened(serve(laboratory.app, Limits()), "/echo")
    client.sendall(NOT_TEXT + behind)
    assert received(client)[-2:] == (1007).to_bytes(2)
    assert laboratory.ended.wait(30)
    assert errors_of(caplog) == []


def test_a_close_frame_behind_text_that_is_not_utf_8_is_answered(
    serve: Callable[..., Any], laboratory: Laboratory, caplog: pytest.LogCaptureFixture
) -> None:
    client = opened(serve(laboratory.app, Limits()), "/echo")
    client.sendall(NOT_TEXT + CLOSE)
    assert received(client)[0] == 0x88
    assert laboratory.ended.wait(30)
    assert errors_of(caplog) == []


def test_an_app_that_sends_to_a_refused_client_learns_that_it_has_gone(
    serve: Callable[..., Any], laboratory: Laboratory, caplog: pytest.LogCaptureFixture
) -> None:
    client = opened(serve(laboratory.app, Limits()), "/pictures")
    client.sendall(A_GIBIBYTE)
    assert received(client).endswith(b"exceeds limit of 1048576 bytes")
    assert laboratory.ended.wait(30)
    assert errors_of(caplog) == []


def test_a_frame_before_the_handshake_is_answered_ends_it_quietly(
    serve: Callable[..., Any], laboratory: Laboratory, caplog: pytest.LogCaptureFixture
) -> None:
    client = serve(laboratory.app, Limits()).connect(upgrade("/late"))
    assert laboratory.asked.wait(30)
    client.sendall(NO_FRAME)
    assert received(client) == b""
    laboratory.go_on.set()
    assert laboratory.ended.wait(30)
    assert errors_of(caplog) == []


@pytest.mark.parametrize(
    "headers",
    ["".join(f"X-{number}: 1\r\n" for number in range(130)), f"Cookie: a={'b' * 9000}\r\n"],
    ids=["many", "long"],
)
def test_a_handshake_with_too_many_or_too_long_headers_is_answered(
    serve: Callable[..., Any], laboratory: Laboratory, headers: str
) -> None:
    running = serve(laboratory.app, Limits(connections=1))
    with running.connect(upgrade("/echo", headers)) as client:
        head, _, body = received(client).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 ")
    assert b"Content-Type: application/problem+json" in head
    assert "Send fewer and shorter headers" in json.loads(body)["detail"]
    wait_until_accepted(running)


@pytest.mark.parametrize("path", ["/pictures", "/large"])
def test_a_client_that_reads_nothing_does_not_keep_its_connection(
    serve: Callable[..., Any], laboratory: Laboratory, path: str
) -> None:
    running = serve(laboratory.app, SHORT)
    sent = upgrade(path) if path == "/pictures" else b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n"
    with client_that_reads_nothing(running, sent):
        wait_until_accepted(running)
