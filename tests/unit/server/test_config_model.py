"""The configuration of a server: every error is reported at once, with its path."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import labthings_fastapi as lt
from labthings_fastapi.exceptions import ServerConfigurationError
from labthings_fastapi.server.config.validation import validated
from labthings_fastapi.server.config_model import (
    NotAThingError,
    ThingImportFailure,
    ThingServerConfig,
    import_thing_class,
)


class Stage(lt.Thing):
    pass


def test_a_class_is_short_for_a_thing_without_arguments():
    config = validated({"things": {"stage": Stage, "other": "labthings_fastapi.thing:Thing"}})
    assert config.things["stage"].cls is Stage
    assert config.things["other"].cls is lt.Thing
    assert config.things["stage"].kwargs == {}


def test_defaults_are_those_of_the_documentation():
    config = validated({})
    assert (config.settings_folder, config.api_prefix) == (Path.cwd() / "settings", "")
    assert config.application_config is None


def test_a_configuration_that_was_checked_is_taken_as_it_is():
    config = ThingServerConfig(things={})
    assert validated(config) is config


def test_all_errors_are_reported_at_once_with_their_places():
    with pytest.raises(ServerConfigurationError) as caught:
        validated(
            {
                "things": {
                    "stage": {"cls": "nowhere.at.all:Stage", "args": 3},
                    "my cam": Stage,
                    "slots": {"cls": Stage, "thing_slots": {"a": 5}},
                },
                "api_prefix": "api/",
                "journal": {"kid": "memory"},
            }
        )
    text = str(caught.value)
    assert "6 errors" in text
    assert "things.stage.cls: 'nowhere.at.all' cannot be imported: ModuleNotFoundError" in text
    assert "things.stage.args: input should be a valid list" in text
    assert "things.my cam: the name does not fit in a URL" in text
    assert "things.slots.thing_slots.a: it must be the name of a Thing" in text
    assert "api_prefix: 'api/' must begin with a slash" in text
    assert "journal.kid: there is no such option" in text


def test_one_error_is_one_error():
    with pytest.raises(ServerConfigurationError, match=r"has an error: things\.stage\.cls: 5 is"):
        validated({"things": {"stage": {"cls": 5}}})


@pytest.mark.parametrize("name", ["", "a b", "é", "a/b", "things", "action_invocations"])
def test_a_name_must_fit_in_a_url_and_be_free(name):
    with pytest.raises(ServerConfigurationError, match="things"):
        validated({"things": {name: Stage}})


@pytest.mark.parametrize("prefix", ["", "/api", "/lab/v1.0"])
def test_a_prefix_is_a_path(prefix):
    assert validated({"api_prefix": prefix}).api_prefix == prefix


@pytest.mark.parametrize("prefix", ["/", "api", "/api/", "//", "/a//b", "/{x}", "/a b"])
def test_what_is_no_path_is_no_prefix(prefix):
    with pytest.raises(ServerConfigurationError, match="api_prefix"):
        validated({"api_prefix": prefix})


@pytest.mark.parametrize("given", [[], "things", 5])
def test_what_is_no_object_is_no_configuration(given):
    with pytest.raises(ServerConfigurationError, match="the whole file"):
        validated(given)


def test_a_value_is_shown_as_it_is():
    with pytest.raises(
        ServerConfigurationError,
        match=r"things\.a\.cls: None is not a Thing: it is no subclass of lt.Thing",
    ):
        validated({"things": {"a": None}})


@pytest.mark.parametrize("choice", [None, True, False])
def test_discovery_may_be_on_off_or_automatic(choice):
    assert validated({"discovery": choice}).discovery is choice


def test_discovery_needs_a_library_and_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "zeroconf", None)
    assert validated({}).discovery is None
    remedy = r"discovery: .* extra 'discovery' \(in the checkout: pip install '\.\[discovery\]'\)"
    with pytest.raises(ServerConfigurationError, match=remedy):
        validated({"discovery": True})


def test_a_class_is_found_by_module_and_name():
    assert import_thing_class("labthings_fastapi.thing:Thing") is lt.Thing
    assert import_thing_class("labthings_fastapi.thing.Thing") is lt.Thing
    assert import_thing_class(lt.Thing) is lt.Thing


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("Thing", "must look like"),
        ("labthings_fastapi.thing:", "must look like"),
        ("nowhere:Thing", "'nowhere' cannot be imported"),
        ("nowhere.at.all.Thing", "'nowhere.at.all' cannot be imported"),
        ("labthings_fastapi.thing:Nothing", "cannot import name 'Nothing'"),
        ("labthings_fastapi.thing:slots_of", "no subclass of lt.Thing"),
        ("builtins:int", "no subclass of lt.Thing"),
        (None, "no subclass of lt.Thing"),
        (lt.Thing(), "no subclass of lt.Thing"),
    ],
)
def test_an_error_says_what_is_wrong(source, message):
    with pytest.raises((ThingImportFailure, NotAThingError), match=message):
        import_thing_class(source)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import sys; sys.exit(1)", "SystemExit: 1"),
        ("1 / 0", "ZeroDivisionError"),
        ("x =", "SyntaxError"),
        ("import a_missing_driver", "No module named 'a_missing_driver'"),
    ],
)
def test_a_module_may_do_anything_while_it_is_imported(tmp_path, monkeypatch, code, message):
    name = f"hostile_{abs(hash(code))}"
    (tmp_path / f"{name}.py").write_text(code, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ThingImportFailure, match=message):
        import_thing_class(f"{name}:Thing")
    with pytest.raises(ThingImportFailure, match=message):
        import_thing_class(f"{name}.Thing")
