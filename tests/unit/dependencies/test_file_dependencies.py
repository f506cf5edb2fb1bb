"""The folder of a run as a parameter of its action, in any FastAPI app."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

import labthings_fastapi as lt
from labthings_fastapi.dependencies.files import FileManager, FileManagerDep
from labthings_fastapi.exceptions import NoInvocationContextError


class Scanner(lt.Thing):
    """Leaves files."""

    @lt.action
    def scan(self, files: FileManagerDep, name: str = "a b.txt") -> list[Any]:
        files.path(name, rel="stitched").write_text("text")
        files.path("other.txt").write_text("other")
        files.add_link("raw", "other.txt")
        return [files.filenames, files.directory == lt.output_folder(), files.links("/run")]


@pytest.fixture
def state(tmp_path: Path) -> Any:
    with lt.ThingServer.from_things(
        {"scanner": Scanner}, settings_folder=tmp_path
    ).test_client() as client:
        state = client.post("/scanner/scan", headers={"Prefer": "wait=30"}).json()
        assert state["status"] == "completed", state
        yield client, state


def test_it_is_the_folder_of_the_run(state: Any) -> None:
    _, found = state
    names, is_same, links = found["output"]
    assert names == ["a b.txt", "other.txt"]
    assert is_same is True
    assert links == [
        {"rel": "files", "href": "/run/files"},
        {"rel": "stitched", "href": "/run/files/a%20b.txt"},
        {"rel": "raw", "href": "/run/files/other.txt"},
    ]
    assert "files" not in found["input"]


def test_the_run_has_the_links(state: tuple[TestClient, Any]) -> None:
    client, found = state
    links = {each["rel"]: each["href"] for each in found["links"]}
    assert client.get(links["stitched"]).text == "text"
    assert client.get(links["raw"]).text == "other"
    assert [each["name"] for each in client.get(links["files"]).json()] == ["a b.txt", "other.txt"]


def test_before_its_run_it_has_no_folder() -> None:
    manager: Any = FileManager
    with pytest.raises(NoInvocationContextError):
        manager("id").directory  # noqa: B018
