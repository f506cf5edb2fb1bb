"""The client when the server restarts, connections break, or answers are not what they seem."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import labthings_fastapi as lt
from labthings_fastapi.client import steps
from labthings_fastapi.exceptions import (
    ClientError,
    ClientPropertyError,
    FailedToInvokeActionError,
    ServerActionError,
    ServerUnreachableError,
)

LAB = '''
import labthings_fastapi as lt
from collections.abc import Iterator


class Stage(lt.Thing):
    """A stage in a process of its own."""

    @lt.action
    def travel(self) -> None:
        lt.cancellable_sleep(600)

    @lt.action
    def scan(self, rows: int) -> Iterator[int]:
        for row in range(rows):
            lt.cancellable_sleep(0.01)
            yield row
'''


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration; the server is started by the test."""
    (tmp_path / "lab.py").write_text(LAB)
    (tmp_path / "lab.json").write_text(json.dumps({"things": {"stage": "lab:Stage"}}))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_server_that_is_killed_and_started_again_tells_what_became_of_the_run(
    lab: Path, running_server: Any
) -> None:
    options = ("-c", "lab.json", "--port", str(free_port()))
    first = running_server.process(*options, cwd=lab)
    stage = lt.ThingClient.from_url(f"{first.url}/stage/")
    run = stage.start.travel()
    caught: list[BaseException] = []

    def wait() -> None:
        try:
            run.result()
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            caught.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert run.status in ("pending", "running")
    first.kill()
    running_server.process(*options, cwd=lab)
    waiting.join(60)
    assert not waiting.is_alive()
    (error,) = caught
    assert isinstance(error, ServerActionError)
    assert error.problem["type"] == "urn:labthings:problem:interrupted"
    assert run.status == "error"
    stage.close()


class Proxy:
    """Passes bytes between a client and a server; a test cuts its connections."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self.accepted = 0
        self.passed = threading.Semaphore(0)  # released for each piece that the server sent
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                with self._lock:
                    self.accepted += 1
                    self._open += [near, far]
                for source, target, count in ((near, far, False), (far, near, True)):
                    threading.Thread(
                        target=self._pass, args=(source, target, count), daemon=True
                    ).start()

    def _pass(self, source: socket.socket, target: socket.socket, count: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                target.sendall(piece)
                if count:
                    self.passed.release()

    def cut(self) -> None:
        """Break every connection."""
        with self._lock:
            broken, self._open = self._open, []
        for each in broken:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # or `accept` would take one more
        self._listening.close()
        self.cut()


class Stage(lt.Thing):
    """A stage that counts its moves."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.moves = 0
        self.go = threading.Semaphore(0)

    @lt.action
    def scan(self, rows: int) -> Iterator[int]:
        for row in range(rows):
            assert self.go.acquire(timeout=30)
            yield row

    @lt.action
    def move(self) -> int:
        self.moves += 1
        return self.moves


@pytest.fixture
def server() -> lt.ThingServer:
    return lt.ThingServer.from_things({"stage": Stage})


@pytest.fixture
def proxy(server: lt.ThingServer, running_server: Any) -> Iterator[Proxy]:
    found = Proxy(running_server(server).port)
    yield found
    found.close()


def test_results_are_complete_although_the_connection_breaks_in_the_middle(
    server: lt.ThingServer, proxy: Proxy
) -> None:
    thing: Any = server.things["stage"]
    # Addresses in answers name the host that was asked, which is the proxy.
    with lt.ThingClient.from_url(f"http://127.0.0.1:{proxy.port}/stage/") as stage:
        run = stage.start.scan(rows=30)
        results = run.results()
        found = []
        for row in range(30):
            thing.go.release()
            found.append(next(results))
            if row % 10 == 5:
                proxy.cut()
        assert found == list(range(30))
        assert list(results) == []
        assert run.results_missed == 0
    assert proxy.accepted > 3


def test_a_start_that_is_sent_again_moves_once(server: lt.ThingServer, proxy: Proxy) -> None:
    thing: Any = server.things["stage"]
    with lt.ThingClient.from_url(f"http://127.0.0.1:{proxy.port}/stage/") as stage:
        protocol = stage._protocol
        pending = protocol.prepare("move", (), {})
        first = stage._run(protocol.start(pending, 1.0))
        again = stage._run(protocol.start(pending, 1.0))
        assert first.id == again.id
    assert thing.moves == 1


# --- servers that answer rubbish ------------------------------------------------------------

DESCRIPTION = {
    "@context": ["https://www.w3.org/2022/wot/td/v1.1", {"labthings": "urn:x"}],
    "title": "odd",
    "properties": {"value": {"forms": [{"href": "/value", "op": "readproperty"}]}},
    "actions": {"go": {"forms": [{"href": "/go", "op": "invokeaction"}]}},
}
Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture
def odd() -> Iterator[Callable[[Answer], str]]:
    """Serve the description, and one answer to everything else."""
    servers: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    def serve(answer: Answer) -> str:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _reply(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                self.rfile.read(length)
                described = (200, {"Content-Type": "application/td+json"}, description)
                status, headers, body = described if self.path == "/" else answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

            def do_GET(self) -> None:
                self._reply()

            def do_POST(self) -> None:
                self._reply()

            def log_message(self, *_: object) -> None: ...

        description = json.dumps(DESCRIPTION).encode()
        found = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        servers.append((found, thread))
        return f"http://127.0.0.1:{found.server_address[1]}/"

    yield serve
    for found, thread in servers:
        found.shutdown()
        found.server_close()
        thread.join(30)


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "answer",
    [
        (200, {"Content-Type": "text/html"}, b"<html>login</html>"),
        (200, JSON, b'{"half": '),
        (200, JSON, b"\xff\xfe"),
        (302, {"Location": "/elsewhere"}, b""),
        (500, {}, b""),
        (503, {"Content-Type": "application/problem+json"}, b'{"detail": ["?"]}'),
        (999, {}, b"?"),
    ],
    ids=["html", "half-json", "no-text", "redirect", "empty", "odd-problem", "odd-status"],
)
def test_rubbish_is_an_error_of_the_client(odd: Callable[[Answer], str], answer: Answer) -> None:
    with lt.ThingClient.from_url(odd(answer)) as client:
        with pytest.raises(ClientError):
            _ = client.value
        with pytest.raises(ClientError):
            client.go()


def test_an_answer_that_is_too_large_is_not_read_to_its_end(
    odd: Callable[[Answer], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labthings_fastapi.client.connection.LARGEST_BODY", 1000)
    assert steps.LARGEST_BODY >= 2**20
    url = odd((200, JSON, b"[" + b"1," * 5000 + b"1]"))
    with (
        lt.ThingClient.from_url(url) as client,
        pytest.raises(ClientError, match="larger than"),
    ):
        _ = client.value


def test_a_problem_is_told_in_the_servers_own_words(odd: Callable[[Answer], str]) -> None:
    body = json.dumps({"title": "Busy", "detail": "the door is open"}).encode()
    with lt.ThingClient.from_url(odd((409, JSON, body))) as client:
        with pytest.raises(ClientPropertyError, match="the door is open"):
            _ = client.value
        with pytest.raises(FailedToInvokeActionError, match="the door is open"):
            client.go()


def test_a_server_that_goes_away_is_said_with_its_address(
    odd: Callable[[Answer], str], running_server: Any, server: lt.ThingServer
) -> None:
    proxy = Proxy(running_server(server).port)
    client = lt.ThingClient.from_url(f"http://127.0.0.1:{proxy.port}/stage/")
    proxy.close()
    with pytest.raises(ServerUnreachableError, match=rf"127\.0\.0\.1:{proxy.port}"):
        client.move()
    client.close()
