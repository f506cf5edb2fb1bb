"""One small JSON file for each Thing, whole at any moment."""

from __future__ import annotations

import json
import logging
import sys
import threading
from pathlib import Path

import pytest

from labthings_fastapi.exceptions import SettingsWriteError
from labthings_fastapi.thing_host.settings import SettingsFile

LOGGER = logging.getLogger("labthings_fastapi.things.laser")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "laser" / "Settings-Laser.json"


@pytest.fixture
def file(path: Path) -> SettingsFile:
    file = SettingsFile(path, LOGGER)
    file.load()
    return file


def written(path: Path):
    return json.loads(path.read_text("utf-8"))


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_a_file_that_is_not_there_is_empty_and_made_when_something_is_saved(file, path):
    assert file.load() == {}
    file.save({"power": 5})
    assert written(path) == {"power": 5}


def test_saving_changes_what_is_named_and_keeps_the_rest(file, path):
    file.save({"power": 5, "note": "x"})
    file.save({"power": 6})
    assert written(path) == {"power": 6, "note": "x"}


def test_nothing_is_saved_before_the_file_was_read(path):
    put(path, b'{"power": 5}')
    SettingsFile(path, LOGGER).save({"power": 6})
    assert written(path) == {"power": 5}


@pytest.mark.parametrize(
    "content", [b'{"power": 5, "no', b"[1, 2]", b"", b"\xff\xfe", b"[" * 100_000, b"null"]
)
def test_what_cannot_be_understood_is_set_aside_unchanged(content, path, caplog):
    put(path, content)
    file = SettingsFile(path, LOGGER)
    assert file.load() == {}
    (aside,) = path.parent.iterdir()
    assert aside.name.startswith("Settings-Laser.json.unreadable-")
    assert aside.read_bytes() == content
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert str(path) in record.getMessage()
    assert aside.name in record.getMessage()


def test_two_bad_files_in_one_second_are_both_kept(path):
    for content in (b"first", b"second"):
        put(path, content)
        SettingsFile(path, LOGGER).load()
    assert {each.read_bytes() for each in path.parent.iterdir()} == {b"first", b"second"}


def test_a_file_that_cannot_be_read_is_never_overwritten(path, caplog):
    path.mkdir(parents=True)  # a folder cannot be read, also not by root
    file = SettingsFile(path, LOGGER)
    assert file.load() == {}
    with pytest.raises(SettingsWriteError, match="not overwritten: it cannot be read"):
        file.save({"power": 5})
    assert path.is_dir()
    path.rmdir()
    file.load()
    file.save({"power": 5})
    assert written(path) == {"power": 5}


@pytest.mark.parametrize("content", [b'{"odd": NaN}', b'{"odd": 1e999}', b'{"odd": "\\ud800"}'])
def test_odd_values_of_unknown_keys_do_not_stop_saving(content, path):
    put(path, content)
    file = SettingsFile(path, LOGGER)
    before = dict(file.load())
    file.save({"power": 5})
    assert repr(written(path)) == repr({**before, "power": 5})


def test_a_value_that_is_no_json_is_refused_and_the_next_one_works(file, path):
    file.save({"power": 5})
    circle: list = []
    circle.append(circle)
    with pytest.raises(SettingsWriteError, match="could not be written"):
        file.save({"power": circle})
    file.save({"note": "x"})
    assert written(path) == {"power": 5, "note": "x"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_a_failed_write_leaves_the_old_file_and_no_rubbish(file, path):
    file.save({"power": 5})
    in_the_way = path.with_name("elsewhere")
    path.rename(in_the_way)
    path.mkdir()
    (path / "occupied").touch()
    with pytest.raises(SettingsWriteError, match="old value stays"):
        file.save({"power": 6})
    assert {each.name for each in path.parent.iterdir()} == {path.name, "elsewhere"}
    (path / "occupied").unlink()
    path.rmdir()
    file.save({"note": "x"})
    assert written(path) == {"power": 5, "note": "x"}


def test_it_knows_which_values_were_saved_since_a_moment(file):
    file.save({"power": 1})
    moment = file.saves
    file.save({"note": "x"})
    assert [file.is_newer(name, moment) for name in ("power", "note", "else")] == [
        *(False, True, False),
    ]


def copies(path: Path):
    return sorted(path.parent.glob("*.edited-*"))


@pytest.mark.parametrize(
    "content", [b'{"power": 5, "calibration": 0.873}', b"{half of a fi", b"", b"[]", b"\xff\xfe"]
)
def test_an_edit_while_the_server_runs_is_kept_and_both_files_are_named(
    content, file, path, caplog
):
    file.save({"power": 5})
    path.write_bytes(content)
    file.save({"power": 6})
    assert written(path) == {"power": 6}
    (copy,) = copies(path)
    assert copy.read_bytes() == content
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert str(path) in record.getMessage()
    assert str(copy) in record.getMessage()
    file.save({"power": 7})
    assert (copies(path), len(caplog.records)) == ([copy], 1), "the same edit is kept once"


def test_every_edit_is_kept(file, path):
    file.save({"power": 5})
    for content in (b'{"power": 1}', b'{"power": 2}'):
        path.write_bytes(content)
        file.save({"power": 6})
    assert {each.read_bytes() for each in copies(path)} == {b'{"power": 1}', b'{"power": 2}'}


def test_another_layout_of_the_same_values_is_no_edit(file, path, caplog):
    file.save({"power": 5, "note": "x"})
    path.write_text('{"note":"x",   "power":5}')
    file.save({"power": 6})
    assert (copies(path), caplog.records) == ([], [])


def test_a_file_that_was_put_there_while_the_server_runs_is_kept_too(file, path):
    put(path, b'{"power": 5}')
    file.save({"note": "x"})
    assert [each.read_bytes() for each in copies(path)] == [b'{"power": 5}']


def test_a_file_that_was_removed_is_written_again_and_that_is_said(file, path, caplog):
    file.save({"power": 5})
    path.unlink()
    file.save({"power": 6})
    assert written(path) == {"power": 6}
    (record,) = caplog.records
    assert "was removed while the server runs" in record.getMessage()


def test_many_threads_lose_nothing(file, path):
    threads = [
        threading.Thread(target=lambda n=n: [file.save({f"key{n}": step}) for step in range(10)])
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert written(path) == {f"key{n}": 9 for n in range(8)}
