"""Where settings, journal and credentials are, whatever the working directory is (rule 46).

And whose they are: the first server of a folder keeps it (rule 23).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

import labthings_fastapi as lt
from labthings_fastapi.server.cli import run_command
from labthings_fastapi.server.config_model import ThingServerConfig
from servers import LABTHINGS_SERVER

LAB = """
import sys
from pathlib import Path
import labthings_fastapi as lt

HERE = Path(__file__).parent

class Laser(lt.Thing):
    power: float = lt.setting(default=0.0)

    @lt.setting
    def shutter(self) -> bool:
        return getattr(self, "_shutter", False)

    @shutter.setter
    def _set_shutter(self, value):
        with (HERE / "moves").open("a") as moves:
            moves.write("moved\\n")
        self._shutter = value
"""


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """Give a folder with a configuration file and its module."""
    folder = tmp_path / "lab"
    folder.mkdir()
    (folder / "lab_things.py").write_text(LAB, "utf-8")
    config = {"things": {"laser": "lab_things:Laser"}}
    (folder / "lab.json").write_text(json.dumps(config), "utf-8")
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Give two folders where somebody may stand."""
    made = [tmp_path / "first", tmp_path / "second"]
    for each in made:
        each.mkdir()
    return made


def token(config: Path, cwd: Path) -> str:
    command = [LABTHINGS_SERVER, "token", "create", "--role", "operator", "-c", str(config)]
    made = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True)
    return made.stdout.strip()


def test_two_starts_of_a_file_from_two_folders_are_the_same_server(lab, folders, running_server):
    here, there = folders
    headers = {"Authorization": f"Bearer {token(lab / 'lab.json', here)}"}
    first = running_server.process("-c", str(lab / "lab.json"), "--port", "0", cwd=here)
    with httpx2.Client(base_url=first.url, headers=headers) as client:
        assert client.put("/laser/power", json=5.0).status_code == 204
    assert first.stop() == 0
    relative = os.path.relpath(lab / "lab.json", there)
    second = running_server.process("-c", relative, "--port", "0", cwd=there)
    with httpx2.Client(base_url=second.url) as client:
        assert client.get("/laser/power").status_code == 401
        assert client.get("/laser/power", headers=headers).json() == 5.0
        audit = client.get("/journal?kind=mutation", headers=headers)
        assert "power" in audit.text, audit.text
    assert second.stop() == 0
    assert [list(each.iterdir()) for each in folders] == [[], []]
    assert {each.name for each in (lab / "settings").iterdir()} >= {
        *("credentials.json", "journal.sqlite", "laser"),
    }


@pytest.mark.parametrize("name", ["lab.json", "lab.toml"])
def test_every_path_of_a_file_is_relative_to_its_folder(name, lab, folders, monkeypatch, capsys):
    text = {
        "lab.json": """{"settings_folder": "kept/here", "journal": {"path": "runs.sqlite"},
                        "security": {"credentials": "who.json"}}""",
        "lab.toml": 'settings_folder = "kept/here"\n[journal]\npath = "runs.sqlite"\n'
        '[security]\ncredentials = "who.json"',
    }[name]
    (lab / name).write_text(text, "utf-8")
    monkeypatch.chdir(folders[0])
    from labthings_fastapi.server.cli import parse_args
    from labthings_fastapi.server.config.files import load_config, settings_folder

    args = parse_args(["-c", str(lab / name)])
    config = ThingServerConfig.model_validate(load_config(args))
    assert config.settings_folder == settings_folder(args) == lab / "kept" / "here"
    assert config.journal.path == lab / "runs.sqlite"
    assert config.security.credentials == lab / "who.json"
    assert run_command(["token", "create", "--role", "viewer", "-c", str(lab / name)]) == 0
    assert (lab / "who.json").is_file()
    assert list(folders[0].iterdir()) == []


def test_an_absolute_path_of_a_file_stays(lab, folders, monkeypatch):
    elsewhere = folders[1] / "settings"
    (lab / "lab.json").write_text(json.dumps({"settings_folder": str(elsewhere)}), "utf-8")
    monkeypatch.chdir(folders[0])
    assert run_command(["token", "create", "--role", "viewer", "-c", str(lab / "lab.json")]) == 0
    assert (elsewhere / "credentials.json").is_file()


def test_the_folder_that_was_used_before_is_named(lab, folders, monkeypatch, caplog):
    """Older versions kept settings in the working directory."""
    (folders[0] / "settings").mkdir()
    monkeypatch.chdir(folders[0])
    assert run_command(["token", "list", "-c", str(lab / "lab.json")]) == 0
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert str(folders[0] / "settings") in record.getMessage()
    assert str(lab / "settings") in record.getMessage()


class Camera(lt.Thing):
    gain: float = lt.setting(default=1.0)

    @lt.action
    def load_sdk(self, folder: str) -> None:
        """Change the working directory, as SDKs do for their libraries."""
        os.chdir(folder)


@pytest.mark.parametrize("options", [{}, {"settings_folder": "kept"}])
def test_a_driver_that_changes_the_folder_moves_nothing(options, folders, monkeypatch):
    home, sdk = folders
    monkeypatch.chdir(home)
    options = {**options, "journal": {"path": "runs.sqlite"}}
    with lt.ThingServer.from_things({"camera": Camera}, **options).test_client() as client:
        wait = {"Prefer": "wait=10"}
        loaded = client.post("/camera/load_sdk", json={"folder": str(sdk)}, headers=wait)
        assert loaded.json()["status"] == "completed"
        assert client.put("/camera/gain", json=4.0).status_code == 204
    assert (list(sdk.iterdir()), os.getcwd()) == ([], str(sdk))
    assert (home / "runs.sqlite").is_file()
    os.chdir(home)
    with lt.ThingServer.from_things({"camera": Camera}, **options).test_client() as client:
        assert client.get("/camera/gain").json() == 4.0


def test_the_folder_counts_in_which_the_configuration_was_made(folders, monkeypatch):
    monkeypatch.chdir(folders[0])
    config = ThingServerConfig(
        settings_folder="kept", journal={"path": "runs"}, security={"credentials": "who"}
    )
    monkeypatch.chdir(folders[1])
    assert lt.ThingServer(config).settings_folder == str(folders[0] / "kept")
    assert (config.journal.path, config.security.credentials) == (
        folders[0] / "runs",
        folders[0] / "who",
    )


def start(config: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Start a second server, which ends at once."""
    command = [LABTHINGS_SERVER, "-c", str(config), "--port", "0"]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=50, check=False)


@pytest.mark.timeout(120)  # several processes
def test_the_second_server_of_a_folder_is_refused_before_it_moves_anything(
    lab, folders, running_server
):
    """The folder is there from the start on, although nothing was saved yet."""
    first = running_server.process("-c", str(lab / "lab.json"), "--port", "0", cwd=folders[0])
    with httpx2.Client(base_url=first.url) as client:
        refused = start(lab / "lab.json", folders[1])
        assert (refused.returncode, refused.stdout) == (3, "")
        assert f"process {first.process.pid}" in refused.stderr
        assert "Traceback" not in refused.stderr
        assert client.put("/laser/shutter", json=True).status_code == 204
    moves = lab / "moves"
    assert moves.read_text() == "moved\n"
    assert start(lab / "lab.json", folders[1]).returncode == 3
    assert moves.read_text() == "moved\n", "the second server has moved the shutter of the first"
    first.process.kill()
    first.process.wait(30)
    again = running_server.process("-c", str(lab / "lab.json"), "--port", "0", cwd=folders[1])
    with httpx2.Client(base_url=again.url) as client:
        assert client.get("/laser/shutter").json() is True


SERVE = """
import labthings_fastapi as lt
lt.ThingServer({"settings_folder": "kept"}).serve(port=0)
"""


@pytest.mark.timeout(120)  # several processes
def test_serve_keeps_the_folder_from_its_start_to_its_end(tmp_path, running_server):
    command = [sys.executable, "-c", SERVE]
    first = running_server.process(command=command, cwd=tmp_path)
    second = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False
    )
    assert second.returncode == 1
    assert f"FolderInUseError: The settings folder '{tmp_path / 'kept'}'" in second.stderr
    assert f"process {first.process.pid}" in second.stderr
    assert first.stop() == 0
    running_server.process(command=command, cwd=tmp_path)


def test_a_server_makes_the_folders_of_its_things_and_nothing_in_them(tmp_path):
    folder = tmp_path / "kept"
    server = lt.ThingServer.from_things({"camera": Camera}, settings_folder=folder)
    with server.test_client() as client:
        client.get("/camera/gain")
        assert not list((folder / "camera").iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
def test_folders_and_files_are_for_their_owner_only(tmp_path):
    folder = tmp_path / "kept"
    before = os.umask(0)
    try:
        server = lt.ThingServer.from_things({"camera": Camera}, settings_folder=folder)
        with server.test_client() as client:
            client.put("/camera/gain", json=2.0)
            wait = {"Prefer": "wait=10"}
            client.post("/camera/load_sdk", json={"folder": str(tmp_path)}, headers=wait)
            client.get("/camera/")
            found: dict[str, Any] = {
                str(each.relative_to(tmp_path)): (each.is_dir(), each.stat().st_mode & 0o777)
                for each in [folder, *folder.rglob("*")]
            }
    finally:
        os.umask(before)
    assert {"kept/camera", "kept/journal.sqlite", "kept/server.lock"} <= set(found)
    assert {mode for is_dir, mode in found.values() if is_dir} == {0o700}, found
    assert {mode for is_dir, mode in found.values() if not is_dir} == {0o600}, found
