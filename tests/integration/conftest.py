"""What the tests over HTTP share: how to judge an error, and how to wait for a run."""

from __future__ import annotations

import http.client
import socket
import threading
import time

import pytest
import uvicorn

FINISHED = {"completed", "failed", "cancelled", "error"}


@pytest.fixture
def assert_problem():
    """Check that an answer is a problem in the words of RFC 9457, and return its members."""

    def check(answer, status):
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert {"type", "title", "status", "detail"} <= set(problem)
        assert problem["status"] == status
        assert problem["detail"]
        return problem

    return check


@pytest.fixture
def ended():
    """Wait for the end of a run, by its URL, and return its last state."""

    def wait(client, href):
        for _ in range(20):
            answer = client.get(href, headers={"Prefer": "wait=5"})
            assert answer.status_code == 200, answer.text
            if answer.json()["status"] in FINISHED:
                return answer.json()
        raise AssertionError(f"{href} did not end: {answer.text}")

    return wait


@pytest.fixture
def port(server):
    """Run the server on a port of its own; Starlette's test client cannot stream."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(server.app, log_level="warning", timeout_graceful_shutdown=1)
        runner = uvicorn.Server(config)
        thread = threading.Thread(target=runner.run, args=([listening],))
        thread.start()
        deadline = time.monotonic() + 30
        while not runner.started and time.monotonic() < deadline:
            thread.join(0.01)
        assert runner.started
        yield listening.getsockname()[1]
        runner.should_exit = True
        thread.join(30)


class Stream:
    """An open stream of server-sent events."""

    def __init__(self, port, path, **headers):
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._connection.request("GET", path, headers=headers)
        self.response = self._connection.getresponse()

    def next(self):
        """Wait for the next event, and return its fields."""
        fields = {}
        while True:
            line = self.response.readline().decode().rstrip("\r\n")
            if not line and fields:
                return fields
            if line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields[name] = value

    def close(self):
        self.response.close()
        self._connection.close()


@pytest.fixture
def subscribe(port):
    streams = []

    def open_stream(path, **headers):
        streams.append(Stream(port, path, **headers))
        return streams[-1]

    yield open_stream
    for stream in streams:
        stream.close()
