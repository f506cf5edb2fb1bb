"""Bodies of 200 MB, sent in every way, do not increase the memory of the server."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labthings_fastapi.security.credential_file import CredentialFile
from labthings_fastapi.security.credentials import new_token
from servers import LABTHINGS_SERVER, ServerProcess

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux reports the peak memory of a process"
)
MEGABYTE = 2**20
SIZE = 200 * MEGABYTE
MOST = 60 * MEGABYTE
LAB = """
import labthings_fastapi as lt

class Stage(lt.Thing):
    speed: float = lt.property(default=1.0)

    @lt.action
    def move(self, distance: float = 1.0) -> None:
        pass

    @lt.endpoint("post", "upload")
    def upload(self, text: dict) -> None:
        pass

    @lt.endpoint("post", "raw")
    async def raw(self, text: bytes) -> None:
        pass
"""


class Server(ServerProcess):
    """A server in a process of its own, and the peak of its memory."""

    def __init__(self, folder: Path, **config: object) -> None:
        (folder / "large_bodies_lab.py").write_text(LAB, "utf-8")
        config |= {"things": {"stage": "large_bodies_lab:Stage"}, "settings_folder": "settings"}
        super().__init__([LABTHINGS_SERVER, "-j", json.dumps(config), "--port", "0"], folder)

    def most_memory(self) -> int:
        """Return the peak of the memory since `forget`, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        (line,) = [each for each in status.splitlines() if each.startswith("VmHWM")]
        return int(line.split()[1]) * 1024

    def forget(self) -> None:
        """Reset the peak to the present memory."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5", "ascii")

    def send(self, method: str, path: str, headers: list[str], size: int, chunked: bool) -> int:
        """Send a request with a large body, to the last byte, and return the status."""
        length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
        head = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers, length, "", ""]
        block = b"x" * MEGABYTE
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as client:
            client.sendall("\r\n".join(head).encode())
            with contextlib.suppress(ConnectionError):  # the answer may have come before the end
                for _ in range(size // MEGABYTE):
                    client.sendall(b"%x\r\n%b\r\n" % (MEGABYTE, block) if chunked else block)
                if chunked:
                    client.sendall(b"0\r\n\r\n")
            return int(client.recv(100).split()[1])


@pytest.fixture(scope="module")
def open_to_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("open"))
    yield server
    server.kill()


@pytest.fixture(scope="module")
def with_tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("tokens")
    CredentialFile(folder / "settings" / "credentials.json").add(new_token("a", "operator")[0])
    server = Server(folder)
    yield server
    server.kill()


def cost(server: Server, method: str, path: str, kind: str, chunked: bool) -> int:
    server.forget()
    before = server.most_memory()
    status = server.send(method, path, [f"Content-Type: {kind}"], SIZE, chunked)
    assert 400 <= status < 500
    return server.most_memory() - before


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/stage/speed"),
        ("PUT", "/stage/properties"),
        ("POST", "/stage/move"),
        ("POST", "/stage/upload"),
        ("POST", "/stage/raw"),
        ("POST", "/session"),
        ("POST", "/nothing"),
    ],
)
def test_a_large_body_costs_little(
    open_to_all: Server, method: str, path: str, kind: str, chunked: bool
) -> None:
    assert cost(open_to_all, method, path, kind, chunked) < MOST


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x"])
@pytest.mark.parametrize("path", ["/stage/move", "/session", "/nothing"])
def test_a_client_without_a_token_costs_almost_nothing(
    with_tokens: Server, path: str, kind: str, chunked: bool
) -> None:
    assert cost(with_tokens, "POST", path, kind, chunked) < MOST // 10
