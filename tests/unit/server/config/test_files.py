"""A configuration's own modules are found beside it and in the current folder."""

from __future__ import annotations

import sys

from labthings_fastapi.server.cli import parse_args
from labthings_fastapi.server.config.files import make_modules_importable


def test_the_current_folder_comes_first_and_each_only_once(tmp_path, monkeypatch):
    (tmp_path / "lab").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(sys, "path", ["elsewhere"])
    for _ in range(2):
        make_modules_importable(parse_args(["-c", "../lab/lab.json"]))
    assert sys.path == [str(tmp_path / "here"), str(tmp_path / "lab"), "elsewhere"]


def test_text_on_the_command_line_has_no_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [])
    make_modules_importable(parse_args(["-j", "{}"]))
    assert sys.path == [str(tmp_path)]
