"""A server with TLS ends in order and in time, whatever its clients hold open."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest

from labthings_fastapi.server.web.certificates import own_certificate

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


def test_sigterm_closes_the_things_although_tls_clients_stay(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    clients: list[socket.socket] = []
    try:
        lines = (re.search(r"Listening on https://127\.0\.0\.1:(\d+)/", x) for x in process.stderr)
        found = next(filter(None, lines))
        port = int(found[1])
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
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
        # Not a measurement: the promise is a deadline (1 s for runs, 2 more for all the rest).
        assert time.monotonic() - began < 3 + 5
        assert (process.returncode, output.split()) == (0, ["closed", "True"])
    finally:
        process.kill()
        process.communicate()
        for client in clients:
            client.close()
