"""A property that is saved."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError, computed_field

import labthings_fastapi as lt
from labthings_fastapi.exceptions import SettingsWriteError
from labthings_fastapi.messages.topic import Topic
from labthings_fastapi.testing import create_thing_without_server


class Roi(BaseModel):
    """A model that refuses what it computes itself."""

    model_config = ConfigDict(extra="forbid")
    width: int = 1

    @computed_field
    def area(self) -> int:
        return self.width * self.width


class Laser(lt.Thing):
    power: int = lt.setting(default=0, ge=0)
    """How strong."""

    level: float = lt.setting(default=0.5)
    place: tuple[int, int] = lt.setting(default=(0, 0))
    roi: Roi = lt.setting(default_factory=Roi)
    serial: str = lt.setting(default="none", readonly=True)
    anything: Any = lt.setting(default=None)
    unsaved: int = lt.property(default=0)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._gain = 1
        self.calls = []

    @lt.setting
    def gain(self) -> int:
        return self._gain

    @gain.setter
    def _set_gain(self, value):
        self.calls.append(value)
        if value == 13:
            raise OSError("the amplifier refuses")
        self._gain = value

    @gain.resetter
    def _reset_gain(self):
        self._gain = 7


def laser(folder: Path) -> Laser:
    return create_thing_without_server(Laser, settings_folder=folder)


def file_of(folder: Path) -> Path:
    return folder / "Settings-Laser.json"


def saved(folder: Path) -> dict[str, Any]:
    return json.loads(file_of(folder).read_text("utf-8"))


def test_a_setting_is_a_property_and_is_listed_as_both():
    assert list(Laser.settings) == [
        *("anything", "gain", "level", "place", "power", "roi", "serial"),
    ]
    assert {*Laser.properties} == {*Laser.settings, "unsaved"}
    assert (Laser.power.is_setting, Laser.unsaved.is_setting) == (True, False)
    assert Laser.power.title == "How strong."


def test_a_setting_is_back_when_the_thing_is_made_again(tmp_path: Path):
    first = laser(tmp_path)
    first.power = 5
    first.place = (3, 4)
    first.roi = Roi(width=3)
    first.serial = "A7"
    first.gain = 2
    second = laser(tmp_path)
    assert (second.power, second.place, second.roi) == (5, (3, 4), Roi(width=3))
    assert (second.serial, second.gain, second.calls) == ("A7", 2, [2])


def test_the_file_is_a_flat_object_that_people_can_read(tmp_path: Path):
    thing = laser(tmp_path)
    thing.power = 5
    thing.place = (3, 4)
    present = {"power": 5, "place": [3, 4], "level": 0.5, "roi": {"width": 1}, "serial": "none"}
    expected = json.dumps({**present, "anything": None}, indent=4, sort_keys=True)
    assert file_of(tmp_path).read_text("utf-8").strip() == expected


def test_nothing_is_written_before_something_is_set(tmp_path: Path):
    laser(tmp_path).unsaved = 4
    assert list(tmp_path.rglob("*")) == []


def test_save_settings_writes_them_all(tmp_path: Path):
    laser(tmp_path).save_settings()
    assert set(saved(tmp_path)) == set(Laser.settings)


def test_an_invalid_value_changes_neither_memory_nor_file(tmp_path: Path):
    thing = laser(tmp_path)
    thing.power = 5
    with pytest.raises(ValidationError):
        thing.power = -1
    assert (thing.power, saved(tmp_path)["power"]) == (5, 5)


def test_a_setter_that_fails_saves_nothing(tmp_path: Path):
    thing = laser(tmp_path)
    with pytest.raises(OSError, match="amplifier"):
        thing.gain = 13
    assert not file_of(tmp_path).exists()


@pytest.fixture
def unwritable(tmp_path: Path):
    """Give a Thing whose settings cannot be written: a file is where its folder should be."""
    folder = tmp_path / "laser"
    thing = laser(folder)
    folder.write_text("in the way", "utf-8")
    return thing


def test_what_cannot_be_saved_is_not_stored_and_not_published(unwritable):
    with unwritable._thing_server_interface.broker.subscribe(Topic()) as published:
        with pytest.raises(SettingsWriteError, match=r"Settings-Laser\.json.*old value stays"):
            unwritable.power = 9
        assert (unwritable.power, published.take()) == (0, [])


def test_a_setter_is_called_again_with_the_old_value_if_saving_fails(unwritable):
    with pytest.raises(SettingsWriteError):
        unwritable.gain = 9
    assert (unwritable.gain, unwritable.calls) == (1, [9, 1])


def test_a_setter_that_cannot_go_back_is_logged_and_the_first_error_raised(unwritable, caplog):
    unwritable._gain = 13
    with pytest.raises(SettingsWriteError):
        unwritable.gain = 9
    assert any("the old value 13 failed" in record.getMessage() for record in caplog.records)


def test_a_reset_is_saved_too(tmp_path: Path):
    thing = laser(tmp_path)
    thing.power = 5
    thing.properties["power"].reset()
    thing.properties["gain"].reset()
    assert (saved(tmp_path)["power"], saved(tmp_path)["gain"]) == (0, 7)
    assert laser(tmp_path).gain == 7


def test_what_init_sets_is_a_default_and_never_replaces_the_file(tmp_path: Path):
    class Eager(lt.Thing):
        power: int = lt.setting(default=0)
        note: str = lt.setting(default="")

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.power = 1

    path = tmp_path / "Settings-Eager.json"
    path.write_text('{"power": 5, "note": "kept", "older": true}', "utf-8")
    thing = create_thing_without_server(Eager, settings_folder=tmp_path)
    assert (thing.power, thing.note) == (5, "kept")
    assert json.loads(path.read_text("utf-8"))["older"] is True
    path.unlink()
    assert create_thing_without_server(Eager, settings_folder=tmp_path).power == 1


def test_without_a_server_nothing_is_saved():
    thing = Laser()
    thing.power = 5
    thing.gain = 6
    thing.load_settings()
    thing.save_settings()
    assert (thing.power, thing.gain) == (5, 6)


def test_a_setter_that_fails_while_loading_costs_only_itself(tmp_path: Path, caplog):
    file_of(tmp_path).write_text('{"gain": 13, "power": 5}', "utf-8")
    thing = laser(tmp_path)
    assert (thing.gain, thing.power) == (1, 5)
    assert any("gain" in record.getMessage() for record in caplog.records)


def test_loading_does_not_publish_and_does_not_save(tmp_path: Path):
    laser(tmp_path).power = 5
    before = file_of(tmp_path).stat().st_mtime_ns
    thing = laser(tmp_path)
    with thing._thing_server_interface.broker.subscribe(Topic()) as published:
        thing.load_settings()
        assert published.take() == []
    assert file_of(tmp_path).stat().st_mtime_ns == before


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=("Cs",)), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3),
    max_leaves=8,
)


@given(value=JSON.filter(lambda value: "inf" not in repr(value)))
def test_any_json_value_comes_back_as_it_was(value, tmp_path_factory):
    folder = tmp_path_factory.mktemp("settings")
    laser(folder).anything = value
    assert laser(folder).anything == value


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_numbers_that_json_does_not_have_are_restored(value, tmp_path: Path):
    laser(tmp_path).level = value
    assert repr(laser(tmp_path).level) == repr(value)
