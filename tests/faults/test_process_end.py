"""SIGTERM ends the process in time, whatever its drivers have left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from servers import PATIENCE

pytestmark = pytest.mark.skipif(os.name == "nt", reason="fork and SIGTERM are of POSIX")
SCRIPT = Path(__file__).with_name("stuck_at_the_end.py")
STUCK = ["pool", "older pool", "process pool", "thread", "atexit", "daemon child", "child", "fork"]


@pytest.fixture
def start(tmp_path, running_server):
    def begin(kind):
        command = [sys.executable, str(SCRIPT), str(tmp_path), kind]
        server = running_server.process(cwd=tmp_path, command=command)
        request = urllib.request.Request(f"{server.url}/driver/leave", method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 204
        return server

    yield begin
    with contextlib.suppress(OSError, ValueError):
        os.kill(int((tmp_path / "child").read_text().split()[0]), signal.SIGKILL)


def wait_for(path):
    deadline = time.monotonic() + PATIENCE
    while not path.exists() or not path.read_text():
        assert time.monotonic() < deadline, f"{path} was not written"
    return path.read_text()


@pytest.mark.parametrize("kind", STUCK)
def test_sigterm_ends_the_process_with_0(kind, start, tmp_path):
    server = start(kind)
    # `stop` waits for its end; nothing that is stuck ends by itself.
    assert server.stop() == 0, server.output()
    assert (tmp_path / "after").exists()


def test_code_that_does_not_let_go_of_the_interpreter_is_ended_by_the_system(start, tmp_path):
    server = start("atexit that holds the interpreter")
    assert server.stop() in (0, -signal.SIGALRM)
    assert (tmp_path / "hanging").exists()


@pytest.mark.parametrize("kind", ["nothing", "idle pool"])
def test_a_process_in_which_nothing_is_stuck_ends_in_its_own_way(kind, start, tmp_path):
    server = start(kind)
    assert server.stop() == 0
    assert (tmp_path / "cleaned").exists()
    assert "does not e" not in server.output()


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("thread", "Thread 'left' does not end. The process ends without it."),
        ("atexit", "it waits for an atexit function"),
        ("older pool", "a pool of threads"),
    ],
)
def test_the_log_says_what_was_stuck(kind, text, start):
    server = start(kind)
    server.stop()
    assert text in server.output()


@pytest.mark.parametrize("kind", ["daemon child", "child", "fork"])
def test_a_forked_child_has_default_signal_handlers(kind, start, tmp_path):
    start(kind)
    assert wait_for(tmp_path / "child").split()[1] == "True"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_forked_child_that_outlives_the_server_holds_neither_port_nor_folder_nor_connections(
    number, start, tmp_path
):
    server = start("fork")
    child = int(wait_for(tmp_path / "child").split()[0])
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
        server.stop(number)
        os.kill(child, 0)  # it is still there
        with contextlib.suppress(ConnectionResetError):
            while client.recv(65536):
                pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
    again = start("nothing")
    assert again.stop() == 0
    os.kill(child, 0)


def test_a_connection_that_was_open_at_the_fork_ends_with_the_server(tmp_path, running_server):
    command = [sys.executable, str(SCRIPT), str(tmp_path), "fork"]
    server = running_server.process(cwd=tmp_path, command=command)
    request = b"POST /driver/leave HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as client:
        client.sendall(request)
        assert client.recv(65536).startswith(b"HTTP/1.1 204")
        child = int(wait_for(tmp_path / "child").split()[0])
        server.stop(signal.SIGKILL)
        # Without an end, `recv` would wait until its timeout, which is an error.
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(65536) == b""
    os.kill(child, signal.SIGKILL)
