"""All errors of a configuration are reported at once, and no Thing is made to find them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

import labthings_fastapi as lt
from labthings_fastapi.exceptions import ServerConfigurationError, ThingSlotError
from labthings_fastapi.server.config.validation import validated
from labthings_fastapi.server.config_model import ThingConfig, ThingServerConfig

made: list[str] = []


class Stage(lt.Thing):
    def __init__(self, port: str, baud: int = 9600, **kwargs):
        made.append("stage")
        super().__init__(**kwargs)

    def __del__(self):
        made.append("deleted")


class Camera(lt.Thing):
    stage: Stage = lt.thing_slot()


class Named(lt.Thing):
    stage: Stage = lt.thing_slot("stage")


class Many(lt.Thing):
    stages: Mapping[str, Stage] = lt.thing_slot()
    spare: Stage | None = lt.thing_slot()


class Unclear(lt.Thing):
    other: Nowhere = lt.thing_slot()  # noqa: F821 - the error that is looked for


STAGE = {"cls": Stage, "kwargs": {"port": "COM1"}}


def errors_of(things, **options):
    with pytest.raises(ServerConfigurationError) as caught:
        validated({"things": things, **options})
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_errors_of_every_sort_are_in_one_paragraph():
    text = errors_of(
        {
            "stage": {"cls": Stage, "kwargs": {"prot": "COM1"}},
            "cam": "nowhere:Camera",
            "scan": {"cls": Camera, "thing_slots": {"stage": "stag"}},
        },
        securty="required",
    )
    assert text.startswith("The configuration has 4 errors: ")
    assert "things.cam.cls: 'nowhere' cannot be imported" in text
    assert "securty: there is no such option. Did you mean 'security'?" in text
    assert "things.stage.kwargs: Stage(): missing a required argument: 'port'" in text
    assert "parameters: port, baud=9600, **kwargs" in text
    assert "things.scan.thing_slots: scan.stage: 'stag' is not the name of a Thing" in text


def test_nothing_is_made_to_find_them():
    made.clear()
    errors_of({"stage": STAGE, "cam": Camera, "other": STAGE})
    validated({"things": {"stage": STAGE, "cam": Camera, "many": Many}})
    assert made == []


def test_several_errors_in_one_thing_are_all_found():
    text = errors_of(
        {
            "cam": {"cls": Camera, "kwargs": {"x": 1}, "thing_slots": {"stage": "s"}},
            "stage": {**STAGE, "args": "COM1"},
        }
    )
    assert "5 errors" not in text
    for message in (
        "things.cam.kwargs: Camera(): ",
        "things.cam.thing_slots: cam.stage: 's' is not the name of a Thing",
        "things.stage.args: input should be a valid list",
    ):
        assert message in text


def test_a_thing_of_unknown_class_causes_no_errors_in_others():
    text = errors_of({"x": "nowhere:Stage", "cam": Camera, "many": Many, "other": {"cls": Camera}})
    assert text.startswith("The configuration has an error: things.x.cls: ")
    text = errors_of({"stage": "nowhere:Stage", "cam": Named})
    assert text.startswith("The configuration has an error: things.stage.cls: ")


def test_errors_that_no_unknown_thing_can_correct_are_still_reported():
    text = errors_of({"x": "nowhere:Stage", "cam": Camera, "a": STAGE, "b": STAGE})
    assert "cam.stage: multiple Things could fill it: a, b" in text
    text = errors_of({"x": "nowhere:Stage", "cam": Named})
    assert "cam.stage: 'stage' is not the name of a Thing; there are: cam, x" in text


def test_a_slot_among_the_errors_makes_it_a_slot_error_too():
    with pytest.raises(ThingSlotError, match=r"cam\.stage: no matching Thing: it needs a Stage"):
        validated({"things": {"cam": Camera}})
    with pytest.raises(ServerConfigurationError, match=r"things\.cam\.thing_slots") as caught:
        validated({"things": {"cam": Camera}, "colour": "red"})
    assert isinstance(caught.value, ThingSlotError)


def test_a_hint_that_leads_nowhere_is_an_error_of_its_slot():
    assert "things.u.thing_slots: " in errors_of({"u": Unclear})


def test_a_configuration_that_was_checked_before_is_looked_at_too():
    config = ThingServerConfig(things={"stage": ThingConfig(cls=Stage)})
    with pytest.raises(ServerConfigurationError, match=r"things\.stage\.kwargs"):
        validated(config)
    fine = ThingServerConfig(things={"stage": ThingConfig(cls=Stage, args=["COM1"])})
    assert validated(fine) is fine


def test_messages_of_several_lines_become_one_paragraph(tmp_path, monkeypatch):
    (tmp_path / "unfinished_lab.py").write_text("raise OSError('first\\nsecond')", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert "first second" in errors_of({"a": "unfinished_lab:A"})
