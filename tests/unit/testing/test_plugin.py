"""The pytest plugin, as a laboratory's own tests use it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import labthings_fastapi as lt


class Stage(lt.Thing):
    speed: float = lt.property(default=1.0)
    backlash: int = lt.setting(default=10)


def test_the_fixture_starts_servers(thing_server, tmp_path: Path):
    running = thing_server({"stage": Stage})
    assert running.client.get("/stage/speed").json() == 1.0
    running.server.things["stage"].speed = 2
    assert running.client.get("/stage/speed").json() == 2.0
    assert Path(running.server.settings_folder).is_relative_to(tmp_path)


def test_several_servers_may_run_in_one_test(thing_server, tmp_path: Path):
    one = thing_server({"a": Stage}, settings_folder=tmp_path / "one")
    other = thing_server({"b": Stage}, settings_folder=tmp_path / "other")
    assert (one.client.get("/a/speed").status_code, other.client.get("/a/speed").status_code) == (
        200,
        404,
    )


def test_it_is_there_without_asking_and_its_servers_stop_with_the_test(tmp_path: Path):
    """A project that only installs the package has the fixture; `__exit__` runs after each test."""
    (tmp_path / "test_mine.py").write_text(
        "import labthings_fastapi as lt\n"
        "closed = []\n"
        "class Stage(lt.Thing):\n"
        "    def __enter__(self): return self\n"
        "    def __exit__(self, *args): closed.append(self.name)\n"
        "def test_one(thing_server):\n"
        "    thing_server({'stage': Stage})\n"
        "    assert closed == []\n"
        "def test_two():\n"
        "    assert closed == ['stage']\n",
        "utf-8",
    )
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert "2 passed" in finished.stdout, finished.stdout + finished.stderr


def test_it_loads_no_heavy_room_before_the_fixture_is_used():
    program = (
        "import sys, labthings_fastapi.testing.plugin, labthings_fastapi.testing\n"
        "print(sorted({'fastapi', 'pydantic', 'uvicorn'} & set(sys.modules)))\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert finished.stdout == "[]\n"
