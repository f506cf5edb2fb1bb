"""Settings of a running server: set by clients, saved, and back after a restart."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from pydantic import BaseModel, Field

import labthings_fastapi as lt


class Offset(BaseModel):
    """Not all of it is saved."""

    x: int = Field(0, exclude=True)


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


UNTOUCHED = {
    "exposure": 0.1,
    "roi": {"width": 1, "height": 1},
    "corner": [0, 0],
    "serial": "none",
}
"""What a file has of settings that were not set; those with a getter are not in it."""


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
        assert saved(folder) == {**expected, "serial": "none"}
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
    assert saved(folder) == {**UNTOUCHED, "exposure": 0.2, "gain": 3}


def test_what_is_refused_is_not_saved(folder, assert_problem):
    with server(folder).test_client() as client:
        assert_problem(client.put("/camera/exposure", json=-1), 422)
        assert_problem(client.put("/camera/serial", json="A7"), 405)
    assert not list((folder / "camera").iterdir())


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
        assert saved(folder) == {**UNTOUCHED, "exposure": 0.5}
        assert client.put("/camera/gain", json=4).status_code == 204
    assert saved(folder) == {**UNTOUCHED, "exposure": 0.5, "gain": 4}


def test_a_thing_that_is_added_later_gets_its_settings_before_it_is_opened(folder):
    with server(folder).test_client() as client:
        client.put("/camera/exposure", json=0.5)
    later = lt.ThingServer({"settings_folder": folder})
    with later.test_client() as client:
        camera = later.add_thing(Camera(), "/camera/")
        assert camera.on_entry == (0.5, 1)
        assert client.get("/camera/exposure").json() == 0.5
        assert client.put("/camera/gain", json=2).status_code == 204
    assert saved(folder) == {**UNTOUCHED, "exposure": 0.5, "gain": 2}


def test_two_things_of_one_class_have_files_of_their_own(folder):
    with server(folder, left=Camera, right=Camera).test_client() as client:
        client.put("/left/gain", json=2)
        client.put("/right/gain", json=3)
    assert saved(folder, "left") == {**UNTOUCHED, "gain": 2}
    assert saved(folder, "right") == {**UNTOUCHED, "gain": 3}


def test_a_bad_file_never_stops_the_server(folder, caplog):
    file = folder / "camera" / "Settings-Camera.json"
    file.parent.mkdir(parents=True)
    file.write_text("{", "utf-8")
    with server(folder).test_client() as client:
        assert client.get("/camera/exposure").json() == 0.1
    assert any(str(file) in record.getMessage() for record in caplog.records)


class Laser(lt.Thing):
    """Its setters need an open port."""

    table: dict[str, float] = lt.setting(default_factory=dict)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._open, self._power, self._log = False, 0.0, []

    def __enter__(self):
        self._open = True
        return self

    def __exit__(self, *args):
        self._open = False

    @lt.setting
    def power(self) -> float:
        return self._power

    @power.setter
    def _set_power(self, value):
        if not self._open:
            raise RuntimeError("the port is not open")
        if value > 50:
            raise ValueError("too strong")
        self._power = value

    @lt.setting
    def names(self) -> list[str]:
        return self._log

    @names.setter
    def _set_names(self, value):
        self._log = value

    @lt.action
    def calibrate(self) -> None:
        self.table["offset"] = 0.25
        self._log.append("calibrated")


class AsyncLaser(Laser):
    async def __aenter__(self):
        self._open = True
        return self

    async def __aexit__(self, *args):
        self._open = False


@pytest.mark.parametrize("cls", [Laser, AsyncLaser])
def test_a_setting_whose_setter_needs_the_hardware_is_set_after_the_opening(cls, folder, caplog):
    with server(folder, laser=cls).test_client() as client:
        assert client.put("/laser/power", json=5.0).status_code == 204
    again = server(folder, laser=cls)
    for _ in range(2):  # a server may be started again
        again.things["laser"]._power = 0.0
        with again.test_client() as client:
            assert client.get("/laser/power").json() == 5.0
    later = lt.ThingServer({"settings_folder": folder})
    with later.test_client() as client:
        assert later.add_thing(cls(), "/laser/").power == 5.0
    assert [each for each in caplog.records if each.levelname in ("WARNING", "ERROR")] == []


@pytest.mark.parametrize(("value", "reason"), [(70, "too strong"), ("high", "valid number")])
def test_what_fails_after_the_opening_too_stops_nothing_is_said_once_and_stays_in_the_file(
    value, reason, folder, caplog
):
    (folder / "laser").mkdir(parents=True)
    file = folder / "laser" / "Settings-Laser.json"
    file.write_text(json.dumps({"power": value}), "utf-8")
    with server(folder, laser=Laser).test_client() as client:
        assert client.get("/laser/power").json() == 0.0
        client.put("/laser/table", json={"a": 1})
    (record,) = [each for each in caplog.records if "'power'" in each.getMessage()]
    assert record.levelname == "WARNING"
    assert reason in record.getMessage()
    assert saved(folder, "laser", "Laser")["power"] == value


def test_what_an_action_changes_in_place_is_saved_and_published_while_the_server_runs(folder):
    running = server(folder, laser=Laser)
    with running.test_client() as client:
        seen = threading.Event()
        observed = running.things["laser"].properties["table"].observe(lambda _value: seen.set())
        client.post("/laser/calibrate", headers={"Prefer": "wait=10"})
        assert seen.wait(30)
        observed.close()
        assert saved(folder, "laser", "Laser")["table"] == {"offset": 0.25}


class Bench(lt.Thing):
    laser: Laser = lt.thing_slot("laser")

    @lt.action
    def align(self, fail: bool = False) -> None:
        self.laser.calibrate()
        if fail:
            raise RuntimeError("it is not aligned")


@pytest.mark.parametrize(
    "path", ["/laser/calibrate", "/bench/align", "/bench/align?fail"], ids=["own", "slot", "fails"]
)
def test_a_run_that_is_seen_at_its_end_has_saved_what_it_changed_in_place(
    path, folder, monkeypatch
):
    monkeypatch.setattr("labthings_fastapi.server.settings_keeper.INTERVAL", 1000.0)
    path, _, fail = path.partition("?")
    with server(folder, laser=Laser, bench=Bench).test_client() as client:
        given = {"fail": True} if fail else {}
        run = client.post(path, json=given, headers={"Prefer": "wait=10"}).json()
        assert run["status"] == ("failed" if fail else "completed")
        assert saved(folder, "laser", "Laser")["table"] == {"offset": 0.25}


def test_what_was_changed_in_place_is_saved_at_the_stop(folder, monkeypatch):
    monkeypatch.setattr("labthings_fastapi.server.settings_keeper.INTERVAL", 1000.0)
    with server(folder, laser=Laser).test_client() as client:
        client.post("/laser/calibrate", headers={"Prefer": "wait=10"})
    expected = {"table": {"offset": 0.25}, "names": ["calibrated"]}
    assert saved(folder, "laser", "Laser") == expected
    again = server(folder, laser=Laser)
    with again.test_client() as client:
        assert client.get("/laser/table").json() == {"offset": 0.25}
        assert client.get("/laser/names").json() == ["calibrated"]


def test_a_getter_that_is_stuck_keeps_no_thing_from_being_closed(folder, monkeypatch):
    monkeypatch.setattr("labthings_fastapi.server.settings_keeper.GETTER_SECONDS", 0.1)
    stuck = threading.Event()

    class Stuck(Laser):
        @lt.setting
        def names(self) -> list[str]:
            stuck.wait()
            return []

    running = server(folder, laser=Stuck)
    with running.test_client():
        running.things["laser"].table["a"] = 1.0
    closed = not running.things["laser"]._open
    stuck.set()
    assert closed
    assert saved(folder, "laser", "Stuck")["table"] == {"a": 1.0}


def test_a_value_that_is_not_read_back_is_refused_with_422(folder, assert_problem):
    class Odd(lt.Thing):
        value: dict[str, Offset] = lt.setting(default_factory=dict)

    with server(folder, odd=Odd).test_client() as client:
        problem = assert_problem(client.put("/odd/value", json={"a": {"x": 1}}), 422)
        assert "Odd.value" in problem["detail"]
        assert client.get("/odd/value").json() == {}


def test_an_edit_by_hand_is_kept_beside_and_named(folder, caplog):
    with server(folder).test_client() as client:
        client.put("/camera/exposure", json=0.5)
        file = folder / "camera" / "Settings-Camera.json"
        file.write_text('{"exposure": 0.873}', "utf-8")
        client.put("/camera/gain", json=2)
    (copy,) = folder.joinpath("camera").glob("*.edited-*")
    assert json.loads(copy.read_text("utf-8")) == {"exposure": 0.873}
    assert saved(folder) == {**UNTOUCHED, "exposure": 0.5, "gain": 2}
    assert any(
        str(copy) in each.getMessage() and str(file) in each.getMessage() for each in caplog.records
    )


def test_an_edit_that_nothing_follows_is_loaded_by_the_next_start(folder):
    with server(folder).test_client() as client:
        client.put("/camera/exposure", json=0.5)
        (folder / "camera" / "Settings-Camera.json").write_text('{"exposure": 0.873}', "utf-8")
    assert server(folder).things["camera"].exposure == 0.873


def test_the_folder_for_own_files_is_there_once_there_is_a_server(folder):
    first = server(folder)
    own = folder / "camera"
    assert own.is_dir()
    assert not list(own.iterdir())
    own.rmdir()
    assert first.things["camera"]._thing_server_interface.settings_folder == str(own)
    assert own.is_dir()
