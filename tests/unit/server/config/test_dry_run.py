"""A configuration is tried without starting anything."""

from __future__ import annotations

import pytest

import labthings_fastapi as lt
from labthings_fastapi.exceptions import ServerConfigurationError
from labthings_fastapi.server.config.build_things import check

entered: list[str] = []


class Careful(lt.Thing):
    level: int = lt.setting(default=1)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        services = self._thing_server_interface
        self.seen = (services.application_config["lab"], self.name, self.path)
        self.level = 7
        if services.application_config["lab"] == "closed":
            raise OSError("the lab is closed")

    def __enter__(self):
        entered.append(self.name)

    def __exit__(self, *_):
        pass


def config_of(tmp_path, lab="open"):
    return {
        "things": {"a": Careful, "b": "labthings_fastapi.example_things:MyThing"},
        "settings_folder": str(tmp_path / "settings"),
        "application_config": {"lab": lab},
        "enable_global_lock": True,
        "api_prefix": "/api",
    }


def test_things_are_made_but_not_opened_and_settings_stay_as_they_are(tmp_path):
    assert list(check(config_of(tmp_path)).things) == ["a", "b"]
    assert entered == []
    assert list(tmp_path.iterdir()) == []


def test_a_thing_that_cannot_be_made_is_reported_in_the_words_of_the_server(tmp_path):
    texts = []
    for attempt in (check, lt.ThingServer):
        with pytest.raises(ServerConfigurationError) as caught:
            attempt(config_of(tmp_path, "closed"))
        texts.append(str(caught.value))
    assert texts[0] == texts[1]
    assert "things.a.cls: it could not be made: OSError: the lab is closed" in texts[0]
