"""Load: the same request again and again on some connections, by wrk or by a loop of our own."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

WRK = shutil.which("wrk")

_SCRIPT = """
wrk.method = %s
wrk.body = %s
%s
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\n{"requests":%%d,"seconds":%%f,"bad":%%d,"p50":%%f,"p99":%%f}\\n',
    summary.requests, summary.duration / 1e6,
    e.status + e.connect + e.read + e.write + e.timeout,
    latency:percentile(50) / 1e6, latency:percentile(99) / 1e6))
end
"""


@dataclass(frozen=True)
class Request:
    """The request that is repeated."""

    method: str
    path: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200

    @property
    def all_headers(self) -> dict[str, str]:
        """The headers, with that which a body needs."""
        return {**({"Content-Type": "application/json"} if self.body else {}), **self.headers}


@dataclass(frozen=True)
class Measured:
    """What a load found: answers per second, and latencies in seconds."""

    rate: float
    p50: float
    p99: float
    requests: int = 0


def load(port: int, request: Request, *, connections: int = 16, seconds: float = 2.0) -> Measured:
    """Ask as fast as the server answers; an answer that is no success is an error."""
    run = _wrk if WRK else _own
    found, bad = run(port, request, connections, seconds)
    if bad or not found.requests:
        raise RuntimeError(
            f"{request.method} {request.path}: {bad} of {found.requests} requests failed."
        )
    return found


def _wrk(port: int, request: Request, connections: int, seconds: float) -> tuple[Measured, int]:
    headers = "\n".join(
        f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}"
        for name, value in request.all_headers.items()
    )
    script = _SCRIPT % (json.dumps(request.method), json.dumps(request.body.decode()), headers)
    with tempfile.TemporaryDirectory(prefix="labthings-bench-") as folder:
        path = Path(folder) / "load.lua"
        path.write_text(script)
        command = [str(WRK), "-t1", f"-c{connections}", f"-d{max(seconds, 1):.0f}s", "--timeout"]
        command += ["30s", "-s", str(path), f"http://127.0.0.1:{port}{request.path}"]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    report = json.loads(next(line for line in output.splitlines() if line.startswith("{")))
    rate = report["requests"] / report["seconds"]
    return Measured(rate, report["p50"], report["p99"], report["requests"]), report["bad"]


class _Asker(asyncio.Protocol):
    """One connection of our own generator; repeats the request while `more()` is true."""

    def __init__(self, payload: bytes, latencies: list[float], more: Callable[[], bool]) -> None:
        self._payload = payload
        self._latencies = latencies
        self._more = more
        self._buffer = b""
        self._asked = 0.0
        self.bad = 0
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        if not self._more():
            self._transport.close()
            return
        self._asked = time.perf_counter()
        self._transport.write(self._payload)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end or len(rest) < _length(head):
            return
        self._latencies.append(time.perf_counter() - self._asked)
        self.bad += head[9:10] not in (b"2", b"3")
        self._buffer = b""
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        self.bad += exc is not None
        if not self.over.done():
            self.over.set_result(None)


def _length(head: bytes) -> int:
    if head[9:12] in (b"204", b"304"):
        return 0
    lowered = head.lower()
    at = lowered.find(b"content-length:")
    return 0 if at < 0 else int(lowered[at + 15 :].split(b"\r\n", 1)[0])


def _own(port: int, request: Request, connections: int, seconds: float) -> tuple[Measured, int]:
    until = time.perf_counter() + seconds
    return _ask(port, request, connections, lambda: time.perf_counter() < until)


def ask_times(port: int, request: Request, times: int, *, connections: int = 16) -> Measured:
    """Send a number of requests, as fast as the server responds."""
    tickets = iter(range(times))
    found, bad = _ask(port, request, connections, lambda: next(tickets, None) is not None)
    if bad:
        raise RuntimeError(f"{request.method} {request.path}: {bad} of {times} requests failed.")
    return found


def _ask(
    port: int, request: Request, connections: int, more: Callable[[], bool]
) -> tuple[Measured, int]:
    lines = [f"{request.method} {request.path} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    lines += [f"{name}: {value}" for name, value in request.all_headers.items()]
    lines.append(f"Content-Length: {len(request.body)}")
    payload = "\r\n".join(lines).encode() + b"\r\n\r\n" + request.body
    latencies: list[float] = []

    async def ask() -> int:
        loop = asyncio.get_running_loop()
        made = [
            await loop.create_connection(
                lambda: _Asker(payload, latencies, more), "127.0.0.1", port
            )
            for _ in range(connections)
        ]
        await asyncio.gather(*(asker.over for _, asker in made))
        return sum(asker.bad for _, asker in made)

    began = time.perf_counter()
    bad = asyncio.run(ask())
    seconds = time.perf_counter() - began
    latencies.sort()
    if not latencies:
        return Measured(0.0, 0.0, 0.0), bad
    p50, p99 = percentile(latencies, 50), percentile(latencies, 99)
    return Measured(len(latencies) / seconds, p50, p99, len(latencies)), bad


def percentile(ordered: list[float], percent: float) -> float:
    """Return a percentile of an ordered list."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
