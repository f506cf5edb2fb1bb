"""Settings of a running server: set by clients, saved, and back after a restart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import BaseModel

import labthings_fastapi as lt


class Roi(BaseModel):
    width: int = 1
    height: int = 1


class Camera(lt.Thing):
    exposure: float = lt.setting(default=0.1, gt=0, unit="s")
    roi: Roi = lt.setting(default_factory=Roi)
    corner: tuple[int, int] = lt.setting(default=(0, 0))
    serial: str = lt.setting(default="none", readonly=True)
    frames: int = lt.property(default=0)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.on_entry = None
        self._gain = 1

    def __enter__(self):
        self.on_entry = (self.exposure, self._gain)
        return self

    def __exit__(self, *args):
        pass

    @lt.setting
    def gain(self) -> int:
        return self._gain

    @gain.setter
    def _set_gain(self, value):
        self._gain = value


class Needy(lt.Thing):
    """Needs its neighbour while its settings are loaded."""

    camera: Camera = lt.thing_slot()

    @lt.setting
    def mirrored(self) -> int:
        return self.camera.frames

    @mirrored.setter
    def _set_mirrored(self, value):
        self.camera.frames = value


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "settings"


def saved(folder: Path, name="camera", cls="Camera"):
    return json.loads((folder / name / f"Settings-{cls}.json").read_text("utf-8"))


def server(folder: Path, **things) -> lt.ThingServer:
    return lt.ThingServer.from_things(things or {"camera": Camera}, settings_folder=folder)


def test_what_a_client_sets_is_saved_at_once_and_back_after_a_restart(folder):
    with server(folder).test_client() as client:
        for name, value in [
            ("exposure", 0.5),
            ("roi", {"width": 3}),
            ("corner", [4, 5]),
            ("gain", 7),
            ("frames", 9),
        ]:
            assert client.put(f"/camera/{name}", json=value).status_code == 204
        expected = {
            "exposure": 0.5,
            "roi": {"width": 3, "height": 1},
            "corner": [4, 5],
            "gain": 7,
        }
        assert saved(folder) == expected
    again = server(folder)
    camera = again.things["camera"]
    assert (camera.corner, camera.roi) == ((4, 5), Roi(width=3))
    with again.test_client() as client:
        found = client.get("/camera/properties").json()
    assert found == {**expected, "serial": "none", "frames": 0}


def test_settings_are_there_before_the_hardware_is_opened(folder):
    with server(folder).test_client() as client:
        client.put("/camera/exposure", json=0.5)
        client.put("/camera/gain", json=7)
    again = server(folder)
    with again.test_client():
        assert again.things["camera"].on_entry == (0.5, 7)


def test_slots_are_filled_before_settings_are_loaded(folder):
    things = {"needy": Needy, "camera": Camera}
    first = server(folder, **things)
    with first.test_client() as client:
        assert client.put("/needy/mirrored", json=6).status_code == 204
    assert server(folder, **things).things["camera"].frames == 6


def test_several_at_once_are_saved_together(folder):
    with server(folder).test_client() as client:
        answer = client.put("/camera/properties", json={"exposure": 0.2, "gain": 3, "frames": 1})
        assert answer.status_code == 204
    assert saved(folder) == {"exposure": 0.2, "gain": 3}


def test_what_is_refused_is_not_saved(folder, assert_problem):
    with server(folder).test_client() as client:
        assert_problem(client.put("/camera/exposure", json=-1), 422)
        assert_problem(client.put("/camera/serial", json="A7"), 405)
    assert not folder.exists()


def test_a_write_that_fails_is_a_500_that_names_the_file_and_the_next_one_works(
    folder, assert_problem
):
    with server(folder).test_client() as client:
        client.put("/camera/exposure", json=0.5)
        file = folder / "camera" / "Settings-Camera.json"
        aside = file.rename(folder / "aside")
        file.mkdir()
        (file / "occupied").touch()
        for name, value, before in [("exposure", 0.7, 0.5), ("gain", 4, 1)]:
            problem = assert_problem(client.put(f"/camera/{name}", json=value), 500)
            assert "Settings-Camera.json" in problem["detail"]
            assert client.get(f"/camera/{name}").json() == before
        (file / "occupied").unlink()
        file.rmdir()
        aside.rename(file)
        assert saved(folder) == {"exposure": 0.5}
        assert client.put("/camera/gain", json=4).status_code == 204
    assert saved(folder) == {"exposure": 0.5, "gain": 4}


def test_a_thing_that_is_added_later_gets_its_settings_before_it_is_opened(folder):
    with server(folder).test_client() as client:
        client.put("/camera/exposure", json=0.5)
    later = lt.ThingServer({"settings_folder": folder})
    with later.test_client() as client:
        camera = later.add_thing(Camera(), "/camera/")
        assert camera.on_entry == (0.5, 1)
        assert client.get("/camera/exposure").json() == 0.5
        assert client.put("/camera/gain", json=2).status_code == 204
    assert saved(folder) == {"exposure": 0.5, "gain": 2}


def test_two_things_of_one_class_have_files_of_their_own(folder):
    with server(folder, left=Camera, right=Camera).test_client() as client:
        client.put("/left/gain", json=2)
        client.put("/right/gain", json=3)
    assert (saved(folder, "left"), saved(folder, "right")) == ({"gain": 2}, {"gain": 3})


def test_a_bad_file_never_stops_the_server(folder, caplog):
    file = folder / "camera" / "Settings-Camera.json"
    file.parent.mkdir(parents=True)
    file.write_text("{", "utf-8")
    with server(folder).test_client() as client:
        assert client.get("/camera/exposure").json() == 0.1
    assert any(str(file) in record.getMessage() for record in caplog.records)
