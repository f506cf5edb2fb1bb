"""Real faults: a disk that is soon full, and servers for hostile clients."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from labthings_fastapi.server.address import ListenAddress, bind, listen_address
from labthings_fastapi.server.web.connection_limits import Limits
from labthings_fastapi.server.web.run import ServerHooks, UvicornServer
from labthings_fastapi.server.web.tls import Tls, load_tls, own_certificate
from servers import run_in_thread


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 256 KiB, which only root can do."""
    if sys.platform != "linux":
        pytest.skip("A tmpfs can be mounted on Linux only.")
    folder = tmp_path / "small-disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=384k,nr_inodes=1000", "tmpfs", str(folder)],
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


class LimitedServer:
    """An app behind the uvicorn that `serve()` uses, with the limits of a test, on a thread."""

    def __init__(self, app: Any, limits: Limits, tls: Tls | None) -> None:
        self.sockets = bind("127.0.0.1", 0)
        self.address = listen_address(self.sockets, "127.0.0.1", tls=tls is not None)
        self.port = self.address.port
        self.uvicorn = UvicornServer(ServerHooks(app, self._listening), self.address, limits, tls)
        self._clients: list[socket.socket] = []

    async def _listening(self, address: ListenAddress) -> None:
        assert address == self.address

    def connect(self, sent: bytes = b"") -> socket.socket:
        """Return a connection on which these bytes were sent; it is closed after the test."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        self._clients.append(client)
        client.sendall(sent)
        return client

    def close_clients(self) -> None:
        for client in self._clients:
            client.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """Make a certificate as a server makes one for itself."""
    own = own_certificate(tmp_path_factory.mktemp("settings"))
    return load_tls(own.certificate, own.key)


@pytest.fixture(params=["uvloop", "asyncio"])
def serve(request: pytest.FixtureRequest) -> Iterator[Callable[..., LimitedServer]]:
    """Serve apps, on each kind of event loop."""
    loop = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
    with contextlib.ExitStack() as stack:

        def start(app: Any, limits: Limits, tls: Tls | None = None) -> LimitedServer:
            running = LimitedServer(app, limits, tls)
            stack.enter_context(run_in_thread(running.uvicorn, running.sockets, loop))
            stack.callback(running.close_clients)
            return running

        yield start
