"""Real faults: a disk that is soon full, and servers for clients that do not behave."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from labthings_fastapi.server.address import ListenAddress
from labthings_fastapi.server.web.certificates import own_certificate
from labthings_fastapi.server.web.limits import Limits
from labthings_fastapi.server.web.sockets import bind, listen_address
from labthings_fastapi.server.web.tls import Tls, load_tls
from labthings_fastapi.server.web.uvicorn_server import UvicornServer


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a file system of its own with 256 KiB, which only root can make."""
    if sys.platform != "linux":
        pytest.skip("A tmpfs can be mounted on Linux only.")
    folder = tmp_path / "small-disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k,nr_inodes=1000", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"Mounting a small tmpfs needs root: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class SocketState:
    """An app, served on a thread of this process."""

    def __init__(self, app: Any, limits: Limits, tls: Tls | None, loop: Callable[[], Any]) -> None:
        sockets = bind("127.0.0.1", 0)
        self.address = listen_address(sockets, "127.0.0.1", tls=tls is not None)
        self.port = self.address.port
        self._server = UvicornServer(app, self.address, limits, tls, self._listening)
        self._sockets = sockets
        self._loop = loop
        self._thread = threading.Thread(target=self._run)
        self._clients: list[socket.socket] = []

    async def _listening(self, address: ListenAddress) -> None:
        assert address == self.address

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=self._loop) as runner:
            runner.run(self._server.serve(self._sockets))

    def start(self) -> None:
        self._thread.start()
        # It listens before it says that it has started, so the first connection waits for it.
        while not self._server.started:
            self._thread.join(0.01)
            assert self._thread.is_alive(), "The server did not start."

    def connect(self, sent: bytes = b"") -> socket.socket:
        """Return a connection that is closed at the end, on which this was sent."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        self._clients.append(client)
        client.sendall(sent)
        return client

    def stop(self) -> None:
        for client in self._clients:
            client.close()
        self._server.should_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive(), "The server did not stop."


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """Give a certificate as a server makes one for itself."""
    own = own_certificate(tmp_path_factory.mktemp("settings"))
    return load_tls(own.certificate, own.key)


@pytest.fixture(params=["uvloop", "asyncio"])
def serve(request: pytest.FixtureRequest) -> Iterator[Callable[..., SocketState]]:
    """Serve apps, on each kind of event loop."""
    loop = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
    running: list[SocketState] = []

    def begin(app: Any, limits: Limits, tls: Tls | None = None) -> SocketState:
        running.append(SocketState(app, limits, tls, loop))
        running[-1].start()
        return running[-1]

    yield begin
    for each in running:
        each.stop()
