"""Binary values: made of bytes or files, written as links, served as their own media type."""

from __future__ import annotations

import gc
import os
import tempfile
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

import labthings_fastapi as lt
from labthings_fastapi.exceptions import MediaTypeMismatchError, NoUrlForContextError
from labthings_fastapi.outputs.blob import (
    Blob,
    BlobBytes,
    BlobData,
    BlobFile,
    LocalBlobData,
    RemoteBlobData,
    blob_type,
    match_media_types,
    parse_media_type,
)
from labthings_fastapi.outputs.routes import attach
from labthings_fastapi.outputs.store import BlobStore
from labthings_fastapi.schemas.values import ValueSchema
from labthings_fastapi.testing import use_dummy_url_for


class PNGBlob(Blob):
    """A picture."""

    media_type = "image/png"


class AnyImage(Blob):
    media_type = "image/*"


class PageBlob(Blob):
    media_type = "text/html"


def id_of(blob: Blob) -> UUID:
    assert isinstance(blob.data, LocalBlobData)
    return blob.data.id


# --- values -------------------------------------------------------------------------------


def test_it_is_made_of_bytes(tmp_path: Path) -> None:
    blob = PNGBlob.from_bytes(b"abc")
    assert isinstance(blob, PNGBlob)
    assert (blob.content, blob.size, blob.media_type) == (b"abc", 3, "image/png")
    assert isinstance(blob.data, BlobBytes)
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
        assert isinstance(blob.data, BlobFile)
        with blob.open() as file:
            assert file.read() == b"abc"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"PNGBlob\.from_file.*nothing\.png"):
        PNGBlob.from_file(tmp_path / "nothing.png")
    with pytest.raises(FileNotFoundError, match=r"nothing\.png"):
        BlobFile(tmp_path / "nothing.png", "image/png")


def test_a_temporary_folder_exists_as_long_as_its_blob() -> None:
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name) / "a.bin"
    path.write_bytes(b"abc")
    blob = Blob.from_temporary_directory(folder, "a.bin")
    del folder
    gc.collect()
    assert blob.content == b"abc"
    data: Any = blob.data
    data._temporary_directory.cleanup()


def test_file_data_keep_what_they_are_given(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"abc")
    data: Any = BlobFile(tmp_path / "a.bin", "image/png", _folder=tmp_path, more=3)
    assert (data._folder, data.more, data.content) == (tmp_path, 3, b"abc")


def test_an_empty_one_is_a_blob_too() -> None:
    assert Blob.from_bytes(b"").size == 0


def test_one_is_made_of_data_and_a_description() -> None:
    blob = PNGBlob(BlobBytes(b"abc", "image/png"), "The sample")
    assert (blob.description, blob.content) == ("The sample", b"abc")


def test_data_may_make_their_bytes_on_demand() -> None:
    class Encoded(BlobBytes):
        def __init__(self, number: int) -> None:
            super().__init__(b"", "image/png")
            self._number = number

        @property
        def _bytes(self) -> bytes:  # type: ignore[override]
            return str(self._number).encode()

    class Bare(BlobBytes):
        def __init__(self) -> None:
            self._media_type = "image/png"

        @property
        def _bytes(self) -> bytes:  # type: ignore[override]
            return b"bare"

    assert PNGBlob(Encoded(42)).content == b"42"
    bare = Bare()
    assert (bare.size, LocalBlobData.from_id(bare.id)) == (4, bare)


def test_data_that_are_nowhere_say_so() -> None:
    data = BlobData("image/png")
    assert data.media_type == "image/png"
    for use in (lambda: data.content, data.open, data.get_href, data.response):
        with pytest.raises(NotImplementedError):
            use()


def test_nothing_holds_data_but_their_users() -> None:
    blob = Blob.from_bytes(b"abc")
    id = id_of(blob)
    assert LocalBlobData.from_id(id) is blob.data
    assert LocalBlobData.from_id(str(id)) is blob.data
    assert id in LocalBlobData.all_ids()
    gc.disable()
    try:
        del blob  # without a cycle, so this alone frees it
        assert id not in LocalBlobData.all_ids()
    finally:
        gc.enable()
    for unknown in (id, "no id"):
        with pytest.raises(KeyError, match="wasn't found"):
            LocalBlobData.from_id(unknown)


# --- media types --------------------------------------------------------------------------


def test_a_media_type_is_read_without_its_parameters() -> None:
    assert parse_media_type("text/plain; charset=utf-8") == ("text", "plain")
    assert parse_media_type("Image/PNG") == ("image", "png")


@pytest.mark.parametrize("wrong", ["", "text", "text/", "text/*", "*/*", "a/b/c", "text plain"])
def test_what_is_no_media_type_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="media type"):
        parse_media_type(wrong)
    with pytest.raises(ValueError, match="media type"):
        match_media_types(wrong, "*/*")


def test_only_the_pattern_may_have_wildcards() -> None:
    assert match_media_types("image/png", "image/*")
    assert match_media_types("image/png", "*/*")
    assert match_media_types("text/plain; charset=utf-8", "text/plain")
    assert not match_media_types("image/png", "text/*")
    with pytest.raises(ValueError, match="pattern"):
        match_media_types("image/png", "image")


def test_the_more_exact_media_type_counts(tmp_path: Path) -> None:
    assert Blob.media_type == "*/*"
    assert Blob.from_bytes(b"").media_type == "*/*"
    assert Blob.from_bytes(b"", "text/csv").media_type == "text/csv"
    assert AnyImage.from_bytes(b"").media_type == "image/*"
    assert AnyImage.from_bytes(b"", "image/gif").media_type == "image/gif"
    assert PNGBlob(BlobBytes(b"")).media_type == "image/png"


def test_another_media_type_is_refused_before_the_file_is_looked_at(tmp_path: Path) -> None:
    folder = tempfile.TemporaryDirectory(dir=tmp_path)
    for make in (
        lambda: AnyImage.from_bytes(b"", "text/plain"),
        lambda: AnyImage.from_file(tmp_path / "nothing", "text/plain"),
        lambda: AnyImage.from_temporary_directory(folder, "nothing", "text/plain"),
        lambda: AnyImage.from_url("http://elsewhere/x", media_type="text/plain"),
        lambda: AnyImage(BlobBytes(b"", "text/plain")),
    ):
        with pytest.raises(MediaTypeMismatchError, match=r"text/plain.*image/\*"):
            make()
    with pytest.raises(ValueError, match="media type"):
        AnyImage.from_file(tmp_path / "nothing", "nonsense")
    folder.cleanup()


def test_one_instance_may_be_given_another_media_type() -> None:
    blob = Blob.from_bytes(b"")
    blob.media_type = "image/jpeg"
    with use_dummy_url_for():
        assert blob.to_blobmodel().media_type == "image/jpeg"
    assert blob.data.media_type == "image/jpeg"


def test_an_unknown_class_attribute_does_no_harm() -> None:
    class Old(Blob):
        media_type = "text/plain"
        content_type = "text/plain"

    assert Old.from_bytes(b"x").content == b"x"


def test_a_class_can_be_made_for_a_media_type() -> None:
    made = blob_type("text/plain")
    assert issubclass(made, Blob)
    assert made.from_bytes(b"").media_type == "text/plain"
    for wrong in ("text/'plain", 'text/"plain', "text\\plain"):
        with pytest.raises(ValueError, match="quotation"):
            blob_type(wrong)


# --- as JSON ------------------------------------------------------------------------------


def test_it_is_written_as_a_link_that_finds_it_again() -> None:
    store = BlobStore("/api")
    blob = PNGBlob.from_bytes(b"abc")
    schema = ValueSchema(PNGBlob, where="Camera.snap")
    written = TypeAdapter(Any).validate_json(schema.to_json(blob, {"blobs": store}))
    description = written.pop("description")
    assert "href" in description
    assert written == {
        "href": f"/api/blob/{id_of(blob)}",
        "media_type": "image/png",
        "rel": "output",
        "size": 3,
    }
    assert schema.validate(written).data is blob.data


def test_its_own_description_goes_with_it() -> None:
    class Described(PNGBlob):
        description = "What the camera sees"

    with use_dummy_url_for():
        assert Described.from_bytes(b"").to_blobmodel().description == "What the camera sees"
    schema = TypeAdapter(Described).json_schema()
    assert schema["properties"]["description"]["default"] == "What the camera sees"


def test_without_a_request_its_url_is_not_known() -> None:
    blob = Blob.from_bytes(b"")
    for dump in (TypeAdapter(Blob).dump_json, TypeAdapter(Blob).dump_python):
        with pytest.raises(PydanticSerializationError, match="known only while a request"):
            dump(blob)  # type: ignore[operator]
    for use in (blob.to_blobmodel, blob.data.get_href):
        with pytest.raises(NoUrlForContextError, match="use_dummy_url_for"):
            use()


def test_tests_have_urls_without_a_server() -> None:
    blob = PNGBlob.from_bytes(b"")
    expected = f"urlfor://download_blob/?blob_id={id_of(blob)}"
    with use_dummy_url_for():
        assert TypeAdapter(PNGBlob).dump_python(blob)["href"] == expected
        assert blob.data.get_href() == expected
    with pytest.raises(NoUrlForContextError):
        blob.data.get_href()


def test_a_blob_of_another_server_is_its_url(tmp_path: Path) -> None:
    app = FastAPI()
    store = BlobStore()
    attach(store, app)
    here = PNGBlob.from_bytes(b"abc")
    client = TestClient(app)
    blob = PNGBlob.from_url(store.publish(here.data), client)  # type: ignore[arg-type]
    assert isinstance(blob.data, RemoteBlobData)
    assert (blob.content, blob.open().read(), blob.size) == (b"abc", b"abc", None)
    blob.save(tmp_path / "copy.png")
    assert (tmp_path / "copy.png").read_bytes() == b"abc"
    assert TypeAdapter(PNGBlob).dump_python(blob)["href"] == f"/blob/{id_of(here)}"
    with pytest.raises(NotImplementedError):
        blob.response()


def test_a_blob_of_a_matching_media_type_is_accepted_uncopied() -> None:
    class Picture(BaseModel):
        images: list[AnyImage]

    class Other(Blob):
        media_type = "image/png"

    png, other = PNGBlob.from_bytes(b"1"), Other.from_bytes(b"2")
    images = Picture(images=[png, other]).images  # type: ignore[list-item]
    assert [each.data for each in images] == [png.data, other.data]


def test_other_values_are_refused() -> None:
    adapter = TypeAdapter(PNGBlob)
    page = PageBlob.from_bytes(b"")
    for wrong, reason in (
        (page, "text/html"),
        (b"abc", "a blob or the link to one"),
        ({"href": "/blob/1"}, "media_type"),
        ({"href": "/blob/1", "media_type": "image/png"}, "must contain a Blob ID"),
        ({"href": f"/blob/{uuid4()}", "media_type": "image/png"}, "wasn't found on this server"),
        ({"href": f"http://any/blob/{id_of(page)}", "media_type": "text/html"}, "text/html"),
    ):
        with pytest.raises(ValidationError, match=reason):
            adapter.validate_python(wrong)


def test_of_a_url_only_the_id_counts() -> None:
    blob = PNGBlob.from_bytes(b"abc")
    for start in ("", "/blob/", "http://elsewhere:81/old/blob/"):
        link = {"href": f"{start}{id_of(blob)}", "media_type": "image/png"}
        assert TypeAdapter(PNGBlob).validate_python(link).data is blob.data


def test_its_schema_has_the_media_type_if_it_is_known() -> None:
    schema = TypeAdapter(PNGBlob).json_schema()
    assert schema["title"] == "PNGBlob"
    assert schema["type"] == "object"
    assert schema["required"] == ["href", "media_type"]
    # A list, as clients of 0.3 know it; the Thing Description has the value.
    wanted = {"type": "string", "default": "image/png", "const": ["image/png"]}
    assert schema["properties"]["media_type"] == wanted
    described = ValueSchema(PNGBlob, where="here").data_schema()
    assert described["properties"]["media_type"]["const"] == "image/png"
    schema = TypeAdapter(AnyImage).json_schema()
    assert schema["properties"]["media_type"] == {"type": "string", "default": "image/*"}


# --- where they are found -----------------------------------------------------------------


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


def publish(store: BlobStore, blob: Blob) -> str:
    assert isinstance(blob.data, LocalBlobData)
    return store.publish(blob.data)


def test_a_picture_is_shown_and_can_do_no_harm(store: BlobStore, client: TestClient) -> None:
    blob = PNGBlob.from_bytes(b"abc")
    answer = client.get(publish(store, blob))
    assert (answer.status_code, answer.content) == (200, b"abc")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "sandbox"
    name = f"blob-{str(id_of(blob))[:8]}.png"
    assert answer.headers["content-disposition"] == f'inline; filename="{name}"'


def test_anything_that_may_be_active_is_a_download(store: BlobStore, client: TestClient) -> None:
    blob = PageBlob.from_bytes(b"<script>")
    answer = client.get(publish(store, blob))
    assert answer.headers["content-disposition"].startswith("attachment; filename=")
    assert answer.headers["content-security-policy"] == "sandbox"


def test_a_file_can_be_downloaded_and_a_deleted_one_is_404(
    store: BlobStore, client: TestClient, tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"abc")
    blob = PNGBlob.from_file(path)
    href = publish(store, blob)
    assert client.get(href).content == b"abc"
    os.remove(path)
    answer = client.get(href)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"].startswith("Blob not found")


def test_an_unknown_blob_is_404(client: TestClient) -> None:
    for id in ("nothing", str(uuid4())):
        answer = client.get(f"/blob/{id}")
        assert answer.status_code == 404
        assert answer.json()["detail"] == "Blob not found"


def test_a_route_of_the_laboratory_answers_with_a_blob(tmp_path: Path) -> None:
    app = FastAPI()
    (tmp_path / "a.png").write_bytes(b"file")
    blobs = {"bytes": PNGBlob.from_bytes(b"abc"), "file": PNGBlob.from_file(tmp_path / "a.png")}

    @app.get("/{name}")
    def get(name: str) -> Any:
        return blobs[name].response()

    client = TestClient(app)
    assert client.get("/bytes").content == b"abc"
    assert client.get("/file").content == b"file"
    assert client.get("/file").headers["content-type"] == "image/png"
    assert 'filename="a.png"' in client.get("/file").headers["content-disposition"]


class Pair(BaseModel):
    image: PNGBlob


def test_a_route_of_the_laboratory_on_a_server_may_return_blobs_in_models(tmp_path: Path) -> None:
    server = lt.ThingServer({"settings_folder": tmp_path, "api_prefix": "/api"})
    blob = PNGBlob.from_bytes(b"abc")

    @server.app.get("/pair")
    def pair() -> Pair:
        return Pair(image=blob)

    with server.test_client(base_url="http://localhost/") as client:
        href = client.get("/pair").json()["image"]["href"]
        assert href == f"http://localhost/api/blob/{id_of(blob)}"
        assert client.get(href).content == b"abc"
