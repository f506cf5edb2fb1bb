"""What is saved can be read back; what was changed in place is noticed."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pydantic.dataclasses
import pytest
from pydantic import BaseModel, ConfigDict, Field, Secret, SecretBytes, SecretStr

import labthings_fastapi as lt
from labthings_fastapi.exceptions import (
    AffordanceDefinitionError,
    SettingsWriteError,
    ValueNotSavableError,
)
from labthings_fastapi.messages.topic import Topic
from labthings_fastapi.schemas.saving import is_same
from labthings_fastapi.testing import create_thing_without_server


class Aliased(BaseModel):
    width: int = Field(1, alias="w")


class ByName(BaseModel):
    model_config = ConfigDict(validate_by_name=True)
    width: int = Field(1, alias="w")


class Excluding(BaseModel):
    kept: int = 1
    lost: int = Field(0, exclude=True)


class Corner(enum.Enum):
    LEFT = (0, 1)
    RIGHT = (1, 0)


class Mode(enum.Enum):
    SLOW = "slow"
    FAST = "fast"


class Account(BaseModel):
    password: SecretStr


@dataclass
class Holder:
    secret: SecretStr = field(default=SecretStr(""))


@dataclass
class Region:
    x: int = 0
    tags: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Frozen:
    height: float
    label: str = "a"


@pydantic.dataclasses.dataclass
class AliasedRegion:
    width: int = Field(1, alias="w")


@pytest.mark.parametrize(
    ("hint", "default"),
    [
        (SecretStr, SecretStr("")),
        (SecretBytes, SecretBytes(b"")),
        (SecretStr | None, None),
        (list[SecretStr], []),
        (Account | None, None),
        (Holder, Holder()),
        (Secret[int], Secret[int](1)),
        (Aliased, Aliased()),
        (Aliased | None, None),
        (list[Aliased], []),
        (AliasedRegion, AliasedRegion(w=2)),
        (dict[tuple[int, int], float], {}),
        (dict[tuple[int, int], float], {(1, 2): 3.0}),
        (Corner, Corner.LEFT),
        (list[Corner], []),
        (Any, {1: "one"}),
        (Excluding, Excluding(lost=3)),
    ],
    ids=repr,
)
def test_a_type_that_cannot_be_read_back_is_refused_when_the_class_is_made(hint, default):
    with pytest.raises(AffordanceDefinitionError, match=r"Odd\.value: a setting of type .*cannot"):

        class Odd(lt.Thing):
            value: hint = lt.setting(default_factory=lambda: default)


def test_so_is_the_type_of_a_getter():
    with pytest.raises(AffordanceDefinitionError, match=r"Odd\.value: .* asterisks"):

        class Odd(lt.Thing):
            @lt.setting
            def value(self) -> SecretStr:
                return SecretStr("")


def test_a_property_is_not_saved_and_may_have_such_a_type():
    class Fine(lt.Thing):
        value: SecretStr = lt.property(default=SecretStr(""))

    assert Fine().value.get_secret_value() == ""


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (ByName, ByName(width=3)),
        (dict[int, float], {1: 2.0}),
        (dict[Mode, float], {Mode.FAST: 2.0}),
        (Mode, Mode.FAST),
        (Excluding, Excluding(kept=3)),
        (list[float], [float("nan"), float("inf"), -0.0]),
        (Any, (1, [2, (3,)])),
        (set[int], {1, 2}),
        (bytes, b"\x00\xff"),
        (Region, Region(3, {"a"})),
        (list[Region], [Region(3, {"a"})]),
        (Frozen, Frozen(2.0)),
    ],
    ids=repr,
)
def test_what_can_be_read_back_is_accepted_and_comes_back(hint, value, tmp_path: Path):
    class Fine(lt.Thing):
        value: hint = lt.setting(default_factory=lambda: value)
        other: int = lt.setting(default=0)

    first = create_thing_without_server(Fine, settings_folder=tmp_path)
    first.value = value
    found = create_thing_without_server(Fine, settings_folder=tmp_path).value
    assert is_same(value, found)


class Laser(lt.Thing):
    power: int = lt.setting(default=0)
    table: dict[str, float] = lt.setting(default_factory=dict)
    anything: Any = lt.setting(default=None)
    shape: Excluding = lt.setting(default_factory=Excluding)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._offsets = {"x": 1.0}
        self.reads = 0

    @lt.setting
    def offsets(self) -> dict[str, float]:
        return self._offsets

    @offsets.setter
    def _set_offsets(self, value):
        self._offsets = value

    @lt.setting
    def level(self) -> float:
        self.reads += 1
        return 1.0

    @level.setter
    def _set_level(self, value):
        pass


def laser(folder: Path) -> Laser:
    return create_thing_without_server(Laser, settings_folder=folder)


def saved(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "Settings-Laser.json").read_text("utf-8"))


@pytest.mark.parametrize("value", [{1: "one"}, {"a": {(1, 2): 3}}, SecretStr("x")], ids=repr)
def test_a_value_that_is_not_read_back_is_refused_when_it_is_set(value, tmp_path: Path):
    thing = laser(tmp_path)
    with pytest.raises(ValueNotSavableError, match=r"Laser\.anything: .*cannot be saved"):
        thing.anything = value
    with pytest.raises(ValueNotSavableError):
        thing.shape = Excluding(lost=4)
    assert (thing.anything, thing.shape) == (None, Excluding())
    assert not list(tmp_path.iterdir())


def test_a_class_that_sets_what_it_likes_does_so_and_the_value_is_not_saved(tmp_path, caplog):
    class Free(Laser):
        _class_settings: ClassVar = {"validate_properties_on_set": False}

    thing = create_thing_without_server(Free, settings_folder=tmp_path)
    thing.anything = {1: "one"}
    assert thing.anything == {1: "one"}
    assert "not saved" in caplog.text
    thing.power = 3
    file = tmp_path / "Settings-Free.json"
    assert "anything" not in json.loads(file.read_text())


def test_a_change_in_place_is_saved_and_published_with_the_next_set(tmp_path: Path):
    thing = laser(tmp_path)
    thing.table["a"] = 1.5
    thing.offsets["y"] = 2.0
    with thing._thing_server_interface.broker.subscribe(Topic()) as published:
        thing.power = 3
        messages = {each.affordance: json.loads(each.payload) for each in published.take()}
    assert messages == {"power": 3, "table": {"a": 1.5}}
    again = laser(tmp_path)
    assert (again.power, again.table, again.offsets) == (3, {"a": 1.5}, {"x": 1.0, "y": 2.0})
    assert thing.reads == 0, "a getter whose value cannot change in place is not called"


def test_a_change_in_place_is_noticed_without_a_set(tmp_path: Path):
    thing = laser(tmp_path)
    thing._kept_settings.notice_changes(thing)
    assert not list(tmp_path.iterdir()), "nothing has changed"
    thing.table["a"] = 1.5
    with thing._thing_server_interface.broker.subscribe(Topic()) as published:
        thing._kept_settings.notice_changes(thing)
        thing._kept_settings.notice_changes(thing)
        assert [each.affordance for each in published.take()] == ["table"]
    assert laser(tmp_path).table == {"a": 1.5}


def test_the_object_itself_is_handed_out(tmp_path: Path):
    thing = laser(tmp_path)
    table = thing.table
    table["a"] = 1.5
    thing.power = 1
    assert thing.table is table


def test_a_change_in_place_that_cannot_be_read_back_is_said_once_and_costs_only_itself(
    tmp_path: Path, caplog
):
    thing = laser(tmp_path)
    thing.table["a"] = 1.5
    thing.power = 1
    thing.table["b"] = "text"
    thing.power = 2
    thing.power = 3
    thing._kept_settings.notice_changes(thing)
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert "Laser.table" in record.getMessage()
    assert (saved(tmp_path)["table"], saved(tmp_path)["power"]) == ({"a": 1.5}, 3)
    del thing.table["b"]
    thing.table["a"] = 2.5
    thing.power = 4
    assert saved(tmp_path)["table"] == {"a": 2.5}


def test_a_disk_that_fails_stops_no_poll_and_is_said_once(tmp_path: Path, caplog):
    folder = tmp_path / "laser"
    thing = laser(folder)
    folder.write_text("in the way")
    thing.table["a"] = 1.5
    for _ in range(3):
        thing._kept_settings.notice_changes(thing)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    folder.unlink()
    thing._kept_settings.notice_changes(thing)
    assert saved(folder)["table"] == {"a": 1.5}


def test_a_getter_that_fails_costs_no_other_setting(tmp_path: Path):
    class Broken(Laser):
        @lt.setting
        def offsets(self) -> dict[str, float]:
            raise OSError("no answer")

    thing = create_thing_without_server(Broken, settings_folder=tmp_path)
    thing.power = 3
    file = tmp_path / "Settings-Broken.json"
    assert json.loads(file.read_text())["power"] == 3


def test_a_bad_value_in_the_file_stays_there_until_the_setting_is_set(tmp_path: Path):
    file = tmp_path / "Settings-Laser.json"
    file.write_text('{"table": {"a": "high"}, "power": 1}')
    thing = laser(tmp_path)
    thing.power = 2
    assert saved(tmp_path)["table"] == {"a": "high"}
    thing.table = {"a": 1.0}
    assert saved(tmp_path)["table"] == {"a": 1.0}


def test_a_default_that_breaks_its_own_type_is_not_saved_until_it_is_set(tmp_path: Path):
    with pytest.warns(UserWarning, match=r"Old\.late: the default None"):

        class Old(lt.Thing):
            late: int = lt.setting(default=None)
            other: int = lt.setting(default=0)

    def make() -> Old:
        return create_thing_without_server(Old, settings_folder=tmp_path)

    file = tmp_path / "Settings-Old.json"
    thing = make()
    assert thing.late is None
    thing.other = 3
    assert json.loads(file.read_text()) == {"other": 3}
    assert make().late is None
    thing.late = 4
    assert json.loads(file.read_text()) == {"late": 4, "other": 3}
    assert make().late == 4


def test_save_settings_saves_them_all_and_only_then_what_nobody_set(tmp_path: Path):
    thing = laser(tmp_path)
    thing.power = 1
    assert "level" not in saved(tmp_path)
    thing.save_settings()
    assert saved(tmp_path).keys() == dict(Laser.settings).keys()


def test_an_older_reading_never_replaces_a_newer_one(tmp_path: Path):
    """While one thread reads a setting back, another sets it: the first must read again."""

    class Slow(lt.Thing):
        raced = False

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self._value = 0

        @lt.setting
        def value(self) -> int:
            found = self._value
            if found == 1 and not self.raced:
                self.raced = True
                self.value = 2
            return found

        @value.setter
        def _set_value(self, value):
            self._value = value

    thing = create_thing_without_server(Slow, settings_folder=tmp_path)
    thing.value = 1
    assert thing.raced
    file = tmp_path / "Settings-Slow.json"
    assert json.loads(file.read_text()) == {"value": 2}


def test_a_file_of_another_class_beside_is_named(tmp_path: Path, caplog):
    class LaserWithShutter(Laser):
        pass

    def make() -> LaserWithShutter:
        thing = create_thing_without_server(LaserWithShutter, settings_folder=tmp_path)
        return thing

    folder = tmp_path
    (folder / "Settings-Laser.json").write_text('{"power": 7}')
    thing = make()
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    for named in (str(folder / "Settings-LaserWithShutter.json"), "Settings-Laser.json"):
        assert named in record.getMessage()
    thing.power = 1
    caplog.clear()
    make()
    assert caplog.records == [], "it has a file of its own now"


def test_a_key_that_is_no_setting_is_said_and_kept(tmp_path: Path, caplog):
    file = tmp_path / "Settings-Laser.json"
    file.write_text('{"powr": 7}')
    laser(tmp_path).power = 1
    assert "extra key 'powr'" in caplog.text
    assert saved(tmp_path)["powr"] == 7


def test_an_edit_that_cannot_be_copied_is_not_overwritten(tmp_path: Path):
    thing = laser(tmp_path)
    thing.power = 1
    file = tmp_path / "Settings-Laser.json"
    file.unlink()
    file.mkdir()
    with pytest.raises(SettingsWriteError):
        thing.power = 2
    assert thing.power == 1
