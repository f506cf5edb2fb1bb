"""Files of runs: listed and read while they are written, in folders too, and all as one zip."""

from __future__ import annotations

import hashlib
import io
import os
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

import labthings_fastapi as lt

WAIT = {"Prefer": "wait=30"}


class Scanner(lt.Thing):
    """Leaves files."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.written, self.go_on = threading.Event(), threading.Event()

    @lt.action
    def scan(self) -> str:
        folder = lt.output_folder()
        (folder / "scan.zarr" / "0").mkdir(parents=True)
        (folder / "scan.zarr" / "0" / "1.0").write_bytes(b"chunk")
        (folder / "größe 100%.csv").write_text("1,2\n", "utf-8")
        (folder / "table.csv").write_bytes(b"0123456789")
        return str(folder)

    @lt.action
    def grow(self) -> None:
        with (lt.output_folder() / "raw.bin").open("wb", buffering=0) as file:
            file.write(b"first")
            self.written.set()
            assert self.go_on.wait(30)
            file.write(b" second")

    @lt.action
    def nothing(self) -> None:
        """Leave no files."""

    @lt.action
    def tricks(self, outside: str) -> None:
        folder = lt.output_folder()
        (folder / "own").write_bytes(b"own")
        (folder / "inside").symlink_to(folder / "own")
        (folder / "link").symlink_to(outside)
        (folder / "folder").symlink_to(Path(outside).parent, target_is_directory=True)
        (folder / "circle").symlink_to(folder / "circle")
        os.mkfifo(folder / "pipe")


@pytest.fixture
def server(tmp_path: Path) -> lt.ThingServer:
    return lt.ThingServer.from_things({"scanner": Scanner}, settings_folder=tmp_path / "settings")


@pytest.fixture
def client(server: lt.ThingServer) -> Iterator[TestClient]:
    with server.test_client() as client:
        yield client


def run(client: TestClient, action: str, **input: Any) -> Any:
    state = client.post(f"/scanner/{action}", json=input, headers=WAIT).json()
    assert state["status"] == "completed", state
    return state


def files_of(client: TestClient, id: str) -> dict[str, Any]:
    answer = client.get(f"/action_invocations/{id}/files")
    assert answer.status_code == 200
    return {each["name"]: each for each in answer.json()}


def test_a_list_says_all_of_each_file(client: TestClient) -> None:
    state = run(client, "scan")
    files = files_of(client, state["id"])
    assert list(files) == ["größe 100%.csv", "scan.zarr/0/1.0", "table.csv"]
    table = files["table.csv"]
    assert (table["size"], table["media_type"]) == (10, "text/csv")
    assert table["checksum"] == f"sha256:{hashlib.sha256(b'0123456789').hexdigest()}"
    for each in files.values():
        answer = client.get(each["href"])
        assert answer.status_code == 200
        assert len(answer.content) == each["size"]
        assert answer.headers["content-type"] == each["media_type"]
    assert {"rel": "files", "href": f"/action_invocations/{state['id']}/files"}.items() <= {
        key: value.removeprefix("http://testserver")
        for link in state["links"]
        if link["rel"] == "files"
        for key, value in link.items()
    }.items()


def test_a_file_has_ranges_and_an_etag(client: TestClient) -> None:
    url = files_of(client, run(client, "scan")["id"])["table.csv"]["href"]
    answer = client.get(url)
    etag = answer.headers["etag"]
    assert answer.headers["content-disposition"] == 'attachment; filename="table.csv"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    part = client.get(url, headers={"Range": "bytes=3-5", "If-Range": etag})
    assert (part.status_code, part.content) == (206, b"345")
    assert part.headers["content-range"] == "bytes 3-5/10"
    assert client.get(url, headers={"If-None-Match": etag}).status_code == 304
    head = client.head(url)
    assert (head.content, head.headers["content-length"]) == (b"", "10")


def test_all_files_are_one_zip(client: TestClient) -> None:
    id = run(client, "scan")["id"]
    answer = client.get(f"/action_invocations/{id}/files.zip")
    assert answer.headers["content-type"] == "application/zip"
    name = f'attachment; filename="scanner-scan-{id[:8]}.zip"'
    assert answer.headers["content-disposition"] == name
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert {each.compress_type for each in archive.infolist()} == {zipfile.ZIP_STORED}
        found = {name: archive.read(name) for name in archive.namelist()}
    assert found == {
        "größe 100%.csv": b"1,2\n",
        "scan.zarr/0/1.0": b"chunk",
        "table.csv": b"0123456789",
    }
    part = client.get(f"/action_invocations/{id}/files.zip", headers={"Range": "bytes=0-1"})
    assert part.status_code == 200  # a zip that is made while it is sent has no parts


def test_a_file_can_be_read_while_it_is_written(server: lt.ThingServer, client: TestClient) -> None:
    thing: Any = server.things["scanner"]
    id = client.post("/scanner/grow").json()["id"]
    assert thing.written.wait(30)
    file = files_of(client, id)["raw.bin"]
    assert (file["size"], file["checksum"]) == (5, None)
    assert client.get(file["href"]).content == b"first"
    zipped = client.get(f"/action_invocations/{id}/files.zip").content
    with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
        assert archive.read("raw.bin") == b"first"
    thing.go_on.set()
    client.get(f"/action_invocations/{id}", headers=WAIT)
    file = files_of(client, id)["raw.bin"]
    assert file["size"] == 12
    assert file["checksum"] == f"sha256:{hashlib.sha256(b'first second').hexdigest()}"
    assert client.get(file["href"], headers={"Range": "bytes=5-"}).content == b" second"


@pytest.mark.skipif(os.name != "posix", reason="Windows has no pipes in folders.")
def test_names_and_links_that_lead_out_are_404(client: TestClient, tmp_path: Path) -> None:
    secret = tmp_path / "secrets" / "secret"
    secret.parent.mkdir()
    secret.write_text("secret")
    id = run(client, "tricks", outside=str(secret))["id"]
    assert list(files_of(client, id)) == ["inside", "own"]
    up = "../" * 8
    for name in (
        "..",
        "../output",
        f"{up}{secret}",
        str(secret),
        f"/{secret}",
        "own/../own",
        "./own",
        "own/",
        "folder//secret",
        "folder/secret",
        "link",
        "circle",
        "pipe",
        "own\0",
        "..\\output",
        "",
    ):
        # Clients resolve points in a path, unless they are written in another way.
        written = quote(name, safe="").replace(".", "%2E")
        answer = client.get(f"/action_invocations/{id}/files/{written}")
        assert answer.status_code == 404, name
    with zipfile.ZipFile(
        io.BytesIO(client.get(f"/action_invocations/{id}/files.zip").content)
    ) as archive:
        assert archive.namelist() == ["inside", "own"]


def test_outside_a_run_there_is_no_folder() -> None:
    with pytest.raises(lt.exceptions.NoInvocationContextError):
        lt.output_folder()


def test_a_run_without_files_has_an_empty_list_and_zip(client: TestClient) -> None:
    id = run(client, "nothing")["id"]
    assert files_of(client, id) == {}
    zipped = client.get(f"/action_invocations/{id}/files.zip").content
    with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
        assert archive.namelist() == []
    other = "00000000-0000-0000-0000-000000000000"
    for path in ("files", "files.zip", "files/x"):
        assert client.get(f"/action_invocations/{other}/{path}").status_code == 404
