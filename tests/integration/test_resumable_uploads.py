"""Resumable uploads by the protocol tus 1.0: core, creation and expiration."""

from __future__ import annotations

import base64
import http.client
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

import labthings_fastapi as lt
from conftest import ServerStarter
from labthings_fastapi.outputs.uploads.kept import UNFINISHED_SECONDS, UNUSED_SECONDS
from servers import LABTHINGS_SERVER, ServerProcess

WAIT = {"Prefer": "wait=30"}
TUS = {"Tus-Resumable": "1.0.0"}
PATCH = {**TUS, "Content-Type": "application/offset+octet-stream"}


class Reader(lt.Thing):
    """Reads blobs."""

    @lt.action
    def length(self, blob: lt.blob.Blob) -> int:
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


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def begin(client: TestClient, length: int, **metadata: str) -> Any:
    headers = {**TUS, "Upload-Length": str(length)}
    if metadata:
        headers["Upload-Metadata"] = ",".join(f"{k} {encoded(v)}" for k, v in metadata.items())
    answer = client.post("/blob", headers=headers)
    assert answer.status_code == 201, answer.text
    return answer


def patch(client: TestClient, url: str, offset: int, content: bytes) -> Any:
    return client.patch(url, content=content, headers={**PATCH, "Upload-Offset": str(offset)})


def wait_until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 30
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def test_an_upload_in_two_parts_is_an_input_once_it_is_complete(client: TestClient) -> None:
    begun = begin(client, 10, filename="ä.txt", filetype="text/plain")
    link, url = begun.json(), begun.headers["location"]
    assert link["href"] == url
    assert (link["media_type"], link["size"]) == ("text/plain", 10)
    assert begun.headers["tus-resumable"] == "1.0.0"
    first = patch(client, url, 0, b"hello ")
    assert (first.status_code, first.headers["upload-offset"]) == (204, "6")
    assert first.headers["upload-expires"].endswith("GMT")

    refused = client.post("/reader/length", json={"blob": link})
    assert refused.status_code == 422
    assert "6 of 10 bytes" in refused.json()["errors"][0]["msg"]
    incomplete = client.get(url)
    assert incomplete.status_code == 409
    assert "6 of 10 bytes" in incomplete.json()["detail"]

    head = client.head(url, headers=TUS)
    assert (head.status_code, head.content) == (200, b"")
    assert (head.headers["upload-offset"], head.headers["upload-length"]) == ("6", "10")
    assert head.headers["cache-control"] == "no-store"
    assert client.head(url).headers["upload-offset"] == "6"

    assert patch(client, url, 6, b"you!").headers["upload-offset"] == "10"
    answer = client.get(url)
    assert (answer.content, answer.headers["content-type"]) == (b"hello you!", "text/plain")
    assert "%C3%A4.txt" in answer.headers["content-disposition"]
    assert client.head(url).headers["content-length"] == "10"
    assert client.head(url, headers=TUS).headers["upload-offset"] == "10"
    state = client.post("/reader/length", json={"blob": link}, headers=WAIT).json()
    assert state["output"] == 10


@pytest.mark.parametrize("offset", [0, 3, 9, 100])
def test_a_wrong_offset_is_409_and_tells_the_right_one(client: TestClient, offset: int) -> None:
    url = begin(client, 10).headers["location"]
    patch(client, url, 0, b"four")
    answer = patch(client, url, offset, b"x")
    assert (answer.status_code, answer.headers["upload-offset"]) == (409, "4")
    assert answer.headers["tus-resumable"] == "1.0.0"
    assert client.head(url, headers=TUS).headers["upload-offset"] == "4"


def test_more_than_was_announced_is_413(client: TestClient) -> None:
    url = begin(client, 5).headers["location"]
    assert patch(client, url, 0, b"123456").status_code == 413
    answer = client.patch(
        url, content=iter([b"123", b"456"]), headers={**PATCH, "Upload-Offset": "0"}
    )
    assert answer.status_code == 413
    assert patch(client, url, 0, b"12345").status_code == 204


def test_an_empty_upload_is_complete_at_once(client: TestClient) -> None:
    begun = begin(client, 0)
    answer = client.get(begun.headers["location"])
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Upload-Length": "x"}, 400),
        ({"Upload-Length": "-1"}, 400),
        ({"Upload-Defer-Length": "1"}, 400),
        ({"Upload-Length": "5", "Upload-Metadata": "filename !!"}, 400),
        ({"Upload-Length": "5", "Upload-Metadata": f"filetype {encoded('nonsense')}"}, 400),
        ({"Upload-Length": "5", "Tus-Resumable": "0.2.2"}, 412),
        ({"Upload-Length": "5000"}, 413),
    ],
)
def test_what_cannot_begin(tmp_path: Path, headers: dict[str, str], status: int) -> None:
    with make_server(tmp_path, max_upload_bytes=1000).test_client() as client:
        answer = client.post("/blob", headers={**TUS, **headers})
        assert answer.status_code == status, answer.text
        assert answer.headers["tus-resumable"] == "1.0.0"
        if status == 412:
            assert answer.headers["tus-version"] == "1.0.0"


def test_the_beginning_has_no_body(client: TestClient) -> None:
    headers = {**TUS, "Upload-Length": "5"}
    answer = client.post("/blob", headers=headers, content=b"12345")
    assert answer.status_code == 400
    assert "PATCH" in answer.json()["detail"]


def test_what_cannot_go_on(client: TestClient) -> None:
    url = begin(client, 5).headers["location"]
    plain = {**TUS, "Upload-Offset": "0", "Content-Type": "text/plain"}
    assert client.patch(url, content=b"x", headers=plain).status_code == 415
    assert client.patch(url, content=b"x", headers=PATCH).status_code == 400
    nowhere = url.rpartition("/")[0] + "/00000000-0000-0000-0000-000000000000"
    assert patch(client, nowhere, 0, b"x").status_code == 404
    assert client.head(nowhere, headers=TUS).status_code == 404


def test_a_client_learns_what_there_is(tmp_path: Path) -> None:
    with make_server(tmp_path, max_upload_bytes=1000).test_client() as client:
        headers = client.options("/blob").headers
        assert headers["tus-version"] == "1.0.0"
        assert headers["tus-extension"] == "creation,expiration"
        assert headers["tus-max-size"] == "1000"


def test_the_space_that_was_promised_is_not_given_to_others(tmp_path: Path) -> None:
    with make_server(tmp_path, max_output_bytes=10_000).test_client() as client:
        url = begin(client, 9000).headers["location"]
        assert client.post("/blob", content=b"x" * 2000).status_code == 507
        answer = client.post("/blob", headers={**TUS, "Upload-Length": "2000"})
        assert answer.status_code == 507
        assert patch(client, url, 0, b"x" * 9000).status_code == 204


def test_one_that_waits_too_long_for_the_rest_is_deleted(
    server: lt.ThingServer, client: TestClient, tmp_path: Path
) -> None:
    url = begin(client, 5).headers["location"]
    patch(client, url, 0, b"x")
    outputs = server.action_manager.journal.outputs
    assert outputs is not None
    outputs.uploads._clock = lambda: time.time() + UNUSED_SECONDS + 1
    assert client.head(url, headers=TUS).status_code == 200
    outputs.uploads._clock = lambda: time.time() + UNFINISHED_SECONDS + 1000
    assert client.head(url, headers=TUS).status_code == 404
    outputs.uploads.expire()
    assert list(tmp_path.glob("journal.outputs/.uploads/*")) == []
    assert outputs.usage.total == 0


def half_a_patch(port: int, url: str, offset: int, body: bytes, length: int) -> socket.socket:
    """Send the beginning of a body."""
    path = "/blob/" + url.rpartition("/")[2]
    head = [
        f"PATCH {path} HTTP/1.1",
        "Host: 127.0.0.1",
        *(f"{name}: {value}" for name, value in PATCH.items()),
        f"Upload-Offset: {offset}",
        f"Content-Length: {length}",
    ]
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.sendall("\r\n".join([*head, "", ""]).encode() + body)
    return connection


def offset_of(port: int, url: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("HEAD", "/blob/" + url.rpartition("/")[2], headers=TUS)
    answer = connection.getresponse()
    assert answer.status == 200
    connection.close()
    return int(answer.headers["Upload-Offset"])


def begin_at(port: int, length: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/blob", headers={**TUS, "Upload-Length": str(length)})
    answer = connection.getresponse()
    assert answer.status == 201
    connection.close()
    return answer.headers["Location"] or ""


def patch_at(port: int, url: str, offset: int, body: bytes) -> tuple[int, str | None]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {**PATCH, "Upload-Offset": str(offset)}
    connection.request("PATCH", "/blob/" + url.rpartition("/")[2], body, headers)
    answer = connection.getresponse()
    connection.close()
    return answer.status, answer.headers["Upload-Offset"]


def test_what_came_before_the_connection_broke_is_kept(
    tmp_path: Path, running_server: ServerStarter
) -> None:
    port = running_server(make_server(tmp_path)).port
    content = bytes(range(256)) * 4000
    url = begin_at(port, len(content))
    with half_a_patch(port, url, 0, content[:700_001], len(content)):
        wait_until(lambda: offset_of(port, url) > 0)
    wait_until(lambda: offset_of(port, url) == 700_001)
    assert patch_at(port, url, 700_001, content[700_001:]) == (204, str(len(content)))
    assert content_at(port, url) == content


def test_the_newest_request_has_the_upload(tmp_path: Path, running_server: ServerStarter) -> None:
    # A connection that the Wi-Fi has lost stays open for the server.
    port = running_server(make_server(tmp_path)).port
    url = begin_at(port, 1_000_000)
    with half_a_patch(port, url, 0, b"a" * 600_000, 1_000_000) as lost:
        wait_until(lambda: offset_of(port, url) > 0)
        status, offset = patch_at(port, url, 1, b"b")  # it cannot know how much came
        assert status == 409
        assert patch_at(port, url, int(offset or 0), b"b" * 10)[0] == 204
        assert lost.recv(100).split()[1] == b"409"
    assert offset_of(port, url) == int(offset or 0) + 10


def content_at(port: int, url: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/blob/" + url.rpartition("/")[2])
    found = connection.getresponse().read()
    connection.close()
    return found


def kill_in_two_uploads(server: ServerProcess, folder: Path, content: bytes) -> str:
    """Kill it while two uploads come in; return the URL of the resumable one."""
    head = b"POST /blob HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n"
    try:
        url = begin_at(server.port, len(content))
        with (
            half_a_patch(server.port, url, 0, content[:600_000], len(content)),
            socket.create_connection(("127.0.0.1", server.port), timeout=30) as plain,
        ):
            plain.sendall(head + b"x" * 600_000)
            wait_until(lambda: any(each.stat().st_size for each in folder.glob("*.part")))
            wait_until(lambda: offset_of(server.port, url) > 0)
            server.process.kill()
            server.process.wait(30)
    finally:
        server.kill()
    assert len(list(folder.iterdir())) == 3
    return url


@pytest.mark.timeout(180)  # it starts two processes
def test_after_a_kill_a_resumable_one_goes_on_and_nothing_else_is_left(tmp_path: Path) -> None:
    lab = "import labthings_fastapi as lt\n\n\nclass Reader(lt.Thing):\n    pass\n"
    (tmp_path / "upload_lab.py").write_text(lab, "utf-8")
    config = '{"things": {"reader": "upload_lab:Reader"}, "settings_folder": "settings"}'
    command = [LABTHINGS_SERVER, "-j", config, "--port", "0"]
    folder = tmp_path / "settings" / "journal.outputs" / ".uploads"
    content = bytes(range(256)) * 4000
    url = kill_in_two_uploads(ServerProcess(command, tmp_path), folder, content)
    server = ServerProcess(command, tmp_path)
    try:
        offset = offset_of(server.port, url)
        assert 0 < offset <= 600_000
        assert patch_at(server.port, url, offset, content[offset:])[0] == 204
        assert content_at(server.port, url) == content
        wait_until(lambda: not list(folder.glob("*.part")))
        assert len(list(folder.iterdir())) == 2
    finally:
        server.kill()
