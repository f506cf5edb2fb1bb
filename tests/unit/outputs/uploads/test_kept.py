"""Uploads on the disk: found by their id in another process, and gone when their time is over."""

from __future__ import annotations

import time
from pathlib import Path
from uuid import uuid4

import pytest

from labthings_fastapi.exceptions import (
    BlobIncompleteError,
    BodyTooLargeError,
    OutputSpaceError,
    TooBusyError,
)
from labthings_fastapi.outputs.blob_data import LocalBlobData
from labthings_fastapi.outputs.kept import KeptOutputs
from labthings_fastapi.outputs.uploads import kept as kept_uploads


@pytest.fixture
def kept(tmp_path: Path) -> KeptOutputs:
    return KeptOutputs(tmp_path / "journal.outputs")


def test_nothing_is_made_before_an_upload(kept: KeptOutputs, tmp_path: Path) -> None:
    assert kept.uploads.find(uuid4()) is None
    kept.uploads.expire()
    assert list(tmp_path.iterdir()) == []


def test_a_complete_upload_is_found_in_another_process(kept: KeptOutputs) -> None:
    upload = kept.uploads.begin("text/plain", "a.txt", None, resumable=False)
    upload.write(b"one ")
    upload.write(b"two")
    assert kept.find_blob(upload.id) is None
    data = kept.uploads.complete(upload)
    assert (data.content, data.filename, data.media_type) == (b"one two", "a.txt", "text/plain")
    again = KeptOutputs(kept.base()).find_blob(upload.id)
    assert again is not None
    assert again.content == b"one two"


def test_a_resumable_one_goes_on_in_another_process(kept: KeptOutputs) -> None:
    begun = kept.uploads.begin("text/plain", None, 7, resumable=True)
    begun.write(b"one ")
    begun.close()
    other = KeptOutputs(kept.base())
    with pytest.raises(BlobIncompleteError, match="4 of 7 bytes"):
        LocalBlobData.from_id(begun.id)
    found = other.uploads.find(begun.id)
    assert found is not None
    assert found.received == 4
    found.write(b"two")
    assert other.uploads.complete(found).content == b"one two"


def test_more_than_was_announced_is_not_written(kept: KeptOutputs) -> None:
    upload = kept.uploads.begin("text/plain", None, 3, resumable=True)
    upload.write(b"12")
    with pytest.raises(BodyTooLargeError, match="3 bytes"):
        upload.write(b"34")
    assert upload.received == 2
    upload.close()


def test_the_bytes_are_counted_until_it_is_deleted(kept: KeptOutputs) -> None:
    upload = kept.uploads.begin("text/plain", None, 100, resumable=True)
    upload.write(b"x" * 60)
    assert kept.usage.total == 60
    other = KeptOutputs(kept.base())
    other.tidy()
    assert other.usage.total == 60
    kept.uploads._delete(upload)
    assert kept.usage.total == 0
    assert list(kept.uploads.folder.iterdir()) == []


def test_a_large_one_is_refused_while_others_may_still_fill_the_quota(kept: KeptOutputs) -> None:
    kept.keep_within(1000, lambda: None)
    kept.stop()
    first = kept.uploads.begin("text/plain", None, 900, resumable=True)
    with pytest.raises(OutputSpaceError, match="900 of the 1000 bytes"):
        kept.uploads.begin("text/plain", None, 200, resumable=True)
    first.write(b"x" * 900)
    kept.uploads.complete(first)
    with pytest.raises(OutputSpaceError, match="900 of the 1000 bytes"):
        kept.uploads.begin("text/plain", None, 200, resumable=True)
    other = KeptOutputs(kept.base())
    other.tidy()
    other.limit = 1000
    with pytest.raises(OutputSpaceError):
        other.uploads.begin("text/plain", None, 200, resumable=True)


def test_what_can_be_deleted_for_it_counts_as_space(kept: KeptOutputs) -> None:
    kept.keep_within(1000, lambda: None, lambda: 800)
    kept.stop()
    kept.usage.add("a run", 900)
    kept.uploads.begin("text/plain", None, 900, resumable=True).close()
    with pytest.raises(OutputSpaceError):
        kept.uploads.begin("text/plain", None, 1, resumable=True)


def test_a_disk_that_is_too_small_is_told_at_once(
    kept: KeptOutputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(kept_uploads.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OutputSpaceError, match="10 bytes free"):
        kept.uploads.begin("text/plain", None, 11, resumable=True)


def test_only_so_many_may_wait(kept: KeptOutputs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_uploads, "MOST_UPLOADS", 2)
    for _ in range(2):
        kept.uploads.begin("text/plain", None, 1, resumable=True).close()
    with pytest.raises(TooBusyError, match="2 uploads"):
        kept.uploads.begin("text/plain", None, 1, resumable=True)


def test_what_a_crash_has_torn_apart_is_deleted(kept: KeptOutputs) -> None:
    upload = kept.uploads.begin("text/plain", None, 5, resumable=True)
    upload.close()
    folder = kept.uploads.folder
    lost = folder / uuid4().hex
    lost.write_bytes(b"without a description")
    alone = (folder / uuid4().hex).with_suffix(".json")
    alone.write_text((folder / f"{upload.id.hex}.json").read_text())
    damaged = folder / f"{uuid4().hex}.json"
    damaged.write_text("{")
    kept.uploads.tidy(time.time() + 1000)
    kept.uploads.expire()
    assert not lost.exists()
    assert not alone.exists()
    assert kept.uploads.find(upload.id) is not None
    assert not damaged.exists()
