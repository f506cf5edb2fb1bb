"""Shared by the integration tests: problem details, ends of invocations, streams, sockets."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

FINISHED = {"completed", "failed", "cancelled", "error"}


@pytest.fixture
def assert_problem():
    """Check that a response is a problem (RFC 9457), and return its members."""

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
    """Wait for the end of an invocation, by its URL, and return its last state."""

    def wait(client, href):
        for _ in range(20):
            answer = client.get(href, headers={"Prefer": "wait=5"})
            assert answer.status_code == 200, answer.text
            if answer.json()["status"] in FINISHED:
                return answer.json()
        raise AssertionError(f"{href} did not end: {answer.text}")

    return wait


@pytest.fixture
def port(server, running_server):
    """Run the server on a free port; Starlette's test client cannot stream."""
    return running_server(server).port


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


class Socket:
    """A WebSocket client."""

    def __init__(self, wire):
        self.wire = wire
        self._numbers = itertools.count()
        self.waiting = []  # messages that came before an awaited answer

    def send(self, **members):
        """Send one message."""
        self.wire.send(json.dumps(members))

    def request(self, operation, **members):
        """Send a request, and return the correlationID of its answer."""
        correlation_id = f"question {next(self._numbers)}"
        self.send(
            messageType="request", operation=operation, correlationID=correlation_id, **members
        )
        return correlation_id

    def answer(self, correlation_id):
        """Wait for the answer to a request."""
        while True:
            message = self._receive()
            is_answer = message["messageType"] in ("response", "error")
            if is_answer and message.get("correlationID") == correlation_id:
                return message
            self.waiting.append(message)

    def ask(self, operation, **members):
        """Send a request and wait for its answer."""
        return self.answer(self.request(operation, **members))

    def next(self):
        """Return the next message, without the answers that `answer` returned."""
        return self.waiting.pop(0) if self.waiting else self._receive()

    def until(self, wanted):
        """Return the messages up to the first one that is wanted."""
        found = [self.next()]
        while not wanted(found[-1]):
            found.append(self.next())
        return found

    def _receive(self):
        return json.loads(self.wire.recv(timeout=30))

    def closed_with(self):
        """Wait until the server closes the socket, and return the code."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                self.wire.recv(timeout=30)
        return self.wire.close_code


@pytest.fixture
def dial(port):
    """Open sockets until the test ends; call it with a path."""
    with contextlib.ExitStack() as stack:

        def open_socket(path, subprotocols=("webthingprotocol",), **options):
            url = f"ws://127.0.0.1:{port}{path}"
            dialled = connect(url, subprotocols=subprotocols or None, proxy=None, **options)
            return Socket(stack.enter_context(dialled))

        yield open_socket
