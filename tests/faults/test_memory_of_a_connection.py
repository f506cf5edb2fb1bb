"""What one connection keeps in memory is bounded, whatever is sent on it and not taken.

The traffic is harmless: each client sends what is allowed, only more than the server takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI, Request, WebSocket

from labthings_fastapi.server.web.connection_limits import Limits

MOST = 600_000
"""Bytes in memory for one connection; it may cost 2 MB, with what the system keeps of it."""
CONNECTIONS = 4
HOST = b"Host: 127.0.0.1\r\n"
UPGRADE = (
    b"GET /socket HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
MASK = bytes(4)


class BusyLaboratory:
    """An app that takes nothing of what its clients send until it is told to go on."""

    def __init__(self) -> None:
        self.app = FastAPI()
        self.go_on = threading.Event()
        self.messages: list[str] = []
        self.app.get("/late")(self.late)
        self.app.post("/body")(self.body)
        self.app.websocket("/socket")(self.socket)

    def late(self) -> str:
        self.go_on.wait(30)
        return "late"

    def body(self, request: Request) -> str:
        return self.late()

    async def socket(self, websocket: WebSocket) -> None:
        await websocket.accept()
        await asyncio.to_thread(self.go_on.wait, 30)
        async for text in websocket.iter_text():
            self.messages.append(text)
            if text == "last":
                await websocket.send_text(str(len(self.messages)))


@pytest.fixture
def laboratory() -> Iterator[BusyLaboratory]:
    laboratory = BusyLaboratory()
    yield laboratory
    laboratory.go_on.set()


def frame(text: bytes, opcode: int = 0x81) -> bytes:
    """Return a masked frame with less than 126 bytes, as clients send it."""
    return bytes([opcode, 0x80 | len(text)]) + MASK + text


KINDS = {
    "small messages of a socket": (UPGRADE, frame(b"")),
    "short messages of a socket": (UPGRADE, frame(b"x" * 100)),
    "fragments of messages": (UPGRADE, (frame(b"", 0x01) + frame(b"", 0x80))),
    "pings": (UPGRADE, frame(b"", 0x89)),
    "requests": (b"", b"GET /late HTTP/1.1\r\n%b\r\n" % HOST),
    "a body": (b"POST /late HTTP/1.1\r\n%bContent-Length: 9000000\r\n\r\n" % HOST, b"x" * 1000),
    "a body in chunks of a byte": (
        b"POST /late HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\n\r\n" % HOST,
        b"1\r\nx\r\n",
    ),
    "a request behind one that waits": (
        b"GET /late HTTP/1.1\r\n%b\r\nPOST /body HTTP/1.1\r\n%bContent-Length: 9000000\r\n\r\n"
        % (HOST, HOST),
        b"x" * 1000,
    ),
}


def send_while_read(client: socket.socket, part: bytes, size: int) -> None:
    """Send a part again and again, until the server does not read on."""
    client.settimeout(0.5)
    many = part * (100_000 // len(part))
    with contextlib.suppress(TimeoutError, ConnectionError):
        for _ in range(size // len(many)):
            client.sendall(many)


@pytest.mark.parametrize("kind", KINDS)
def test_a_connection_keeps_little_of_what_is_not_taken(
    serve: Callable[..., Any], laboratory: BusyLaboratory, kind: str
) -> None:
    first, part = KINDS[kind]
    running = serve(laboratory.app, Limits())
    clients = [running.connect(first) for _ in range(CONNECTIONS)]
    if first is UPGRADE:
        for client in clients:
            assert client.recv(65536).startswith(b"HTTP/1.1 101 ")
    gc.collect()
    tracemalloc.start()
    try:
        for client in clients:
            send_while_read(client, part, 8_000_000)
        _, highest = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert highest / CONNECTIONS < MOST


def test_messages_that_had_to_wait_arrive_in_order_and_complete(
    serve: Callable[..., Any], laboratory: BusyLaboratory
) -> None:
    client = serve(laboratory.app, Limits()).connect(UPGRADE)
    assert client.recv(65536).startswith(b"HTTP/1.1 101 ")
    numbers = [str(number) for number in range(20_000)]
    sending = threading.Thread(
        target=client.sendall,
        args=(b"".join(frame(each.encode()) for each in [*numbers, "last"]),),
    )
    sending.start()
    laboratory.go_on.set()
    answer = client.recv(65536)
    sending.join(30)
    assert answer[2:] == b"20001"
    assert laboratory.messages == [*numbers, "last"]
