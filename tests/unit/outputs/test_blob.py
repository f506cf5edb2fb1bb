"""Binary values: made of bytes or files, written as links, served as their own media type."""

from __future__ import annotations

import gc
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel, TypeAdapter, ValidationError

from labthings_fastapi.outputs.blob import Blob
from labthings_fastapi.outputs.routes import attach
from labthings_fastapi.outputs.store import BlobStore
from labthings_fastapi.schemas.values import ValueSchema


class PNGBlob(Blob):
    """A picture."""

    media_type = "image/png"


class PageBlob(Blob):
    media_type = "text/html"


# --- values -------------------------------------------------------------------------------


def test_it_is_made_of_bytes(tmp_path: Path) -> None:
    blob = PNGBlob.from_bytes(b"abc")
    assert isinstance(blob, PNGBlob)
    assert (blob.content, blob.size, blob.media_type) == (b"abc", 3, "image/png")
    with blob.open() as file:
        assert file.read() == b"abc"
    blob.save(tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"abc"


@pytest.mark.parametrize("content", [bytearray(b"abc"), memoryview(b"abc")])
def test_it_keeps_a_copy(content: bytearray) -> None:
    assert Blob.from_bytes(content).content == b"abc"


@pytest.mark.parametrize("content", [5, "text", None, [1, 2]])
def test_what_is_no_bytes_is_refused(content: Any) -> None:
    with pytest.raises(TypeError):
        Blob.from_bytes(content)


def test_it_is_made_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"abc")
    for blob in (Blob.from_file(tmp_path / "a.bin"), Blob.from_file(str(tmp_path / "a.bin"))):
        assert (blob.content, blob.size) == (b"abc", 3)
        with blob.open() as file:
            assert file.read() == b"abc"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"PNGBlob\.from_file.*nothing\.png"):
        PNGBlob.from_file(tmp_path / "nothing.png")


def test_a_temporary_folder_exists_as_long_as_its_blob() -> None:
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name) / "a.bin"
    path.write_bytes(b"abc")
    blob = Blob.from_temporary_directory(folder, "a.bin")
    del folder
    gc.collect()
    assert blob.content == b"abc"
    assert blob._keep_alive is not None
    blob._keep_alive.cleanup()


def test_it_takes_either_content_or_a_path() -> None:
    for given in ({}, {"content": b"", "path": Path("x")}):
        with pytest.raises(TypeError, match="needs either `content`"):
            Blob(**given)


def test_an_empty_one_is_a_blob_too() -> None:
    assert Blob.from_bytes(b"").size == 0


def test_one_instance_may_have_a_media_type_of_its_own() -> None:
    assert Blob(content=b"", media_type="text/csv").media_type == "text/csv"
    assert Blob.media_type == "application/octet-stream"


# --- as JSON ------------------------------------------------------------------------------


def test_it_is_written_as_a_link_that_finds_it_again() -> None:
    store = BlobStore("/api")
    blob = PNGBlob.from_bytes(b"abc")
    schema = ValueSchema(PNGBlob, where="Camera.snap")
    written = TypeAdapter(Any).validate_json(schema.to_json(blob, {"blobs": store}))
    assert written == {
        "href": f"/api/blob/{blob.id}",
        "media_type": "image/png",
        "rel": "output",
        "size": 3,
        "description": "A picture.",
    }
    assert store.find(blob.id) is blob


def test_without_a_store_it_has_no_href_yet() -> None:
    assert TypeAdapter(Blob).dump_python(Blob.from_bytes(b""))["href"] is None


def test_only_its_own_kind_is_accepted() -> None:
    class Picture(BaseModel):
        image: PNGBlob

    assert Picture(image=PNGBlob.from_bytes(b"")).image.size == 0
    for wrong in (Blob.from_bytes(b""), b"abc", {"href": "/blob/1"}):
        with pytest.raises(ValidationError, match="PNGBlob made on this server"):
            Picture(image=wrong)  # type: ignore[arg-type]


def test_its_schema_has_the_media_type_if_it_is_known() -> None:
    class AnyImage(Blob):
        media_type = "image/*"

    schema = TypeAdapter(PNGBlob).json_schema()
    assert schema["properties"]["media_type"] == {"type": "string", "const": "image/png"}
    schema = TypeAdapter(AnyImage).json_schema()
    assert "const" not in schema["properties"]["media_type"]


# --- where they are found -----------------------------------------------------------------


def test_the_store_keeps_nothing_alive() -> None:
    store = BlobStore()
    blob = Blob.from_bytes(b"abc")
    id = blob.id
    assert store.publish(blob) == f"/blob/{id}"
    assert store.find("other") is None
    del blob
    gc.collect()
    assert store.find(id) is None


@pytest.fixture
def store() -> BlobStore:
    """Give a store."""
    return BlobStore()


@pytest.fixture
def client(store: BlobStore) -> TestClient:
    """Give a client of an app that serves the store."""
    app = FastAPI()
    attach(store, app)
    return TestClient(app)


def test_a_picture_is_shown_and_can_do_no_harm(store: BlobStore, client: TestClient) -> None:
    blob = PNGBlob.from_bytes(b"abc")
    answer = client.get(store.publish(blob))
    assert (answer.status_code, answer.content) == (200, b"abc")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "sandbox"
    assert "content-disposition" not in answer.headers


def test_anything_that_may_be_active_is_a_download(store: BlobStore, client: TestClient) -> None:
    blob = PageBlob.from_bytes(b"<script>")
    answer = client.get(store.publish(blob))
    assert answer.headers["content-disposition"] == "attachment"
    assert answer.headers["content-security-policy"] == "sandbox"


def test_a_file_can_be_downloaded_and_a_deleted_one_is_404(
    store: BlobStore, client: TestClient, tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"abc")
    blob = PNGBlob.from_file(path)
    href = store.publish(blob)
    assert client.get(href).content == b"abc"
    os.remove(path)
    answer = client.get(href)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert "was deleted" in answer.json()["detail"]


def test_an_unknown_blob_is_404(client: TestClient) -> None:
    answer = client.get("/blob/nothing")
    assert answer.status_code == 404
    assert "nothing" in answer.json()["detail"]
