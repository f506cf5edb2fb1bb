"""A server with TLS ends in order and in time, whatever its clients hold open."""

from __future__ import annotations

import json
import os
import socket
import ssl
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from labthings_fastapi.server.web.tls import own_certificate

PROGRAM = """
import sys
import labthings_fastapi as lt

class Lamp(lt.Thing):
    def __enter__(self):
        return self

    def __exit__(self, *_):
        print("closed", flush=True)

server = lt.ThingServer.from_things({"lamp": Lamp}, settings_folder="settings", shutdown_timeout=1)

@server.app.get("/scheme")
def scheme():
    return [server.scheme]

before = server.scheme
server.serve("127.0.0.1", 0, tls=True)
print(before == server.scheme == "http", flush=True)
"""

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGTERM is a POSIX signal")
PRINTED = ["closed", "True"]


def test_sigterm_closes_the_things_although_tls_clients_stay(
    tmp_path: Path, running_server: Any
) -> None:
    server = running_server.process(cwd=tmp_path, command=(sys.executable, "-c", PROGRAM))
    assert server.scheme == "https"
    port = server.port
    clients: list[socket.socket] = []
    try:
        context = ssl.create_default_context(
            cafile=own_certificate(tmp_path / "settings").certificate
        )
        for sent in (b"", b"\x16\x03", b"GET / HTTP/1.1\r\n"):  # silent, half a hello, in plain
            clients.append(socket.create_connection(("127.0.0.1", port), timeout=30))
            clients[-1].sendall(sent)
        plain = socket.create_connection(("127.0.0.1", port), timeout=30)
        idle = context.wrap_socket(plain, server_hostname="127.0.0.1")
        clients.append(idle)
        idle.sendall(b"GET /scheme HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        answer = b""
        while not answer.endswith(b"]"):
            answer += idle.recv(65536)
        assert json.loads(answer.partition(b"\r\n\r\n")[2]) == ["https"]
        began = time.monotonic()
        assert server.stop() == 0
        # Not a measurement: the promise is a deadline (1 s for runs, 2 more for all the rest).
        assert time.monotonic() - began < 3 + 5
        printed = [line for line in server.output().splitlines() if line in PRINTED]
        assert printed == PRINTED
    finally:
        for client in clients:
            client.close()
