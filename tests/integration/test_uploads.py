"""Uploads of blobs in one request: stored as they arrive, used by actions, and deleted."""

from __future__ import annotations

import contextlib
import gc
import http.client
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

import labthings_fastapi as lt
from conftest import ServerStarter
from labthings_fastapi.outputs.uploads.kept import UNUSED_SECONDS, KeptUploads
from labthings_fastapi.security.credential_file import CredentialFile
from labthings_fastapi.security.credentials import new_token

WAIT = {"Prefer": "wait=30"}
TEXT = {"Content-Type": "text/plain"}


class Text(lt.blob.Blob):
    media_type = "text/plain"


class Reader(lt.Thing):
    """Reads blobs."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.entered, self.go_on = threading.Event(), threading.Event()

    @lt.action
    def length(self, blob: lt.blob.Blob) -> int:
        return len(blob.content)

    @lt.action
    def upper(self, text: Text) -> Text:
        return Text.from_bytes(text.content.upper())

    @lt.action
    def slow(self, blob: lt.blob.Blob) -> int:
        self.entered.set()
        assert self.go_on.wait(30)
        return len(blob.content)


def make_server(folder: Path, **config: Any) -> lt.ThingServer:
    return lt.ThingServer.from_things({"reader": Reader}, settings_folder=folder, **config)


@pytest.fixture
def server(tmp_path: Path) -> lt.ThingServer:
    return make_server(tmp_path)


@pytest.fixture
def client(server: lt.ThingServer) -> Iterator[TestClient]:
    with server.test_client() as client:
        yield client


def uploads_of(server: lt.ThingServer) -> KeptUploads:
    outputs = server.action_manager.journal.outputs
    assert outputs is not None
    return outputs.uploads


def remains(folder: Path) -> list[str]:
    """Return the names of the files of uploads."""
    return sorted(each.name for each in folder.glob("journal.outputs/.uploads/*"))


def wait_until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 30
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def run(client: TestClient, path: str, **input: Any) -> Any:
    answer = client.post(path, json=input, headers=WAIT)
    assert answer.status_code == 201, answer.text
    assert answer.json()["status"] == "completed", answer.json()
    return answer.json()


def test_an_upload_is_answered_with_the_link_that_actions_take(client: TestClient) -> None:
    answer = client.post("/blob", content=b"hello", headers=TEXT)
    assert answer.status_code == 201
    link = answer.json()
    assert answer.headers["location"] == link["href"]
    assert (link["media_type"], link["rel"], link["size"]) == ("text/plain", "output", 5)
    assert client.get(link["href"]).content == b"hello"
    state = run(client, "/reader/upper", text=link)
    assert client.get(state["output"]["href"]).content == b"HELLO"
    assert state["input"]["text"]["href"] == link["href"]


def test_the_name_and_the_media_type_are_those_of_the_client(client: TestClient) -> None:
    name = "attachment; filename*=UTF-8''..%2F%C3%A4.tif"
    headers = {"Content-Type": "image/tiff", "Content-Disposition": name}
    link = client.post("/blob", content=b"II", headers=headers).json()
    answer = client.get(link["href"])
    assert answer.headers["content-type"] == "image/tiff"
    assert answer.headers["content-disposition"].endswith("filename*=UTF-8''%C3%A4.tif")
    assert answer.headers["etag"]
    part = client.get(link["href"], headers={"Range": "bytes=1-"})
    assert (part.status_code, part.content) == (206, b"I")
    # What curl says if it is told nothing.
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert client.post("/blob", content=b"x", headers=form).json()["media_type"] == (
        "application/octet-stream"
    )


def test_an_upload_of_another_type_than_the_parameter_is_refused(client: TestClient) -> None:
    link = client.post("/blob", content=b"x", headers={"Content-Type": "image/png"}).json()
    answer = client.post("/reader/upper", json={"text": link})
    assert answer.status_code == 422
    assert "image/png" in answer.json()["errors"][0]["msg"]


@pytest.mark.parametrize(
    ("headers", "status", "word"),
    [
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415, "--data-binary"),
        ({"Content-Type": "nonsense"}, 400, "nonsense"),
    ],
)
def test_what_is_no_upload_is_refused_with_a_remedy(
    client: TestClient, headers: dict[str, str], status: int, word: str
) -> None:
    answer = client.post("/blob", content=b"x", headers=headers)
    assert answer.status_code == status
    assert word in answer.json()["detail"]


def test_one_that_is_too_large_is_413_and_leaves_nothing(tmp_path: Path) -> None:
    with make_server(tmp_path, max_upload_bytes=1000, max_body_bytes=100).test_client() as client:
        assert client.post("/blob", content=b"x" * 1000).status_code == 201

        def in_chunks() -> Iterator[bytes]:
            yield from [b"x" * 400] * 3

        for content in (b"x" * 1001, in_chunks()):
            answer = client.post("/blob", content=content)
            assert answer.status_code == 413
            assert "max_upload_bytes" in answer.json()["detail"]
        wait_until(lambda: len(remains(tmp_path)) == 2)


def test_without_space_it_is_507_before_anything_is_deleted(tmp_path: Path) -> None:
    with make_server(tmp_path, max_output_bytes=10_000).test_client() as client:
        link = client.post("/blob", content=b"x" * 6000).json()
        answer = client.post("/blob", content=b"x" * 6000)
        assert answer.status_code == 507
        assert "max_output_bytes" in answer.json()["detail"]
        assert client.get(link["href"]).status_code == 200
        # A run that ended can be deleted for an upload, unless it is pinned.
        used = run(client, "/reader/length", blob=link)
        assert client.post("/blob", content=b"x" * 6000).status_code == 201
        record = f"/journal/{used['id']}"
        wait_until(lambda: client.get(record).json()["outputsDropped"])


def test_one_in_chunks_is_507_when_the_space_ends(tmp_path: Path) -> None:
    most = 100 * 1024 * 1024
    with make_server(tmp_path, max_output_bytes=most).test_client() as client:

        def in_chunks() -> Iterator[bytes]:
            yield from [b"x" * 1024 * 1024] * 150

        assert client.post("/blob", content=in_chunks()).status_code == 507
        wait_until(lambda: remains(tmp_path) == [])


def test_an_hour_later_only_what_a_run_used_is_there(
    server: lt.ThingServer, client: TestClient, tmp_path: Path
) -> None:
    unused, used = (client.post("/blob", content=b"x" * 5).json() for _ in range(2))
    run(client, "/reader/length", blob=used)
    uploads, manager = uploads_of(server), server.action_manager
    manager._clock = lambda: time.monotonic() + 1000
    manager.expire_invocations()
    uploads._clock = lambda: time.time() + UNUSED_SECONDS + 1
    assert client.get(unused["href"]).status_code == 404
    answer = client.post("/reader/length", json={"blob": unused})
    assert answer.status_code == 422
    assert client.get(used["href"]).content == b"x" * 5
    uploads._clock = lambda: time.time() + UNUSED_SECONDS + 1000

    def expire() -> bool:
        gc.collect()  # the thread of the run may have the blob a little longer
        uploads.expire()
        return remains(tmp_path) == []

    wait_until(expire)
    assert client.get(used["href"]).content == b"x" * 5
    assert run(client, "/reader/length", blob=used)["output"] == 5


def test_a_run_can_read_its_input_however_long_it_takes(
    server: lt.ThingServer, client: TestClient
) -> None:
    thing: Any = server.things["reader"]
    link = client.post("/blob", content=b"x" * 5).json()
    id = client.post("/reader/slow", json={"blob": link}).json()["id"]
    assert thing.entered.wait(30)
    uploads = uploads_of(server)
    uploads._clock = lambda: time.time() + 10 * UNUSED_SECONDS
    uploads.expire()
    thing.go_on.set()
    state = client.get(f"/action_invocations/{id}", headers=WAIT).json()
    assert (state["status"], state["output"]) == ("completed", 5)


def test_uploads_and_what_runs_used_survive_a_restart(tmp_path: Path) -> None:
    with make_server(tmp_path).test_client() as client:
        link = client.post("/blob", content=b"hello", headers=TEXT).json()
    with make_server(tmp_path).test_client() as client:
        assert client.get(link["href"]).content == b"hello"
        state = run(client, "/reader/upper", text=link)
        assert client.get(state["output"]["href"]).content == b"HELLO"


def test_a_run_that_uses_an_upload_costs_no_second_copy(
    server: lt.ThingServer, client: TestClient
) -> None:
    link = client.post("/blob", content=b"x" * 5000).json()
    run(client, "/reader/length", blob=link)
    outputs = server.action_manager.journal.outputs
    assert outputs is not None
    assert 5000 <= outputs.usage.total < 6000


def test_viewers_may_not_upload(tmp_path: Path) -> None:
    credentials = CredentialFile(tmp_path / "credentials.json")
    tokens = {}
    for name in ("viewer", "operator"):
        credential, tokens[name] = new_token(name, name)
        credentials.add(credential)
    with make_server(tmp_path).test_client() as client:
        found = {
            name: client.post(
                "/blob", content=b"x", headers={"Authorization": f"Bearer {token}"}
            ).status_code
            for name, token in tokens.items()
        }
        assert found == {"viewer": 403, "operator": 201}
        assert client.post("/blob", content=b"x").status_code == 401


def test_one_that_ends_too_early_leaves_nothing(
    tmp_path: Path, running_server: ServerStarter, capfd: pytest.CaptureFixture[str]
) -> None:
    port = running_server(make_server(tmp_path)).port
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), timeout=30)) as half:
        head = b"POST /blob HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n"
        half.sendall(head + b"x" * 600_000)
        wait_until(lambda: any(name.endswith(".part") for name in remains(tmp_path)))
    wait_until(lambda: remains(tmp_path) == [])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/blob", b"x" * 1_000_000)
    assert connection.getresponse().status == 201
    connection.close()
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="Windows has no modes of this kind.")
def test_only_the_user_of_the_server_can_read_them(client: TestClient, tmp_path: Path) -> None:
    client.post("/blob", content=b"x")
    for path in tmp_path.glob("journal.outputs/.uploads/*"):
        assert path.stat().st_mode & 0o777 == 0o600
