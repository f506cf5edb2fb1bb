"""A response without `Connection: close` promises that the next request is answered."""

from __future__ import annotations

import json
import os
import socket
import sys

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the process is stopped with SIGTERM")

SCRIPT = """
import labthings_fastapi as lt
from fastapi import BackgroundTasks
from starlette.responses import StreamingResponse

class Lamp(lt.Thing):
    level: int = lt.property(default=1)

    @lt.endpoint("get", "broken")
    async def broken(self) -> int:
        raise OSError("no power")

server = lt.ThingServer.from_things({"lamp": Lamp}, journal="memory")

@server.app.get("/fails")
async def fails():
    raise OSError("no power")

@server.app.get("/fails_afterwards")
async def fails_afterwards(tasks: BackgroundTasks):
    tasks.add_task(fails)
    return "answered"

@server.app.get("/breaks_off")
async def breaks_off():
    async def parts():
        yield b"first"
        raise OSError("no power")
    return StreamingResponse(parts())

server.serve(port=0)
"""


@pytest.fixture
def server(running_server, tmp_path):
    return running_server.process(cwd=tmp_path, command=[sys.executable, "-c", SCRIPT])


def response(file):
    """Read one response with a Content-Length."""
    status, headers = int(file.readline().split()[1]), {}
    while (line := file.readline()) not in (b"\r\n", b""):
        name, _, value = line.decode().partition(": ")
        headers[name.lower()] = value.strip()
    return status, headers, file.read(int(headers["content-length"]))


@pytest.mark.parametrize(
    ("path", "status"), [("/fails", 500), ("/fails_afterwards", 200), ("/lamp/broken", 500)]
)
def test_after_a_failure_the_next_request_is_answered(server, path, status):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        file = client.makefile("rb")
        for _ in range(2):
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            got, headers, _body = response(file)
            assert got == status
            assert headers.get("connection") != "close"
            client.sendall(b"GET /lamp/level HTTP/1.1\r\nHost: localhost\r\n\r\n")
            got, _headers, body = response(file)
            assert (got, json.loads(body)) == (200, 1)
    assert server.stop() == 0
    assert server.output().count("OSError: no power") >= 2


def test_a_response_that_breaks_off_ends_the_connection(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(b"GET /breaks_off HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = b""
        while data := client.recv(65536):
            received += data
    assert b"first" in received
    assert not received.endswith(b"0\r\n\r\n")  # the client knows that a part is missing
