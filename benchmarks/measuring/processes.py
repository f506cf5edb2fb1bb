"""Servers as processes of their own, pinned to a processor that the load does not use."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from .connection import Connection
from .environments import environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CPUS = sorted(psutil.Process().cpu_affinity() or []) if sys.platform != "darwin" else []
SERVER_CPU, LOAD_CPU = (_CPUS[0], _CPUS[-1]) if len(_CPUS) > 1 else (None, None)
START_SECONDS = 60.0


def pin_load() -> None:
    """Keep this process, and the load generators that it starts, to a processor of their own."""
    if LOAD_CPU is not None:
        psutil.Process().cpu_affinity([LOAD_CPU])


def free_port() -> int:
    """Return a port that is not in use."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """A server in a process of its own."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, ready_after: float) -> None:
        """Know where it is, and how many seconds it took to start."""
        self.port = port
        self.ready_after = ready_after
        self._process = process
        self._watched = psutil.Process(process.pid)

    def connection(self) -> Connection:
        """Return a new connection to it."""
        return Connection(self.port)

    @property
    def memory(self) -> int:
        """Bytes of memory that it holds (resident set)."""
        return int(self._watched.memory_info().rss)

    def settled_memory(self) -> int:
        """Wait until the server has nothing to do any more; return the memory that it holds."""
        before = -1.0
        while self.cpu_seconds > before + 0.02:
            before = self.cpu_seconds
            time.sleep(0.5)
        return self.memory

    @property
    def threads(self) -> int:
        """How many threads it has."""
        return int(self._watched.num_threads())

    @property
    def open_files(self) -> int:
        """How many descriptors it has open."""
        return int(self._watched.num_fds())

    @property
    def cpu_seconds(self) -> float:
        """The processor time that it has used."""
        times = self._watched.cpu_times()
        return float(times.user + times.system)

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._process.pid


@contextmanager
def running_server(
    command: Sequence[str], port: int, ready_path: str, variables: dict[str, str] | None = None
) -> Iterator[Server]:
    """Start a server, wait until it answers, and end it afterwards.

    Raises:
        RuntimeError: it ended or did not answer in time; with what it wrote.
    """
    with tempfile.TemporaryFile() as errors:
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=environment(variables),
        )
        if SERVER_CPU is not None:
            psutil.Process(process.pid).cpu_affinity([SERVER_CPU])
        try:
            if not _answers(process, port, ready_path):
                errors.seek(0)
                error_output = errors.read().decode(errors="replace")[-2000:]
                raise RuntimeError(f"{command[:3]} did not start:\n{error_output}")
            yield Server(process, port, time.perf_counter() - began)
        finally:
            _end(process)


def _answers(process: subprocess.Popen[bytes], port: int, path: str) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with Connection(port, timeout=5) as connection:
                if connection.request("GET", path)[0] < 500:
                    return True
        except OSError:
            pass
        time.sleep(0.005)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Give a folder for settings and journals, removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="labthings-bench-") as name:
        yield Path(name)
