"""Durable files."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from labthings_fastapi.thing_host.operating_system import (
    LEFTOVER_SECONDS,
    open_files_limit,
    open_to_others,
    remove_leftovers,
    set_aside,
    sync_folder,
    write_durably,
)


def test_a_file_is_made_with_its_folders_and_replaced_as_a_whole(tmp_path: Path):
    path = tmp_path / "a" / "b" / "file.json"
    write_durably(path, b"a long first version")
    write_durably(path, b"second")
    assert path.read_bytes() == b"second"
    assert list(path.parent.iterdir()) == [path]


def test_a_reader_never_sees_half_a_file(tmp_path: Path):
    """A reader that has opened the old file reads the old content to its end."""
    path = tmp_path / "file"
    write_durably(path, b"old")
    with path.open("rb") as reader:
        if sys.platform == "win32":
            pytest.skip("Windows does not replace a file that is open.")
        write_durably(path, b"new")
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_permissions_stay_as_they_were(tmp_path: Path):
    path = tmp_path / "file"
    write_durably(path, b"1")
    path.chmod(0o640)
    write_durably(path, b"2")
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_what_is_made_is_for_its_owner_only_whatever_the_umask(tmp_path: Path, umask: int):
    path = tmp_path / "outer" / "inner" / "file"
    before = os.umask(umask)
    try:
        write_durably(path, b"1")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.stat().st_mode & 0o777 for each in path.parents[:2]] == [0o700, 0o700]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_a_folder_that_is_there_keeps_its_permissions(tmp_path: Path):
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o770)
    write_durably(folder / "file", b"1")
    assert folder.stat().st_mode & 0o777 == 0o770


def test_a_file_in_the_way_of_a_folder_is_an_error(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        write_durably(tmp_path / "file" / "inner" / "settings", b"1")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows needs a privilege to make links")
def test_a_link_to_the_file_stays_a_link(tmp_path: Path):
    real, link = tmp_path / "real" / "file", tmp_path / "link"
    write_durably(real, b"1")
    link.symlink_to(real)
    write_durably(link, b"2")
    assert link.is_symlink()
    assert real.read_bytes() == b"2"


def test_a_failure_leaves_nothing_behind(tmp_path: Path):
    path = tmp_path / "file"
    path.mkdir()
    (path / "occupied").touch()
    with pytest.raises(OSError, match="file"):
        write_durably(path, b"1")
    assert list(tmp_path.iterdir()) == [path]


def test_old_leftovers_of_killed_writers_go_and_others_stay(tmp_path: Path):
    path = tmp_path / "file[1]"
    old, fresh = tmp_path / ".file[1]-a.tmp", tmp_path / ".file[1]-b.tmp"
    foreign = tmp_path / ".file1-c.tmp"
    for each in (path, old, fresh, foreign):
        each.write_bytes(b"x")
    long_ago = path.stat().st_mtime - 2 * LEFTOVER_SECONDS
    for each in (old, foreign, path):
        os.utime(each, (long_ago, long_ago))
    remove_leftovers(path)
    assert set(tmp_path.iterdir()) == {path, fresh, foreign}


def test_removing_leftovers_from_a_missing_folder_does_nothing(tmp_path: Path):
    remove_leftovers(tmp_path / "nowhere" / "file")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_set_aside_under_a_name_that_is_free(tmp_path: Path):
    path = tmp_path / "file"
    names = []
    for content in ("1", "2", "3"):
        path.write_text(content, "utf-8")
        names.append(set_aside(path, "bad").name)
    assert names == ["file.bad", "file.bad-1", "file.bad-2"]
    assert [(tmp_path / name).read_text("utf-8") for name in names] == ["1", "2", "3"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such call")
def test_a_folder_that_is_not_there_cannot_be_flushed(tmp_path: Path):
    sync_folder(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_folder(tmp_path / "nowhere")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
def test_a_private_file_stays_private_also_over_one_that_was_not(tmp_path: Path):
    path = tmp_path / "key"
    path.write_bytes(b"old")
    path.chmod(0o644)
    assert open_to_others(path)
    write_durably(path, b"new", private=True)
    assert path.stat().st_mode & 0o777 == 0o600
    assert not open_to_others(path)


def test_the_limit_of_open_files_is_that_of_the_system():
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (300, hard))
        assert open_files_limit() == 300
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
