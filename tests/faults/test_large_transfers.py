"""Large files go up and down again, and the memory of the server does not grow with them."""

from __future__ import annotations

import http.client
import json
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from servers import LABTHINGS_SERVER, ServerProcess

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux reports the peak memory of a process"
)
MEGABYTE = 2**20
MOST = 50 * MEGABYTE
PART = 8 * MEGABYTE
TUS = {"Tus-Resumable": "1.0.0"}
LAB = """
import labthings_fastapi as lt

class Scanner(lt.Thing):
    @lt.action
    def copy(self, blob: lt.blob.Blob) -> None:
        blob.save(lt.output_folder() / "copy.bin")
"""
BLOCK = bytes(range(256)) * 4096


class Server(ServerProcess):
    """A server in a process of its own, and the peak of its memory."""

    def __init__(self, folder: Path) -> None:
        (folder / "transfers_lab.py").write_text(LAB, "utf-8")
        things = {"scanner": "transfers_lab:Scanner"}
        config = {"things": things, "settings_folder": "settings"}
        super().__init__([LABTHINGS_SERVER, "-j", json.dumps(config), "--port", "0"], folder)

    def most_memory(self) -> int:
        """Return the peak of the memory since `forget`, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        (line,) = [each for each in status.splitlines() if each.startswith("VmHWM")]
        return int(line.split()[1]) * 1024

    def forget(self) -> None:
        """Reset the peak to the present memory."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5", "ascii")

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.kill()


def blocks(size: int) -> Iterator[bytes]:
    for _ in range(size // MEGABYTE):
        yield BLOCK


def upload_at_once(server: Server, size: int) -> str:
    connection = server.connection()
    headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
    connection.request("POST", "/blob", blocks(size), headers)
    answer = connection.getresponse()
    assert answer.status == 201
    href: str = json.loads(answer.read())["href"]
    connection.close()
    return href


def upload_in_parts(server: Server, size: int) -> str:
    connection = server.connection()
    connection.request("POST", "/blob", headers={**TUS, "Upload-Length": str(size)})
    answer = connection.getresponse()
    href: str = json.loads(answer.read())["href"]
    headers = {**TUS, "Content-Type": "application/offset+octet-stream"}
    for offset in range(0, size, PART):
        body = BLOCK * (min(PART, size - offset) // MEGABYTE)
        headers["Upload-Offset"] = str(offset)
        connection.request("PATCH", urlsplit(href).path, body, headers)
        answer = connection.getresponse()
        assert answer.status == 204
        answer.read()
    connection.close()
    return href


def download(server: Server, url: str) -> tuple[int, int]:
    """Return the size and the CRC-32 of what is there."""
    connection = server.connection()
    connection.request("GET", urlsplit(url).path)
    answer = connection.getresponse()
    assert answer.status == 200
    size = crc = 0
    while piece := answer.read(MEGABYTE):
        size, crc = size + len(piece), zlib.crc32(piece, crc)
    connection.close()
    return size, crc


def run_and_list(server: Server, href: str) -> tuple[str, dict[str, object]]:
    """Copy a blob by an action; return where the files of the run are, and the file."""
    connection = server.connection()
    blob = {"href": href, "media_type": "application/octet-stream"}
    headers = {"Content-Type": "application/json", "Prefer": "wait=60"}
    connection.request("POST", "/scanner/copy", json.dumps({"blob": blob}), headers)
    state = json.loads(connection.getresponse().read())
    assert state["status"] == "completed", state
    address = f"/action_invocations/{state['id']}/files"
    connection.request("GET", address)
    (file,) = json.loads(connection.getresponse().read())
    connection.close()
    return address, file


def transfer(server: Server, size: int) -> None:
    expected = size, 0
    for block in blocks(size):
        expected = size, zlib.crc32(block, expected[1])
    server.forget()
    before = server.most_memory()
    for upload in (upload_at_once, upload_in_parts):
        href = upload(server, size)
        assert download(server, href) == expected
    address, file = run_and_list(server, href)
    assert file["size"] == size
    assert download(server, str(file["href"])) == expected
    assert download(server, f"{address}.zip")[0] > size
    assert server.most_memory() - before < MOST


@pytest.mark.timeout(300)  # 200 MB in six ways, on a busy computer
def test_200_megabytes_go_up_and_down_without_memory_for_them(server: Server) -> None:
    transfer(server, 200 * MEGABYTE)


@pytest.mark.slow
@pytest.mark.timeout(1200)  # 12 GB go through the server
def test_2_gigabytes_go_up_and_down_without_memory_for_them(server: Server) -> None:
    transfer(server, 2048 * MEGABYTE)
