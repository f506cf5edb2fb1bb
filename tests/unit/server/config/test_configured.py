"""Older spellings of a configuration, keys that mean nothing, and older ways of making a server."""

from __future__ import annotations

import json
import logging

import pytest

import labthings_fastapi as lt
from labthings_fastapi.exceptions import ServerConfigurationError
from labthings_fastapi.server.check import check
from labthings_fastapi.server.config.validation import validated


class Stage(lt.Thing):
    pass


class Camera(lt.Thing):
    stage: Stage = lt.thing_slot()


STAGE = f"{__name__}:Stage"
THINGS = {"stage": Stage, "cam": Camera}


@pytest.mark.parametrize("key", ["cls", "class"])
@pytest.mark.parametrize("name", [STAGE, STAGE.replace(":", ".")])
def test_a_class_is_found_by_either_key_and_either_spelling(key, name):
    config = validated({"things": {"stage": {key: name}}})
    assert config.things["stage"].cls.__name__ == "Stage"
    assert config.thing_configs["stage"] is config.things["stage"]


def test_a_class_that_is_wrong_is_one_error_under_either_key():
    with pytest.raises(ServerConfigurationError, match=r"an error: things\.stage\.cls: 5 is"):
        validated({"things": {"stage": {"class": 5}}})


def test_a_configuration_is_dumped_with_dotted_names_and_read_again():
    config = validated({"things": {"stage": {"cls": Stage, "kwargs": {}}}, "log_folder": "x"})
    text = config.model_dump_json()
    assert json.loads(text)["things"]["stage"]["cls"] == STAGE.replace(":", ".")
    assert type(config).model_validate_json(text).model_extra == {"log_folder": "x"}
    assert lt.ThingServerConfig.model_validate_json("{}").settings_folder.is_absolute()


def test_the_settings_folder_null_is_the_default():
    assert validated({"settings_folder": None}) == validated({})


KEYS = {
    "things": {
        "stage": {"class": Stage, "kwarg": {}},
        "cam": {"class": Camera, "thing_slots": {"satge": "stage"}},
    },
    "log_folder": "./logs",
    "setings_folder": "./here",
}
REMARKS = [
    "log_folder: there is no such option, so it is ignored.",
    "setings_folder: there is no such option, so it is ignored. Did you mean 'settings_folder'?",
    "things.stage.kwarg: there is no such option, so it is ignored. Did you mean 'kwargs'?",
    "things.cam.thing_slots.satge: cam.satge: there is no such slot, so it is ignored. Did you "
    "mean 'stage'?",
]


def test_keys_that_mean_nothing_are_told_with_the_nearest_one_and_do_not_stop_the_start(caplog):
    with caplog.at_level(logging.WARNING):
        server = lt.ThingServer(KEYS)
    assert list(server.things) == ["stage", "cam"]
    told = [record.getMessage() for record in caplog.records]
    assert sorted(told) == sorted(f"The configuration: {remark}" for remark in REMARKS)


def test_check_lists_them():
    assert set(REMARKS) <= set(check(KEYS))


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("securty", "security"),
        ("Security", "security"),
        ("authentication", "security.authentication"),
    ],
)
def test_a_key_that_may_be_meant_for_safety_is_an_error(key, meant):
    with pytest.raises(ServerConfigurationError, match=f"{key}: .*Did you mean '{meant}'"):
        lt.ThingServer({"things": {}, key: "required"})


def test_a_section_of_the_server_has_no_keys_of_others():
    with pytest.raises(ServerConfigurationError, match=r"security\.authentification: there is no"):
        lt.ThingServer({"security": {"authentification": "required"}})


def test_keywords_alone_are_the_configuration():
    with pytest.warns(DeprecationWarning, match="keyword arguments") as caught:
        server = lt.ThingServer(things=THINGS, application_config={"lab": 7})
    assert caught[0].filename == __file__
    assert list(server.things) == ["stage", "cam"]
    assert server.application_config == {"lab": 7}


def test_keywords_beside_a_configuration_are_refused():
    with pytest.raises(ValueError, match="no extra keyword arguments"):
        lt.ThingServer({"things": THINGS}, api_prefix="/api")


def test_from_config_is_redundant():
    with pytest.warns(DeprecationWarning, match="redundant") as caught:
        server = lt.ThingServer.from_config({"things": THINGS}, True)
    assert caught[0].filename == __file__
    assert (list(server.things), server.debug) == (["stage", "cam"], True)


def test_a_mapping_of_things_is_taken():
    with pytest.warns(DeprecationWarning, match="from_things"):
        server = lt.ThingServer({"stage": Stage, "cam": lt.ThingConfig(cls=Camera)})
    assert list(server.things) == ["stage", "cam"]


@pytest.mark.parametrize("nonsense", ["bench.json", 5, [Stage]])
def test_nonsense_is_answered_with_the_way_to_write_it(nonsense):
    with pytest.raises(TypeError, match="from_things"):
        lt.ThingServer(nonsense)
