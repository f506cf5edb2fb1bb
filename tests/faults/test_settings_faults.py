"""Settings survive what happens in a laboratory: power cuts, full disks, bad files."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import labthings_fastapi as lt
from labthings_fastapi.testing import create_thing_without_server

WRITER = Path(__file__).with_name("settings_writer.py")
KILLS = [20, pytest.param(200, marks=pytest.mark.slow)]


class Laser(lt.Thing):
    """A laser whose calibration must not be lost."""

    power: int = lt.setting(default=0, ge=0)
    note: str = lt.setting(default="")


def settings_path(folder: Path) -> Path:
    return folder / "laser" / "Settings-Laser.json"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows makes no processes by fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")  # of fork, from 3.12
@pytest.mark.timeout(600)  # the disk must be flushed thousands of times, which may be slow
@pytest.mark.parametrize("kills", KILLS)
def test_a_kill_in_a_burst_of_writes_never_corrupts_the_file(tmp_path: Path, kills: int):
    """After kill -9 the file is whole, and holds what was acknowledged or one step more."""
    # One process forks all writers, so that Python's start is paid once.
    chance = random.Random(1)  # noqa: S311 - when to kill, not what to hide
    for _ in range(kills):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            laser = create_thing_without_server(Laser, settings_folder=tmp_path / "laser")
            first = laser.power
            for step in range(1, 1001):
                laser.power = first + step
                os.write(writer, b"%d\n" % laser.power)
                laser.note = "x" * (step % 997)
            os._exit(0)
        os.close(writer)
        output = b""
        for _ in range(chance.randint(1, 12)):
            output += os.read(reader, 4096)
        os.kill(child, 9)
        os.waitpid(child, 0)
        while more := os.read(reader, 4096):
            output += more
        os.close(reader)
        acknowledged = int(output.split()[-1])
        saved = json.loads(settings_path(tmp_path).read_text("utf-8"))
        assert acknowledged <= saved["power"] <= acknowledged + 1


def test_a_killed_process_leaves_a_file_that_the_next_one_loads(tmp_path: Path):
    process = subprocess.Popen(
        [sys.executable, str(WRITER), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    output = [int(process.stdout.readline()) for _ in range(20)]
    process.kill()
    rest = [int(line) for line in process.stdout.read().split()]
    process.wait()
    process.stdout.close()
    laser = create_thing_without_server(Laser, settings_folder=tmp_path / "laser")
    assert laser.power >= (output + rest)[-1]


def test_an_unreadable_file_is_set_aside_loudly(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = settings_path(tmp_path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"power": 5, "no', "utf-8")
    laser = create_thing_without_server(Laser, settings_folder=tmp_path / "laser")
    assert laser.power == 0
    aside = list(path.parent.glob("Settings-Laser.json.unreadable-*"))
    assert [each.read_text("utf-8") for each in aside] == ['{"power": 5, "no']
    assert any(
        record.levelname == "ERROR"
        and str(path) in record.getMessage()
        and aside[0].name in record.getMessage()
        for record in caplog.records
    )


def test_a_bad_value_costs_only_itself_and_an_unknown_key_survives(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    path = settings_path(tmp_path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"power": -5, "note": "kept", "older": [1, 2]}), "utf-8")
    laser = create_thing_without_server(Laser, settings_folder=tmp_path / "laser")
    assert (laser.power, laser.note) == (0, "kept")
    assert any("power" in record.getMessage() for record in caplog.records)
    laser.note = "new"
    saved = json.loads(path.read_text("utf-8"))
    assert saved["older"] == [1, 2]
    assert saved["note"] == "new"


def test_a_byte_that_flips_on_the_disk_costs_no_more_than_its_value(tmp_path: Path):
    """300 times one byte: what can be read is used, what cannot is set aside and not lost."""
    chance = random.Random(7)  # noqa: S311 - which byte, not what to hide
    good = json.dumps({"power": 5, "note": "aligned", "left by others": [1, 2]}, indent=4).encode()
    aside = unreadable = 0
    for number in range(300):
        folder = tmp_path / str(number)
        path = settings_path(folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        place = chance.randrange(len(good))
        flipped = bytearray(good)
        flipped[place] ^= 1 << chance.randrange(8)
        path.write_bytes(flipped)

        laser = create_thing_without_server(Laser, settings_folder=folder / "laser")

        assert isinstance(laser.power, int)
        assert laser.power >= 0
        assert isinstance(laser.note, str)
        kept = [each for each in path.parent.iterdir() if each.read_bytes() == flipped]
        assert kept, f"flip {number} at {place}: what was in the file is nowhere"
        aside += kept != [path]
        laser.power = 9
        assert json.loads(path.read_bytes())["power"] == 9
        try:
            unreadable += not isinstance(json.loads(flipped), dict)
        except ValueError:
            unreadable += 1
    assert aside == unreadable > 50


# Serves from a folder that was not there when the test's own server started.
SECOND_SERVER = """
import sys
import labthings_fastapi as lt
with lt.ThingServer({"settings_folder": sys.argv[1]}).test_client():
    print("running", flush=True)
    sys.stdin.read()
"""


def test_two_servers_that_begin_on_no_folder_never_write_the_same_settings(tmp_path: Path):
    """The folder is locked when it is made: a second server fails and changes nothing."""
    folder = tmp_path / "settings"
    server = lt.ThingServer.from_things({"laser": Laser}, settings_folder=str(folder))
    shutil.rmtree(folder)
    with server.test_client() as client:
        folder.mkdir()
        other = subprocess.Popen(
            [sys.executable, "-c", SECOND_SERVER, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == b"running\n"
            refused = client.put("/laser/power", json=7)
            assert refused.status_code == 503
            assert f"process {other.pid}" in refused.json()["detail"]
            assert client.get("/laser/power").json() == 0
            assert not settings_path(folder).exists()
        finally:
            other.communicate(timeout=60)
        assert client.put("/laser/power", json=7).status_code == 204
        assert json.loads(settings_path(folder).read_text("utf-8"))["power"] == 7
