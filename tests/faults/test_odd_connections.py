"""One connection of every odd kind at once, again and again, while another client reads."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

import labthings_fastapi as lt
from labthings_fastapi.server.web.connection_limits import Limits

pytestmark = pytest.mark.timeout(180)  # many connections, on a busy computer

LIMITS = Limits(header_seconds=1.0, body_seconds=1.0, small_body_seconds=1.0)
"""So that a slow client of each kind meets its bound within the test."""
HOST = b"Host: 127.0.0.1\r\n"
JSON = b"Content-Type: application/json\r\n"
ROUNDS = int(os.environ.get("LABTHINGS_ODD_ROUNDS", "2"))
READS = 300


class Stage(lt.Thing):
    position: float = lt.property(default=1.5)
    notes: str = lt.property(default="")
    moved: lt.Event[int] = lt.event()

    def __init__(self, **interface: Any) -> None:
        super().__init__(**interface)
        self.moves = 0

    @lt.action
    def move(self, distance: float) -> float:
        self.moves += 1
        return distance


def handshake(path: bytes) -> bytes:
    return (
        b"GET %b HTTP/1.1\r\n%bConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        % (path, HOST)
    )


def frame(payload: bytes, opcode: int = 0x81) -> bytes:
    size = len(payload)
    if size < 126:
        head = bytes([opcode, 0x80 | size])
    elif size < 65536:
        head = bytes([opcode, 0xFE]) + struct.pack("!H", size)
    else:
        head = bytes([opcode, 0xFF]) + struct.pack("!Q", size)
    return head + bytes(4) + payload


def request(operation: str, **members: Any) -> bytes:
    text = json.dumps({"messageType": "request", "operation": operation, **members})
    return frame(text.encode())


def post(body: bytes, headers: bytes = JSON, path: bytes = b"/stage/move") -> bytes:
    return b"POST %b HTTP/1.1\r\n%b%bContent-Length: %d\r\n\r\n%b" % (
        *(path, HOST, headers),
        *(len(body), body),
    )


LARGE = b"[" + b"0," * 150_000 + b"0]"
SOCKET = handshake(b"/stage/ws")
ODD: dict[str, list[bytes]] = {
    "says nothing": [],
    "begins a request": [b"GET /stage/posi"],
    "sends a header now and then": [b"GET / HTTP/1.1\r\n", *[b"X: y\r\n"] * 5],
    "sends a body now and then": [post(b"")[:-5] + b"99\r\n\r\n", *[b" "] * 5],
    "ends in the middle of a chunk": [
        b"POST /stage/move HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\n\r\n" % (HOST + JSON),
        b"ffff\r\n{",
    ],
    "asks for twenty at once": [b"GET /stage/position HTTP/1.1\r\n%b\r\n" % HOST * 20],
    "asks and does not read": [b"GET /openapi.json HTTP/1.1\r\n%b\r\n" % HOST * 10],
    "sends no HTTP": [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\n" * 100],
    "speaks HTTP/2": [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
    "asks for HTTP/2": [
        b"GET /stage/ HTTP/1.1\r\n%bConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n" % HOST
    ],
    "asks for a tunnel": [b"CONNECT 127.0.0.1:22 HTTP/1.1\r\n%b\r\n" % HOST],
    "is another host": [b"GET /stage/position HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n"],
    "has many headers": [b"GET / HTTP/1.1\r\n%b%b\r\n" % (HOST, b"X: y\r\n" * 500)],
    "has a long URL": [b"GET /%b HTTP/1.1\r\n%b\r\n" % (b"x" * 100_000, HOST)],
    "has two lengths": [
        b"PUT / HTTP/1.1\r\n%bContent-Length: 1\r\nContent-Length: 2\r\n\r\n" % HOST
    ],
    "announces too much": [
        b"POST /stage/move HTTP/1.1\r\n%bContent-Length: 99999999999\r\n\r\n" % (HOST + JSON)
    ],
    "waits for 100 Continue": [post(b"", JSON + b"Expect: 100-continue\r\n")],
    "sends no JSON": [post(b"{'distance': 1}")],
    "sends deep JSON": [post(b"[" * 50_000)],
    "sends large JSON": [post(LARGE)],
    "sends another character set": [post("{}".encode("utf-16"))],
    "follows and does not read": [
        b"GET /stage/properties HTTP/1.1\r\n%bAccept: text/event-stream\r\n\r\n" % HOST
    ],
    "polls and goes away": [b"GET /stage/position?observe=longpoll HTTP/1.1\r\n%b\r\n" % HOST],
    "opens a socket and says nothing": [SOCKET],
    "opens a socket that is none": [handshake(b"/stage/position")],
    "sends a socket no JSON": [SOCKET, frame(b"move!") * 50],
    "sends a socket small messages": [SOCKET, frame(b"") * 300],
    "sends a socket large JSON": [SOCKET, frame(LARGE)],
    "sends a socket bytes": [SOCKET, frame(b"\x00\xff", 0x82)],
    "sends a socket what is not UTF-8": [SOCKET, frame(b"\xff\xfe")],
    "sends a socket too much": [SOCKET, frame(b"x" * 1_100_000)],
    "sends a socket frames without masks": [SOCKET, b"\x81\x05hello"],
    "sends a socket half of a message": [SOCKET, frame(b'{"a":', 0x01)],
    "sends a socket many fragments": [SOCKET, frame(b"", 0x01), frame(b"", 0x00) * 2000],
    "sends a socket pings": [SOCKET, frame(b"x", 0x89) * 1000],
    "observes over a socket and does not read": [SOCKET, request("observeallproperties")],
    "asks a socket and does not read": [SOCKET, request("readallproperties") * 500],
    "closes a socket twice": [SOCKET, frame(struct.pack("!H", 1000), 0x88) * 2],
}


@pytest.fixture
def stage_server() -> lt.ThingServer:
    return lt.ThingServer.from_things({"stage": Stage}, journal="memory")


class OddClients:
    """A thread for each kind, which connects again when the server has closed the connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._over = threading.Event()
        self.rounds = dict.fromkeys(ODD, 0)
        self._threads = [threading.Thread(target=self._run, args=(kind,)) for kind in ODD]

    def __enter__(self) -> OddClients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads)

    def _run(self, kind: str) -> None:
        while not self._over.is_set():
            with contextlib.suppress(OSError):  # the server closes most of them: that is right
                self._connect(kind)
            self.rounds[kind] += 1

    def _connect(self, kind: str) -> None:
        with socket.create_connection(("127.0.0.1", self._port), timeout=2.0) as client:
            for part in ODD[kind]:
                client.sendall(part)
                if part is SOCKET:
                    client.recv(1000)
                self._over.wait(0.02)  # otherwise it would not send now and then
            if "does not read" not in kind:
                while client.recv(65536):
                    pass
            else:
                self._over.wait(1.0)


@pytest.fixture
def reader() -> Iterator[Callable[[int], httpx2.Client]]:
    with contextlib.ExitStack() as stack:
        yield lambda port: stack.enter_context(
            httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)
        )


def test_another_client_reads_and_moves_as_if_there_were_none_of_them(
    serve: Callable[..., Any],
    stage_server: lt.ThingServer,
    reader: Callable[[int], httpx2.Client],
    caplog: pytest.LogCaptureFixture,
) -> None:
    running = serve(stage_server.app, LIMITS)
    client = reader(running.port)
    reads = 0
    with OddClients(running.port) as odd:
        while reads < READS or min(odd.rounds.values()) < ROUNDS:
            assert client.get("/stage/position").json() == 1.5
            reads += 1
        moved = client.post("/stage/move", json={"distance": 2.0}, headers={"Prefer": "wait=30"})
        assert moved.json()["output"] == 2.0
    stage: Any = stage_server.things["stage"]
    assert stage.moves == 1  # nothing that was sent oddly moved anything
    assert stage.notes == ""
    errors = [record for record in caplog.records if record.levelname in {"ERROR", "CRITICAL"}]
    assert [record.getMessage() for record in errors] == []
    assert len(caplog.records) < 20  # few lines, however many connections
    # Their connections end with them, so that nothing is left of them.
    assert client.get("/stage/position").json() == 1.5
