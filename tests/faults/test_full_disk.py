"""A full disk: what cannot be kept is refused, and nothing changes."""

from __future__ import annotations

import contextlib
from pathlib import Path

import labthings_fastapi as lt


class Laser(lt.Thing):
    """A laser with a long note."""

    note: str = lt.setting(default="")


def test_a_setting_that_finds_no_space_is_refused_with_507_and_the_old_value_stays(
    small_disk: Path, thing_server
):
    running = thing_server({"laser": Laser}, settings_folder=small_disk / "settings")
    client, laser = running.client, running.server.things["laser"]
    assert client.put("/laser/note", json="before").status_code == 204
    file = small_disk / "settings" / "laser" / "Settings-Laser.json"
    kept = file.read_bytes()

    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as disk, contextlib.suppress(OSError):
        while True:
            disk.write(b"\0" * 4096)
    refused = client.put("/laser/note", json="x" * 10_000)

    assert refused.status_code == 507
    assert refused.headers["content-type"] == "application/problem+json"
    assert str(file) in refused.json()["detail"]
    assert client.get("/laser/note").json() == "before"
    assert laser.note == "before"
    assert file.read_bytes() == kept
    assert [each.name for each in file.parent.iterdir()] == [file.name]

    filler.unlink()
    assert client.put("/laser/note", json="after").status_code == 204
    assert client.get("/laser/note").json() == "after"


def test_an_edit_that_finds_no_space_for_its_copy_is_not_overwritten(
    small_disk: Path, thing_server
):
    running = thing_server({"laser": Laser}, settings_folder=small_disk / "settings")
    client = running.client
    assert client.put("/laser/note", json="before").status_code == 204
    file = small_disk / "settings" / "laser" / "Settings-Laser.json"
    edited = b'{"note": "edited", "calibration": 0.873}' + b" " * 4000
    file.write_bytes(edited)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as disk, contextlib.suppress(OSError):
        while True:
            disk.write(b"\0" * 4096)

    assert client.put("/laser/note", json="after").status_code == 507
    assert file.read_bytes() == edited
    assert client.get("/laser/note").json() == "before"

    filler.unlink()
    assert client.put("/laser/note", json="after").status_code == 204
    (copy,) = file.parent.glob("*.edited-*")
    assert copy.read_bytes() == edited
