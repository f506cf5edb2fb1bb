"""Real servers for tests, on free loopback ports: in a thread, or as a process.

Tests use the fixture `running_server` of `conftest.py`; fixtures of a wider scope use these.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

LABTHINGS_SERVER = str(Path(sys.executable).with_name("labthings-server"))
PATIENCE = 45.0
"""Seconds that a server may take to start or to stop; less than the limit of a test."""
LISTENING = re.compile(r"(?:Listening|Uvicorn running) on (https?)://127\.0\.0\.1:(\d+)/? ")


@dataclass(frozen=True)
class RunningServer:
    """A server that answers at `http://127.0.0.1:port`."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def run_in_thread(
    server: uvicorn.Server,
    sockets: list[socket.socket],
    new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> Iterator[None]:
    """Run a uvicorn server on a thread while the block runs; it has started when that begins."""
    started = threading.Event()
    startup = server.startup

    async def start(**options: Any) -> None:
        await startup(**options)
        started.set()

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=new_loop) as runner:
                runner.run(server.serve(sockets))
        finally:
            started.set()  # the test fails now, and not after the whole wait

    server.startup = start  # type: ignore[method-assign]
    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert started.wait(PATIENCE), "The server did not start in time."
        assert server.started, "The server did not start; its log has the reason."
        yield
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
    assert not thread.is_alive(), "The server did not stop in time."


@contextlib.contextmanager
def serve(app: Any, **options: Any) -> Iterator[RunningServer]:
    """Serve an ASGI app, or a ThingServer, on a thread; `options` are those of `uvicorn.Config`."""
    app = getattr(app, "app", app)
    defaults: dict[str, Any] = {"log_level": "warning", "timeout_graceful_shutdown": 1}
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, **defaults | options))
        with run_in_thread(server, [listening]):
            yield RunningServer(listening.getsockname()[1])


class ServerProcess:
    """A server in a process of its own, and what it has printed.

    One thread reads the output, so that the server never waits for a reader.
    """

    def __init__(
        self,
        command: Sequence[str],
        cwd: Path | str,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Start the process, and wait until its log names the port."""
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        self._lines: list[str] = []  # appended by the reader only
        self._listening = threading.Event()
        self._port: tuple[str, int] | None = None  # set before `_listening` is
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        if not self._listening.wait(PATIENCE) or self._port is None:
            self.kill()
            raise AssertionError(f"The server does not listen:\n{self.output()}")
        self.scheme, self.port = self._port

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._lines.append(line)
                found = None if self._port else LISTENING.search(line)
                if found:
                    self._port = (found[1], int(found[2]))
                    self._listening.set()
        self._listening.set()  # it has ended, or closed its output

    def output(self) -> str:
        """Return what the process has printed; all of it, once the process has ended."""
        if self.process.poll() is not None:
            self._reader.join(PATIENCE)
        return "".join(self._lines)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, wait for the end, and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        """End the process at once, if it has not ended."""
        self.process.kill()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)


@contextlib.contextmanager
def server_process(
    *options: str,
    cwd: Path | str,
    command: Sequence[str] = (LABTHINGS_SERVER, "--port", "0"),
    env: Mapping[str, str] | None = None,
) -> Iterator[ServerProcess]:
    """Run `labthings-server` with these options, or another command, while the block runs."""
    server = ServerProcess([*command, *options], cwd, env)
    try:
        yield server
    finally:
        server.kill()
