"""A server ends in order, and in time, whatever its Things and its clients do."""

from __future__ import annotations

import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from servers import ServerProcess

SCRIPT = Path(__file__).with_name("stubborn.py")
GRACE = 1.0


class Running(ServerProcess):
    """A server process, and the names of the Things that it closed."""

    def __init__(self, folder: Path, grace: float) -> None:
        self.diary = folder / "diary"
        arguments = [str(folder / "settings"), str(self.diary), str(grace)]
        super().__init__([sys.executable, str(SCRIPT), *arguments], folder)

    def post(self, path: str) -> bytes:
        request = urllib.request.Request(f"{self.url}{path}", method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return bytes(answer.read())

    def open(self, path: str, receive_buffer: int = 4096) -> socket.socket:
        """Send a GET and do not read the response."""
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.connect(("127.0.0.1", self.port))
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        return client

    def closed(self) -> list[str]:
        return self.diary.read_text().split() if self.diary.exists() else []


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def begin(grace: float = GRACE) -> Running:
        started.append(Running(tmp_path, grace))
        return started[-1]

    yield begin
    for each in started:
        each.kill()


def test_everything_is_closed_in_reverse_with_a_stuck_action_read_exit_and_client(
    start: Callable[..., Running],
) -> None:
    running = start()
    running.post("/first/stay")
    babble = running.post("/third/babble")
    identifier = babble.partition(b'"id":"')[2][:36].decode()
    clients = [
        running.open("/third/stuck"),
        running.open(f"/action_invocations/{identifier}/events"),
    ]
    clients[1].recv(1)
    began = time.monotonic()
    assert running.stop() == 0
    # Not a measurement: the promise is a deadline, and a stuck server would never end at all.
    assert time.monotonic() - began < GRACE + 2 + 5
    assert running.closed() == ["third", "second", "first"]
    for client in clients:
        client.close()


def test_ctrl_c_ends_an_idle_server_with_0(start: Callable[..., Running]) -> None:
    running = start()
    assert running.stop(signal.SIGINT) == 0
    assert running.closed() == ["third", "second", "first"]


def test_a_second_signal_ends_it_at_once(start: Callable[..., Running]) -> None:
    running = start(grace=60)
    running.post("/first/stay")
    running.process.send_signal(signal.SIGTERM)
    # Only once the first signal is handled: then the server refuses work.
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            running.post("/first/stay")
        except OSError:
            break
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(30) == 130
