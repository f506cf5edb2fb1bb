"""`labthings-server` in a process of its own, until SIGTERM ends it."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
import urllib.request

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

SOURCE = """
import gc
import sys
import threading
from pathlib import Path
import labthings_fastapi as lt

class Lamp(lt.Thing):
    level: int = lt.property(default=1)
    text: str = lt.property(default="")

    def __enter__(self):
        Path("entered").touch()

    def __exit__(self, *_):
        Path("exited").touch()

    @lt.property
    def tuning(self) -> list[float]:
        return [gc.get_freeze_count(), sys.getswitchinterval()]

    @lt.property
    def stuck(self) -> int:
        Path("reading").touch()
        threading.Event().wait()

    @lt.action
    def blink(self) -> None:
        try:
            lt.cancellable_sleep(600)
        finally:
            Path("dark").touch()
"""

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGTERM is a POSIX signal")


def call(method, url, body=None):
    headers = {"Content-Type": "application/json"} if body is not None else {}
    request = urllib.request.Request(url, body, headers, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as answer:
        return answer.status, answer.read()


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "It did not happen in time."
        time.sleep(0.02)


@pytest.fixture
def server(tmp_path, running_server):
    (tmp_path / "lamps.py").write_text(SOURCE, "utf-8")
    config = {"things": {"lamp": "lamps:Lamp"}, "shutdown_timeout": 1}
    before = os.environ.get("PYTHONPATH")
    paths = os.pathsep.join([str(tmp_path), *([before] if before else [])])
    environment = os.environ | {"PYTHONPATH": paths}
    return running_server.process("-j", json.dumps(config), cwd=tmp_path, env=environment)


def test_garbage_and_threads_are_handled_as_a_server_needs(server):
    def tuning():
        return json.loads(call("GET", f"{server.url}/lamp/tuning")[1])

    # The server answers first: objects are frozen once all of them exist.
    wait_for(lambda: tuning()[0] > 10_000)
    assert tuning()[1] == pytest.approx(0.001)


def test_sigterm_closes_the_things_and_ends_with_0(server, tmp_path):
    assert (tmp_path / "entered").exists()
    assert call("PUT", f"{server.url}/lamp/level", b"4")[0] == 204
    assert call("GET", f"{server.url}/lamp/level") == (200, b"4")
    status, started = call("POST", f"{server.url}/lamp/blink")
    assert status == 201
    # A run that has not begun when the server stops never begins, and leaves nothing.
    href = json.loads(started)["href"]
    wait_for(lambda: json.loads(call("GET", href)[1])["status"] == "running")
    assert server.stop() == 0, server.output()
    assert (tmp_path / "dark").exists()
    assert (tmp_path / "exited").exists()
    assert "Traceback" not in server.output()


def test_ctrl_c_ends_it_in_the_same_way(server, tmp_path):
    assert server.stop(signal.SIGINT) == 0
    assert (tmp_path / "exited").exists()


def test_a_stuck_read_does_not_keep_the_things_open(server, tmp_path):
    with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
        connection.sendall(b"GET /lamp/stuck HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_for((tmp_path / "reading").exists)
        assert server.stop() == 0
    assert (tmp_path / "exited").exists()


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(server):
    with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
        connection.sendall(
            b"PUT /lamp/level HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 17000000\r\n\r\n"
        )
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"application/problem+json" in answer


def dial(url, **options):
    return connect(f"{url.replace('http', 'ws')}/ws", proxy=None, **options)


def send_and_wait(wire, message):
    wire.send(message)
    wire.recv(30)


def follow(wire):
    """Follow everything, and wait until that has begun."""
    wire.send('{"messageType": "request", "operation": "labthings:observeall"}')
    assert "error" not in json.loads(wire.recv(30))


def test_sockets_receive_every_end_and_are_closed_before_the_server_ends(server):
    with dial(server.url) as wire:
        follow(wire)
        call("POST", f"{server.url}/lamp/blink")
        server.process.send_signal(signal.SIGTERM)
        received = [json.loads(message) for message in wire]  # which ends as the closing is proper
        assert wire.close_code == 1001
    assert received[-1]["data"]["status"] == "cancelled"
    assert server.process.wait(60) == 0


def test_a_client_that_never_reads_does_not_hold_up_the_end(server, tmp_path):
    with dial(server.url, max_queue=1, compression=None, close_timeout=0.1) as wire:
        follow(wire)
        text = json.dumps("x" * 1_000_000).encode()
        for _ in range(20):
            assert call("PUT", f"{server.url}/lamp/text", text)[0] == 204
        assert server.stop() == 0
    assert (tmp_path / "exited").exists()


def test_a_socket_message_that_is_too_large_is_not_read_to_its_end(server):
    with dial(server.url) as wire:
        with pytest.raises(ConnectionClosed):  # at once, or while it waits for an answer
            send_and_wait(wire, ['"', "x" * 1024 * 1024, "x"])
        assert wire.close_code == 1009
