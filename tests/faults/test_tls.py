"""TLS with clients that trust the server, that do not, that stop half-way, or use plain HTTP."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI, Request, WebSocket
from websockets.sync.client import connect

from labthings_fastapi.server.web.connection_limits import Limits
from labthings_fastapi.server.web.tls import Tls

SHORT = Limits(header_seconds=0.6, body_seconds=0.6)


@pytest.fixture
def calls() -> list[str]:
    return []


@pytest.fixture
def app(calls: list[str]) -> FastAPI:
    app = FastAPI()

    @app.api_route("/move", methods=["GET", "POST"])
    async def move(request: Request) -> dict[str, str]:
        calls.append(request.method)
        return {"scheme": request.url.scheme, "client": str(request.client and request.client.host)}

    @app.websocket("/echo")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(f"{text} by {websocket.url.scheme}")

    return app


def trusting(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.certificate)
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python does from 3.13 on
    return context


def received(client: socket.socket) -> bytes:
    """Return all bytes until the server closes the connection."""
    parts = []
    while part := client.recv(65536):
        parts.append(part)
    return b"".join(parts)


def exchange_with(context: ssl.SSLContext, running: Any, request: bytes) -> bytes:
    with context.wrap_socket(running.connect(), server_hostname="localhost") as client:
        client.sendall(request)
        return received(client)


def exchange(running: Any, tls: Tls, request: bytes) -> bytes:
    return exchange_with(trusting(tls), running, request)


def until_accepted(call: Callable[[], bytes]) -> bytes:
    """Return the response that a client gets at last, although it may be refused at first.

    A connection may be counted for a moment after its client has seen the end, and a server with
    short limits gives up a handshake also if it is the computer that is slow.
    """
    while True:
        try:
            answer = call()
        except ssl.SSLCertVerificationError:
            raise
        except OSError:
            continue
        if not answer.startswith(b"HTTP/1.1 503 "):
            return answer


def test_a_client_that_trusts_the_certificate_is_answered(
    serve: Callable[..., Any], app: FastAPI, certificate: Tls
) -> None:
    running = serve(app, Limits(), certificate)
    answer = exchange(
        running, certificate, b"GET /move HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    assert answer.endswith(b'{"scheme":"https","client":"127.0.0.1"}')


@pytest.mark.parametrize(
    ("version", "accepted"), [("TLSv1", False), ("TLSv1_1", False), ("TLSv1_2", True)]
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")  # that is the point
def test_only_versions_that_protect_are_spoken_and_nothing_is_compressed(
    serve: Callable[..., Any], app: FastAPI, certificate: Tls, version: str, accepted: bool
) -> None:
    running = serve(app, Limits(), certificate)
    context = trusting(certificate)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # otherwise the client itself would refuse
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    if not accepted:
        with pytest.raises(ssl.SSLError):
            context.wrap_socket(running.connect(), server_hostname="localhost")
        return
    with context.wrap_socket(running.connect(), server_hostname="localhost") as client:
        cipher = client.cipher()
        assert cipher is not None
        assert cipher[0].startswith(("ECDHE", "DHE"))  # what was recorded cannot be read later
        assert client.compression() is None


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_accepts_the_certificate_only_if_it_is_given(
    serve: Callable[..., Any], app: FastAPI, calls: list[str], certificate: Tls
) -> None:
    running = serve(app, Limits(), certificate)
    command = ["curl", "--silent", "--noproxy", "*", f"https://localhost:{running.port}/move"]
    refused = subprocess.run(command, capture_output=True, check=False)
    assert (refused.returncode, calls) == (60, [])  # 60: the peer cannot be verified
    given = [*command, "--cacert", str(certificate.certificate)]
    answered = subprocess.run(given, capture_output=True, check=False)
    assert (answered.returncode, calls) == (0, ["GET"])


def test_a_websocket_works_over_tls(
    serve: Callable[..., Any], app: FastAPI, certificate: Tls
) -> None:
    running = serve(app, Limits(), certificate)
    url = f"wss://localhost:{running.port}/echo"
    with connect(url, ssl=trusting(certificate), proxy=None) as client:
        for text in ("a", "b" * 100_000):
            client.send(text)
            assert client.recv() == f"{text} by wss"


def test_a_handshake_may_arrive_in_pieces(
    serve: Callable[..., Any], app: FastAPI, certificate: Tls
) -> None:
    running = serve(app, Limits(), certificate)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    side = trusting(certificate).wrap_bio(incoming, outgoing, server_hostname="localhost")
    client = running.connect()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with pytest.raises(ssl.SSLWantReadError):
        side.do_handshake()
    hello = outgoing.read()
    for i in range(0, len(hello), 40):
        client.sendall(hello[i : i + 40])
    while True:
        incoming.write(client.recv(65536))
        try:
            side.do_handshake()
            break
        except ssl.SSLWantReadError:
            client.sendall(outgoing.read())
    # The request travels together with the end of the handshake.
    side.write(b"GET /move HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    client.sendall(outgoing.read())
    answer = b""
    while not answer.endswith(b"}"):
        incoming.write(client.recv(65536))
        try:
            answer += side.read()
        except ssl.SSLWantReadError:  # a session ticket, or half a record
            continue
    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01", b"\x16 and what is no TLS"])
def test_a_client_that_does_not_finish_its_handshake_is_closed(
    serve: Callable[..., Any], app: FastAPI, certificate: Tls, sent: bytes
) -> None:
    running = serve(app, SHORT, certificate)
    for client in [running.connect(sent) for _ in range(20)]:
        try:
            received(client)
        except ConnectionResetError:
            continue
    request = b"GET /move HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    answer = until_accepted(lambda: exchange(running, certificate, request))
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_the_limits_hold_within_tls(
    serve: Callable[..., Any], app: FastAPI, certificate: Tls
) -> None:
    hurried, patient = serve(app, SHORT, certificate), serve(app, Limits(), certificate)
    half = b"GET /move HTTP/1.1\r\nHost"
    slow = until_accepted(lambda: exchange(hurried, certificate, half))
    assert slow.startswith(b"HTTP/1.1 408 ")
    large = exchange(
        patient, certificate, b"GET /move HTTP/1.1\r\nHost: %s\r\n\r\n" % (b"x" * 70_000)
    )
    assert large.startswith(b"HTTP/1.1 431 ")


def test_plain_http_is_closed_and_does_nothing(
    serve: Callable[..., Any], app: FastAPI, calls: list[str], certificate: Tls
) -> None:
    running = serve(app, Limits(), certificate)
    plain = b"POST /move HTTP/1.1\r\nHost: lab.local\r\nContent-Length: 2\r\n\r\n{}"
    # A reset, an end, or an alert of TLS: never a response.
    with contextlib.suppress(ConnectionResetError):
        assert b"HTTP" not in received(running.connect(plain))
    assert calls == []
    request = b"GET /move HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    assert exchange(running, certificate, request).startswith(b"HTTP/1.1 200 ")


def test_connections_are_not_counted_after_any_kind_of_end(
    serve: Callable[..., Any], app: FastAPI, certificate: Tls
) -> None:
    running = serve(app, Limits(header_seconds=0.6, connections=4), certificate)
    plain = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    untrusting = ssl.create_default_context()
    request = b"GET /move HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    # At most three connections of four are for one address.
    for _ in range(10):
        with contextlib.suppress(OSError):
            received(running.connect(plain))
        with pytest.raises(ssl.SSLCertVerificationError):
            until_accepted(lambda: exchange_with(untrusting, running, b""))
        with contextlib.suppress(OSError):  # or it is refused at once
            running.connect(b"\x16\x03").close()
        answer = until_accepted(lambda: exchange(running, certificate, request))
        assert answer.startswith(b"HTTP/1.1 200 ")


def test_a_connection_beyond_the_limit_is_answered_with_503(
    serve: Callable[..., Any], app: FastAPI, certificate: Tls
) -> None:
    running = serve(app, Limits(connections=1), certificate)
    request = b"GET /move HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    with trusting(certificate).wrap_socket(running.connect(), server_hostname="localhost") as first:
        assert exchange(running, certificate, b"").startswith(b"HTTP/1.1 503 ")
        first.sendall(request)
        assert received(first).startswith(b"HTTP/1.1 200 ")
