"""Malformed requests are answered with 400, and are no error in the log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI

from labthings_fastapi.server.web.connection_limits import Limits

HOST = b"Host: 127.0.0.1\r\n"
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="


def whole_answer(client: Any) -> bytes:
    """Read until the server closes the connection."""
    parts = []
    while part := client.recv(65536):
        parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize(
    "sent",
    [
        b"CONNECT elsewhere.example:80 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n 127.0.0.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost : 127.0.0.1\r\n\r\n",
        b"PUT / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0",
        b"PUT / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n00",
        b"PUT / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_a_malformed_request_is_answered_with_400(
    serve: Callable[..., Any], caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    reached = []
    app = FastAPI()

    @app.middleware("http")
    async def witness(request: Any, call_next: Any) -> Any:
        reached.append(request.url.path)
        return await call_next(request)

    running = serve(app, Limits())
    answer = whole_answer(running.connect(sent))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 400 ") == 1
    assert b"application/problem+json" in answer
    assert reached == []
    assert [each for each in caplog.records if each.levelno >= logging.ERROR] == []


def test_any_number_of_malformed_requests_has_one_line_in_the_log(
    serve: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    running = serve(FastAPI(), Limits())
    caplog.clear()
    for _ in range(20):
        assert whole_answer(running.connect(b"no HTTP\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
        upgrade = b"Connection: Upgrade, close\r\nUpgrade: other\r\n\r\n"
        whole_answer(running.connect(b"GET / HTTP/1.1\r\n" + HOST + upgrade))
        for key in (b"", b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n" % KEY):
            socket = b"Connection: Upgrade\r\nUpgrade: websocket\r\n%b\r\n" % key
            whole_answer(running.connect(b"GET /ws?token=x HTTP/1.1\r\n" + HOST + socket))
    [line] = [record.getMessage() for record in caplog.records]
    assert line == (
        "Refused a request of 127.0.0.1: Invalid HTTP request received. This server speaks "
        "HTTP/1.1."
    )
