"""The id by which a server is known, on a real disk."""

from __future__ import annotations

from labthings_fastapi.thing_host.server_id import FILE_NAME, ServerId


def test_it_is_made_once_and_found_again(tmp_path):
    folder = tmp_path / "settings"
    made = ServerId(folder)
    first = made.get()
    assert first is not None
    assert made.get() == first
    assert ServerId(folder).get() == first
    assert ServerId(tmp_path / "other").get() != first


def test_nothing_is_written_before_the_first_use(tmp_path):
    ServerId(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_holds_none_is_left_alone(tmp_path, caplog):
    file = tmp_path / FILE_NAME
    file.write_text("not an id")
    assert ServerId(tmp_path).get() is None
    assert file.read_text() == "not an id"
    assert "cannot be read from or written to" in caplog.text


def test_a_folder_in_its_place_is_no_failure(tmp_path, caplog):
    (tmp_path / FILE_NAME).mkdir()
    assert ServerId(tmp_path).get() is None
    assert "cannot be read from or written to" in caplog.text
