"""Checksums are computed once, and told only of files that stayed as they are."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest

from labthings_fastapi.outputs import checksums as module
from labthings_fastapi.outputs.checksums import Checksums, Content


def content_of(path: Path) -> Content:
    return Content.of(path, path.stat())


def test_they_are_those_of_sha256(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a", "b")]
    for path in paths:
        path.write_text(path.name)
    found = Checksums().of([content_of(path) for path in paths], 30)
    assert found == [f"sha256:{hashlib.sha256(name).hexdigest()}" for name in (b"a", b"b")]
    assert Checksums().of([], 0) == []


def test_a_file_that_changed_since_has_none(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("before")
    before = content_of(path)
    path.write_text("after, and longer")
    gone = before._replace(path=tmp_path / "gone")
    assert Checksums().of([before, gone], 30) == [None, None]


def test_who_does_not_wait_gets_it_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, calls = threading.Event(), []

    def slow(content: Content) -> str:
        calls.append(content)
        assert go_on.wait(30)
        return "sha256:0"

    monkeypatch.setattr(module, "_checksum", slow)
    path = tmp_path / "a"
    path.write_text("a")
    checksums = Checksums()
    assert checksums.of([content_of(path)], 0) == [None]
    go_on.set()
    assert checksums.of([content_of(path)], 30) == ["sha256:0"]
    assert checksums.of([content_of(path)], 0) == ["sha256:0"]
    assert len(calls) == 1
    os.utime(path, ns=(1, 1))
    checksums.of([content_of(path)], 30)
    assert len(calls) == 2


def test_only_so_many_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 2)
    checksums = Checksums()
    path = tmp_path / "a"
    for text in ("1", "22", "333"):
        path.write_text(text)
        assert checksums.of([content_of(path)], 30) != [None]
    assert len(checksums._known) == 2
