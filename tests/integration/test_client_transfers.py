"""Clients upload inputs, also over connections that break, and download blobs and files."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import BaseModel

import labthings_fastapi as lt
from conftest import ServerStarter
from labthings_fastapi.client import downloads, uploads


class Pair(BaseModel):
    first: lt.blob.Blob
    others: list[lt.blob.Blob]


class Reader(lt.Thing):
    """Reads and makes blobs and files."""

    @lt.action
    def digest(self, blob: lt.blob.Blob) -> str:
        return hashlib.sha256(blob.content).hexdigest()

    @lt.action
    def kind(self, blob: lt.blob.Blob) -> list[str]:
        return [blob.media_type, str(blob.data.filename)]

    @lt.action
    def lengths(self, pair: Pair) -> list[int]:
        return [len(each.content) for each in (pair.first, *pair.others)]

    @lt.action
    def make(self, size: int) -> lt.blob.Blob:
        return lt.blob.Blob.from_bytes(bytes(range(256)) * (size // 256))

    @lt.action
    def leave(self) -> None:
        folder = lt.output_folder() / "a b"
        folder.mkdir()
        (folder / "ü.csv").write_text("1,2\n", "utf-8")

    @lt.action
    def upload(self) -> str:
        return "an action of this name"


class Plain(lt.Thing):
    """Has no action called `upload`."""

    @lt.action
    def digest(self, blob: lt.blob.Blob) -> str:
        return hashlib.sha256(blob.content).hexdigest()


@pytest.fixture
def server(tmp_path: Path) -> lt.ThingServer:
    things = {"reader": Reader, "plain": Plain}
    folder = tmp_path / "settings"
    return lt.ThingServer.from_things(things, settings_folder=folder, api_prefix="/api")


@pytest.fixture
def test_client(server: lt.ThingServer) -> Iterator[TestClient]:
    with server.test_client() as client:
        yield client


@pytest.fixture
def reader(test_client: TestClient) -> Any:
    return lt.ThingClient.from_url("/api/reader/", test_client)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "PART", 100_000)
    monkeypatch.setattr(uploads, "PAUSES", (0.01,) * 10)
    monkeypatch.setattr(downloads, "PAUSES", (0.01,) * 10)


CONTENT = bytes(range(256)) * 4000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def test_a_blob_of_this_process_is_an_argument(reader: Any, tmp_path: Path) -> None:
    (tmp_path / "ä.tif").write_bytes(CONTENT)
    assert reader.digest(lt.blob.Blob.from_file(tmp_path / "ä.tif")) == DIGEST
    assert reader.kind(lt.blob.Blob.from_file(tmp_path / "ä.tif", "image/tiff")) == [
        "image/tiff",
        "ä.tif",
    ]
    pair = {"first": lt.blob.Blob.from_bytes(b"1"), "others": [lt.blob.Blob.from_bytes(b"22")]}
    assert reader.lengths(pair=pair) == [1, 2]


def test_a_blob_of_the_server_is_an_argument_and_is_not_sent(reader: Any) -> None:
    made = reader.make(size=1024)
    assert reader.digest(made) == hashlib.sha256(made.content).hexdigest()
    assert made.data._fetched is not None


@pytest.mark.usefixtures("small_parts")
def test_a_large_one_is_sent_in_parts_and_says_how_far_it_is(
    test_client: TestClient, tmp_path: Path
) -> None:
    plain = lt.ThingClient.from_url("/api/plain/", test_client)
    (tmp_path / "large.tif").write_bytes(CONTENT)
    told: list[tuple[int, int]] = []
    link = plain.upload(tmp_path / "large.tif", progress=lambda *each: told.append(each))
    assert (link.media_type, link.size) == ("image/tiff", len(CONTENT))
    assert told[0] == (0, len(CONTENT))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert len(told) == 12
    assert plain.digest(link) == DIGEST
    with (tmp_path / "large.tif").open("rb") as file:
        assert plain.digest(plain.upload(file)) == DIGEST
        assert not file.closed
    assert plain.upload(b"abc", "text/plain").content == b"abc"
    assert plain.digest(plain.upload(io.BytesIO(CONTENT))) == DIGEST


def test_a_thing_may_have_an_action_called_upload(reader: Any) -> None:
    assert reader.upload() == "an action of this name"
    assert reader.upload_(b"abc").size == 3


def test_what_the_server_refuses_is_said(test_client: TestClient, server: lt.ThingServer) -> None:
    plain = lt.ThingClient.from_url("/api/plain/", test_client)
    server.action_manager.blobs.max_upload_bytes = 10
    with pytest.raises(lt.exceptions.ClientError, match="max_upload_bytes"):
        plain.upload(b"x" * 11)


def test_the_asynchronous_client_uploads_too(
    server: lt.ThingServer, running_server: ServerStarter
) -> None:
    url = running_server(server).url

    async def use() -> list[str]:
        async with await lt.AsyncThingClient.from_url(f"{url}/api/plain/") as plain:
            blob = lt.blob.Blob.from_bytes(CONTENT)
            run = await plain.start.digest(blob=blob)
            link = await plain.upload(CONTENT, "image/tiff")
            assert link["media_type"] == "image/tiff"
            return [await plain.digest(blob), await run.result(), await plain.digest(link)]

    assert asyncio.run(use()) == [DIGEST] * 3


class BreakingProxy:
    """Passes connections on to a server, and breaks each after some bytes in one direction."""

    def __init__(self, port: int, up: int, down: int) -> None:
        self._target, self._limits = port, (up, down)
        self.broken = 0
        self._lock = threading.Lock()  # guards the next
        self._half_ended: set[frozenset[socket.socket]] = set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            for source, target, limit in (
                (client, server, self._limits[0]),
                (server, client, self._limits[1]),
            ):
                arguments = (source, target, limit)
                threading.Thread(target=self._pass_on, args=arguments, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, left: int) -> None:
        try:
            while left > 0 and (data := source.recv(min(left, 65536))):
                target.sendall(data)
                left -= len(data)
            self.broken += left <= 0
        except OSError:
            pass
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._ended(source, target)

    def _ended(self, source: socket.socket, target: socket.socket) -> None:
        """Close both once both directions have ended."""
        with self._lock:
            pair = frozenset((source, target))
            if pair in self._half_ended:
                source.close()
                target.close()
            self._half_ended.add(pair)

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def proxied(
    server: lt.ThingServer, running_server: ServerStarter
) -> Iterator[Callable[[int, int], BreakingProxy]]:
    port = running_server(server).port
    made: list[BreakingProxy] = []

    def start(up: int, down: int) -> BreakingProxy:
        made.append(BreakingProxy(port, up, down))
        return made[-1]

    yield start
    for each in made:
        each.close()


@pytest.mark.usefixtures("small_parts")
def test_an_upload_goes_on_when_connections_break(
    proxied: Callable[[int, int], BreakingProxy],
) -> None:
    proxy = proxied(250_000, 10**9)
    with lt.ThingClient.from_url(f"http://127.0.0.1:{proxy.port}/api/plain/") as plain:
        link = plain.upload(CONTENT)
        assert proxy.broken >= 4
        assert plain.digest(link) == DIGEST


@pytest.mark.usefixtures("small_parts")
def test_a_download_goes_on_when_connections_break(
    proxied: Callable[[int, int], BreakingProxy], tmp_path: Path
) -> None:
    proxy = proxied(10**9, 300_000)
    with lt.ThingClient.from_url(f"http://127.0.0.1:{proxy.port}/api/reader/") as reader:
        made = reader.make(size=len(CONTENT))
        made.save(tmp_path / "made.bin")
        assert proxy.broken >= 3
    assert (tmp_path / "made.bin").read_bytes() == CONTENT
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.usefixtures("small_parts")
def test_one_that_never_comes_to_its_end_leaves_nothing(
    proxied: Callable[[int, int], BreakingProxy], tmp_path: Path
) -> None:
    proxy = proxied(10**9, 20_000)
    (tmp_path / "made.bin").write_text("as before")
    with lt.ThingClient.from_url(f"http://127.0.0.1:{proxy.port}/api/reader/") as reader:
        made = reader.make(size=len(CONTENT))
        proxy.close()
        with pytest.raises(lt.exceptions.ClientError, match="not complete"):
            made.save(tmp_path / "made.bin")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["made.bin", "settings"]
    assert (tmp_path / "made.bin").read_text() == "as before"


def test_files_of_a_run_are_saved_and_the_run_is_pinned(
    reader: Any, tmp_path: Path, test_client: TestClient
) -> None:
    run = reader.start.leave()
    run.result(30)
    assert list(run.files) == ["a b/ü.csv"]
    file = run.files["a b/ü.csv"]
    assert (file.size, file.media_type) == (4, "text/csv")
    digest = hashlib.sha256(b"1,2\n").hexdigest()
    assert file.checksum == f"sha256:{digest}"
    file.save(tmp_path / "copy.csv")
    assert (tmp_path / "copy.csv").read_bytes() == file.content == b"1,2\n"
    run.pin()
    address = f"/api/action_invocations/{run.id}"
    assert test_client.get(address).json()["pinned"] is True
    run.unpin()
    assert "pinned" not in test_client.get(address).json()
