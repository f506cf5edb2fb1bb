"""What invocations leave on the disk is found by their id, and goes when they are deleted."""

from __future__ import annotations

import gc
import os
import stat
import tempfile
import threading
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from labthings_fastapi.outputs.blob import Blob
from labthings_fastapi.outputs.blob_data import BlobFile, LocalBlobData
from labthings_fastapi.outputs.kept import KeptOutputs


class Image(Blob):
    media_type = "image/png"


@pytest.fixture
def kept(tmp_path: Path) -> KeptOutputs:
    return KeptOutputs(tmp_path / "journal.outputs")


@pytest.fixture
def run() -> UUID:
    return uuid4()


def again(kept: KeptOutputs) -> KeptOutputs:
    """Return the same folder as another process sees it."""
    assert kept._folder is not None
    return KeptOutputs(kept._folder)


def keep(kept: KeptOutputs, run: UUID, blob: Blob) -> UUID:
    assert isinstance(blob.data, LocalBlobData)
    kept.keep_blob(run, blob.data)
    return blob.data.id


def path_of(data: object) -> Path:
    assert isinstance(data, BlobFile)
    return data.path


def deleting() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "labthings-deleting"]


def test_nothing_is_made_before_it_is_used(kept: KeptOutputs, run: UUID, tmp_path: Path) -> None:
    assert kept.output(run) is None
    assert kept.find_files_folder(run) is None
    assert kept.find_blob(uuid4()) is None
    kept.delete([run])
    assert list(tmp_path.iterdir()) == []


def test_an_output_is_found_by_its_run_in_another_process(kept: KeptOutputs, run: UUID) -> None:
    kept.keep_output(run, b"[1,2]")
    assert again(kept).output(run) == b"[1,2]"
    assert kept.output(uuid4()) is None


def test_a_blob_in_memory_is_found_with_its_media_type(kept: KeptOutputs, run: UUID) -> None:
    id = keep(kept, run, Image.from_bytes(b"pixels"))
    found = again(kept).find_blob(id)
    assert found is not None
    assert (found.content, found.media_type) == (b"pixels", "image/png")


def test_a_file_that_others_may_change_is_copied(
    kept: KeptOutputs, run: UUID, tmp_path: Path
) -> None:
    path = tmp_path / "newest.png"
    path.write_bytes(b"first")
    id = keep(kept, run, Image.from_file(path))
    path.write_bytes(b"second")
    found = kept.find_blob(id)
    assert found is not None
    assert found.content == b"first"


def test_a_file_of_the_run_itself_or_of_a_temporary_folder_takes_no_space_twice(
    kept: KeptOutputs, run: UUID
) -> None:
    own = kept.files_folder(run) / "stitched.png"
    own.write_bytes(b"large")
    with tempfile.TemporaryDirectory() as name:
        Path(name, "tile.png").write_bytes(b"tile")
        folder = tempfile.TemporaryDirectory(dir=name)
        Path(folder.name, "tile.png").write_bytes(b"tile")
        blobs = [Image.from_file(own), Image.from_temporary_directory(folder, "tile.png")]
        for blob in blobs:
            found = kept.find_blob(keep(kept, run, blob))
            assert path_of(found).samefile(path_of(blob.data))
        folder.cleanup()
        assert found.content == b"tile"


def test_without_links_a_file_is_copied(
    kept: KeptOutputs, run: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    own = kept.files_folder(run) / "stitched.png"
    own.write_bytes(b"large")
    found = kept.find_blob(keep(kept, run, Image.from_file(own)))
    assert found is not None
    assert found.content == b"large"


def test_a_blob_that_cannot_be_read_leaves_nothing_behind(
    kept: KeptOutputs, run: UUID, tmp_path: Path
) -> None:
    path = tmp_path / "gone.png"
    path.write_bytes(b"x")
    blob = Image.from_file(path)
    path.unlink()
    with pytest.raises(OSError, match="gone"):
        keep(kept, run, blob)
    assert isinstance(blob.data, LocalBlobData)
    assert kept.find_blob(blob.data.id) is None
    assert not list(tmp_path.rglob("*.part"))


def test_a_blob_of_two_runs_stays_until_both_are_deleted(
    kept: KeptOutputs, run: UUID, tmp_path: Path
) -> None:
    other, blob = uuid4(), Image.from_bytes(b"pixels")
    id = keep(kept, run, blob)
    found = kept.find_blob(id)
    assert isinstance(found, LocalBlobData)
    kept.keep_blob(other, found)
    path = tmp_path / "journal.outputs" / other.hex / "blobs" / id.hex
    assert path.read_bytes() == b"pixels"
    for deleted, is_found in ((run, True), (other, False)):
        kept.delete([deleted])
        for thread in deleting():
            thread.join(30)
        assert (again(kept).find_blob(id) is not None) is is_found
    assert list((tmp_path / "journal.outputs" / ".blobs").iterdir()) == []


def test_what_is_deleted_is_gone_and_the_rest_stays(kept: KeptOutputs, tmp_path: Path) -> None:
    runs = [uuid4() for _ in range(3)]
    ids = [keep(kept, run, Image.from_bytes(b"x")) for run in runs]
    kept.files_folder(runs[0])
    kept.delete([*runs[:2], uuid4()])
    assert [kept.find_blob(id) is not None for id in ids] == [False, False, True]
    assert kept.find_files_folder(runs[0]) is None
    for thread in deleting():
        thread.join(30)
    left = sorted(entry.name for entry in (tmp_path / "journal.outputs").iterdir())
    assert left == [".blobs", runs[2].hex]


@pytest.mark.skipif(os.name != "posix", reason="Modes are POSIX.")
def test_only_the_user_of_the_server_may_look_into_the_folders(
    kept: KeptOutputs, run: UUID, tmp_path: Path
) -> None:
    before = os.umask(0)
    try:
        folder = kept.files_folder(run)
    finally:
        os.umask(before)
    for each in (tmp_path / "journal.outputs", folder.parent, folder):
        assert stat.S_IMODE(each.stat().st_mode) == 0o700


def test_a_temporary_one_is_deleted_with_its_object(run: UUID) -> None:
    kept = KeptOutputs()
    folder = kept.files_folder(run)
    assert folder.is_dir()
    del kept
    gc.collect()
    assert not folder.exists()
