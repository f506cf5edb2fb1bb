"""A journal that cannot be written says so, before and after somebody wants to move something."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import labthings_fastapi as lt

COMMAND = str(Path(sys.executable).with_name("labthings-server"))
needs_to_move = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows does not move what is open."
)


class Press(lt.Thing):
    force: float = lt.setting(default=1.0)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.moves = 0

    @lt.action
    def move(self, note: str = "") -> None:
        self.moves += 1


def fill(folder: Path) -> Path:
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as disk, contextlib.suppress(OSError):
        while True:
            disk.write(b"\0" * 4096)
    return filler


def until_journal_is(client: Any, state: str) -> dict[str, Any]:
    end = time.monotonic() + 45
    while True:
        journal: dict[str, Any] = client.get("/health").json()["journal"]
        if journal["state"] == state:
            return journal
        assert time.monotonic() < end, journal
        time.sleep(0.1)


def test_health_says_that_the_disk_is_full_until_it_is_not(
    small_disk: Path, thing_server: Any
) -> None:
    running = thing_server({"press": Press}, settings_folder=small_disk / "settings")
    client, press = running.client, running.server.things["press"]
    assert client.post("/press/move", headers={"Prefer": "wait=30"}).status_code in (200, 201)
    assert client.get("/health").json()["journal"] == {"state": "recording"}
    filler = fill(small_disk)
    refused = client.post("/press/move", json={"note": "x" * 5000})
    assert refused.status_code == 507
    words = refused.json()["detail"]
    assert str(small_disk / "settings" / "journal.sqlite") in words
    assert "No space left" in words
    failing = client.get("/health").json()["journal"]
    assert (failing["state"], failing["error"]) == ("failing", words)
    assert failing["since"].endswith("Z")
    assert press.moves == 1
    filler.unlink()
    assert until_journal_is(client, "recording") == {"state": "recording"}


def test_health_says_that_nothing_is_kept(thing_server: Any, tmp_path: Path) -> None:
    running = thing_server({"press": Press}, settings_folder=tmp_path, journal="memory")
    assert running.client.get("/health").json()["journal"] == {"state": "memory"}


@needs_to_move
@pytest.mark.parametrize("what", ["settings", "journal"])
def test_what_another_server_took_after_a_move_is_not_written(
    running_server: Any, thing_server: Any, tmp_path: Path, what: str
) -> None:
    settings = tmp_path / "settings"
    running = thing_server({"press": Press}, settings_folder=settings)
    client, press = running.client, running.server.things["press"]
    client.post("/press/move", headers={"Prefer": "wait=30"})
    if what == "settings":
        settings.rename(tmp_path / "moved")
        config: dict[str, Any] = {"settings_folder": str(settings)}
    else:
        for name in ("journal.sqlite", ".journal.sqlite.lock"):
            (settings / name).unlink()
        config = {
            "settings_folder": str(tmp_path / "other"),
            "journal": {"path": str(settings / "journal.sqlite")},
        }
    config["things"] = {"camera": "labthings_fastapi.example_things:MyThing"}
    running_server.process("-j", json.dumps(config), "--port", "0", cwd=tmp_path)
    refused = client.post("/press/move")
    assert refused.status_code == 503
    assert "in use by the server of process" in refused.json()["detail"]
    failing = client.get("/health").json()["journal"]
    assert (failing["state"], failing["error"]) == ("failing", refused.json()["detail"])
    assert press.moves == 1
    if what == "settings":
        assert client.put("/press/force", json=3.0).status_code >= 500
        assert not list(settings.rglob("Settings-*.json"))


def test_a_second_server_with_the_same_journal_and_another_folder_is_refused(
    running_server: Any, tmp_path: Path
) -> None:
    """Before it touches an instrument, and with the words that name the first one."""

    def config(name: str) -> str:
        journal = {"path": str(tmp_path / "kept" / "runs.sqlite")}
        things = {"camera": "labthings_fastapi.example_things:MyThing"}
        folder = str(tmp_path / name)
        return json.dumps({"things": things, "settings_folder": folder, "journal": journal})

    first = running_server.process("-j", config("a"), "--port", "0", cwd=tmp_path)
    second = subprocess.run(
        [COMMAND, "-j", config("b"), "--port", "0"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    assert second.returncode == 3, second.stderr
    assert f"process {first.process.pid}" in second.stderr
    assert "runs.sqlite" in second.stderr
    assert "journal.path" in second.stderr
    assert "Listening" not in second.stderr


def test_a_second_server_of_this_process_records_in_memory(
    thing_server: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = {"path": tmp_path / "runs.sqlite"}
    first = thing_server({"press": Press}, settings_folder=tmp_path / "a", journal=journal)
    second = thing_server({"press": Press}, settings_folder=tmp_path / "b", journal=journal)
    assert first.client.get("/health").json()["journal"] == {"state": "recording"}
    assert second.client.get("/health").json()["journal"] == {"state": "memory"}
    assert "runs.sqlite" in caplog.text
