"""A run's folder is made on first use, listed safely, and goes with the run."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from labthings_fastapi.actions.context import get_invocation_directory
from labthings_fastapi.actions.results import InvocationFiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from labthings_fastapi.actions import Invocation


def test_nothing_is_made_before_it_is_needed() -> None:
    files = InvocationFiles()
    assert files.names() == []
    assert files.find("x") is None
    assert files._directory is None


def test_the_folder_stays_the_same() -> None:
    files = InvocationFiles()
    assert files.directory.is_dir()
    assert files.directory == files.directory


def test_files_are_listed_by_name_and_folders_are_not() -> None:
    files = InvocationFiles()
    for name in ("b.txt", "a.txt"):
        (files.directory / name).write_text(name)
    (files.directory / "inner").mkdir()
    assert files.names() == ["a.txt", "b.txt"]
    found = files.find("a.txt")
    assert found is not None
    assert found.read_text() == "a.txt"


@pytest.mark.parametrize("name", ["", ".", "..", "../secret", "inner/x", "/etc/hosts", "a\0b"])
def test_no_name_leads_out_of_the_folder(name: str) -> None:
    files = InvocationFiles()
    (files.directory / "inner").mkdir()
    (files.directory / "inner" / "x").write_text("x")
    assert files.find(name) is None


def test_a_folder_that_the_action_removed_is_empty() -> None:
    files = InvocationFiles()
    shutil.rmtree(files.directory)
    assert files.names() == []
    assert files.find("a.txt") is None


@pytest.mark.skipif(sys.platform != "linux", reason="only there are names bytes")
def test_a_name_that_is_no_text_is_not_offered() -> None:
    files = InvocationFiles()
    with open(os.fsencode(files.directory) + b"/\xff.txt", "wb"):
        pass
    assert files.names() == []


def test_the_folder_goes_with_the_run() -> None:
    files = InvocationFiles()
    folder = files.directory
    (folder / "a.txt").write_text("x")
    del files
    gc.collect()
    assert not folder.exists()


def test_an_action_leaves_files(run: Callable[..., Invocation]) -> None:
    def code() -> None:
        (get_invocation_directory() / "log.csv").write_text("1,2")

    assert run(code).files.names() == ["log.csv"]
