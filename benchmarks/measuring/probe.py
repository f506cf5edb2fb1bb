"""A client in a process of its own that reads again and again: how long is it kept waiting?"""

from __future__ import annotations

import multiprocessing
import time
from typing import TYPE_CHECKING

from .connection import Connection
from .load import percentile

if TYPE_CHECKING:
    from multiprocessing.connection import Connection as Pipe

    from .load import Request

_SPAWN = multiprocessing.get_context("spawn")


class Probe:
    """Reads from the moment it is entered until `stop`, which returns the p99 in milliseconds."""

    def __init__(self, port: int, request: Request) -> None:
        """Prepare to ask the server at `port`."""
        self._ours, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_read, args=(theirs, port, request), daemon=True)

    def __enter__(self) -> Probe:
        self._process.start()
        self._ours.recv()  # it reads
        return self

    def stop(self) -> float:
        """Stop reading and return the p99 in milliseconds."""
        self._ours.send("stop")
        latencies: list[float] = sorted(self._ours.recv())
        return percentile(latencies, 99) * 1e3

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()


def _read(pipe: Pipe, port: int, request: Request) -> None:
    latencies: list[float] = []
    with Connection(port) as connection:
        connection.request(request.method, request.path)
        pipe.send("begun")
        while not pipe.poll():
            began = time.perf_counter()
            connection.request(request.method, request.path)
            latencies.append(time.perf_counter() - began)
    pipe.send(latencies)
