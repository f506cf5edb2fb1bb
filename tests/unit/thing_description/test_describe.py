"""The content of a Thing Description, and that it is valid."""

from __future__ import annotations

from uuid import UUID

import labthings_fastapi as lt
from labthings_fastapi.testing import create_thing_without_server
from labthings_fastapi.thing_description.describe import describe, thing_id
from labthings_fastapi.thing_description.units import UNIT_PREFIXES


class Gauge(lt.Thing):
    pressure: float = lt.property(default=1.0, readonly=True, unit="om:pascal")
    label: str = lt.property(default="", observable=False)
    leaked: lt.Event[float] = lt.event()

    @lt.action
    def vent(self) -> None:
        """Let air in."""


class Silent(lt.Thing):
    serial: str = lt.property(default="7", readonly=True, observable=False)


def operations(forms):
    return [(form["op"], form.get("subprotocol")) for form in forms]


def test_it_is_valid_and_always_names_the_content_type():
    gauge = create_thing_without_server(Gauge)
    gauge.validate_thing_description()
    description = describe(gauge, base="http://lab.example:5000")
    affordances = [
        affordance
        for part in ("properties", "actions", "events")
        for affordance in description[part].values()
    ]
    forms = description["forms"] + [form for each in affordances for form in each["forms"]]
    assert all(form["contentType"] for form in forms)


def test_the_whole_thing_can_be_read_written_followed_and_queried():
    forms = describe(create_thing_without_server(Gauge))["forms"]
    assert operations(forms) == [
        ("readallproperties", None),
        ("writemultipleproperties", None),
        ("queryallactions", None),
        (["observeallproperties", "unobserveallproperties"], "longpoll"),
        (["subscribeallevents", "unsubscribeallevents"], "longpoll"),
        (["observeallproperties", "unobserveallproperties"], "sse"),
        ("observeallproperties", "sse"),
        (["subscribeallevents", "unsubscribeallevents"], "sse"),
        ("subscribeallevents", "sse"),
    ]


def test_only_what_is_possible_is_offered():
    silent = create_thing_without_server(Silent)
    silent.validate_thing_description()
    assert operations(describe(silent)["forms"]) == [("readallproperties", None)]


def test_prefixes_of_units_are_explained_where_they_are_used():
    _, prefixes = describe(create_thing_without_server(Gauge))["@context"]
    assert prefixes["om"] == UNIT_PREFIXES["om"]
    assert "qudt-unit" not in prefixes
    assert "om" not in describe(create_thing_without_server(Silent))["@context"][1]


def test_the_id_belongs_to_the_server_and_the_name():
    gauge = create_thing_without_server(Gauge)
    one, other = UUID(int=1), UUID(int=2)
    ids = {thing_id(gauge), thing_id(gauge, one), thing_id(gauge, other)}
    assert len(ids) == 3
    assert describe(gauge, server_id=one)["id"] == thing_id(gauge, one)


def test_the_version_changes_with_the_content_but_not_with_the_host():
    gauge, silent = create_thing_without_server(Gauge), create_thing_without_server(Silent)
    here = describe(gauge, base="http://a.example")["version"]
    assert here == describe(gauge, base="http://b.example:81")["version"]
    assert here != describe(silent, base="http://a.example")["version"]
