"""Things on their own, for tests."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from pathlib import Path
from unittest.mock import Mock

import pytest

import labthings_fastapi as lt
from labthings_fastapi.exceptions import ThingNotConnectedError, ThingSlotError
from labthings_fastapi.testing import (
    MockThingServerInterface,
    create_thing_without_server,
    manually_connect_thing_slot,
    mock_thing_instance,
    use_dummy_url_for,
)


class Stage(lt.Thing):
    speed: float = lt.property(default=1.0)
    backlash: int = lt.setting(default=10)

    @lt.action
    def move(self, x: float) -> float:
        return x * self.speed


class Camera(lt.Thing):
    stage: Stage = lt.thing_slot()
    spare: Stage | None = lt.thing_slot()
    many: Mapping[str, Stage] = lt.thing_slot()

    def __init__(self, width: int, height: int = 1, **kwargs):
        super().__init__(**kwargs)
        self.size = (width, height)

    @lt.action
    def scan(self) -> float:
        return self.stage.move(2)


class Silent(lt.Thing):
    """Calls no `super().__init__()` and takes no interface."""

    def __init__(self, port):
        self.port = port


def test_a_thing_is_made_as_a_server_would_make_it():
    camera = create_thing_without_server(Camera, 4, height=3)
    assert (camera.size, camera.name, camera.path) == ((4, 3), "camera", "/camera/")
    assert create_thing_without_server(Silent, 7).port == 7
    with pytest.raises(ThingNotConnectedError):
        _ = camera.stage


def test_wrong_arguments_are_an_error_of_the_call():
    with pytest.raises(TypeError, match="Camera"):
        create_thing_without_server(Camera, deepness=3)


def test_settings_are_kept_in_the_folder_and_loaded(tmp_path: Path):
    create_thing_without_server(Stage, settings_folder=str(tmp_path)).backlash = 4
    assert (tmp_path / "Settings-Stage.json").exists()
    assert create_thing_without_server(Stage, settings_folder=tmp_path).backlash == 4


def test_without_a_folder_settings_work_and_go_away_with_the_thing():
    stage = create_thing_without_server(Stage)
    stage.backlash = 4
    folder = Path(stage._thing_server_interface.settings_folder)
    assert list(folder.iterdir())
    del stage
    gc.collect()
    assert not folder.exists()


def test_there_is_a_global_lock_unless_it_is_not_wanted():
    with_lock = create_thing_without_server(Stage)
    assert with_lock._thing_server_interface.global_lock is not None
    without = create_thing_without_server(Stage, enable_global_lock=False)
    assert without._thing_server_interface.global_lock is None


def test_all_slots_can_be_filled_with_stand_ins():
    camera = create_thing_without_server(Camera, 1, mock_all_slots=True)
    assert isinstance(camera.stage, Stage)
    assert isinstance(camera.spare, Stage)
    assert [isinstance(each, Stage) for each in camera.many.values()] == [True]
    camera.stage.move.return_value = 5
    assert camera.scan() == 5
    camera.stage.move.assert_called_once_with(2)


def test_a_stand_in_has_what_its_class_has_and_no_more():
    stage = mock_thing_instance(Stage)
    assert isinstance(stage, Mock)
    assert stage.name == "mock-stage"
    with pytest.raises(AttributeError):
        _ = stage.fly


def test_a_slot_takes_what_it_is_given():
    camera, stage = create_thing_without_server(Camera, 1), Stage()
    manually_connect_thing_slot(camera, "stage", stage)
    manually_connect_thing_slot(camera, "many", {"left": stage})
    assert (camera.stage, camera.many["left"], camera.scan()) == (stage, stage, 2.0)


def test_a_slot_that_does_not_exist_is_named():
    with pytest.raises(AttributeError, match=r"Camera has no slot 'stages'.*stage, spare, many"):
        manually_connect_thing_slot(create_thing_without_server(Camera, 1), "stages", Stage())


def test_a_url_can_be_had_without_a_server():
    with use_dummy_url_for() as url_for:
        assert url_for("action_invocation", id=3) == "urlfor://action_invocation/?id=3"


class Bench(lt.Thing):
    """Has a slot of each kind."""

    stage: Stage = lt.thing_slot("my_stage")
    any_stage: Stage = lt.thing_slot()
    none: Stage | None = lt.thing_slot(None)
    nothing: Mapping[str, Stage] = lt.thing_slot(None)
    several: Mapping[str, Stage] = lt.thing_slot(["left", "right"])
    others: Mapping[str, Stage] = lt.thing_slot()


def test_stand_ins_have_the_names_of_the_slots_defaults():
    bench = create_thing_without_server(Bench, mock_all_slots=True)
    assert (bench.stage.name, bench.any_stage.name) == ("my_stage", "mock-any_stage")
    assert bench.none is None
    assert dict(bench.nothing) == {}
    assert list(bench.several) == ["left", "right"]
    assert list(bench.others) == ["mock-others"]


def test_the_interface_is_made_here_and_cannot_be_given():
    with pytest.raises(ValueError, match="may not supply"):
        create_thing_without_server(Camera, 1, thing_server_interface=None)


def test_the_interface_of_a_test_runs_nothing_and_knows_no_server(tmp_path: Path):
    interface = MockThingServerInterface("stage", "Stage", tmp_path)
    ran = []

    async def task():
        ran.append(1)

    assert interface.start_async_task_soon(task).cancelled()
    assert ran == []
    assert interface.get_thing_states() == {}
    assert interface.path == "/stage/"
    assert interface.settings_folder == str(tmp_path)
    assert interface.settings_file_path == str(tmp_path / "Settings-Stage.json")
    assert interface.global_lock is None
    with pytest.raises(NotImplementedError, match="no server"):
        _ = interface.services


def test_an_attribute_of_the_interface_can_be_patched_for_one_test():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MockThingServerInterface, "application_config", {"lab": 5})
        stage = create_thing_without_server(Stage)
        assert stage._thing_server_interface.application_config == {"lab": 5}
    assert create_thing_without_server(Stage)._thing_server_interface.application_config is None


@pytest.mark.parametrize(
    ("slot", "target", "error", "text"),
    [
        ("stage", Mock(), TypeError, "stand-ins of"),
        ("many", [Mock(spec=int)], TypeError, "stand-ins of"),
        ("stage", lambda: Silent(1), ThingSlotError, "wrong type"),
        ("stage", lambda: [Stage(), mock_thing_instance(Stage)], ThingSlotError, "not the name"),
        ("stage", None, ThingSlotError, "must be set"),
        ("many", lambda: [Stage(), Stage()], KeyError, "are not uniquely named"),
    ],
)
def test_a_slot_goes_by_its_rules_in_tests_too(slot, target, error, text):
    made = target() if callable(target) and not isinstance(target, Mock) else target
    camera = create_thing_without_server(Camera, 1)
    with pytest.raises(error, match=text):
        manually_connect_thing_slot(camera, slot, made)


def test_a_slot_takes_a_list_and_keeps_what_nobody_else_has():
    camera = create_thing_without_server(Camera, 1)
    manually_connect_thing_slot(camera, "stage", [Stage()])
    manually_connect_thing_slot(camera, "many", [mock_thing_instance(Stage, "a"), Stage()])
    gc.collect()
    assert camera.scan() == 2.0
    assert list(camera.many) == ["a", "Stage"]


def test_the_descriptors_of_a_class_can_be_used_with_its_stand_in():
    stage = mock_thing_instance(Stage)
    Stage.speed.__set__(stage, 3)
    assert Stage.speed.__get__(stage) == 3.0
    assert Stage.move(stage, 2) is not None
