"""The forms of the WebSocket binding."""

from __future__ import annotations

import pytest

import labthings_fastapi as lt
from labthings_fastapi.testing import create_thing_without_server
from labthings_fastapi.thing_description.describe import describe
from labthings_fastapi.thing_description.http_forms import HttpForms
from labthings_fastapi.thing_description.validation import validate
from labthings_fastapi.thing_description.websocket_forms import WebSocketForms

WRITERS = (HttpForms(), WebSocketForms())


class Lamp(lt.Thing):
    level: int = lt.property(default=1)
    serial: str = lt.property(default="1", readonly=True, observable=False)
    burnt_out: lt.Event[int] = lt.event()

    @lt.action
    def blink(self) -> None:
        pass

    @lt.action(synchronous=True)
    def measure(self) -> int:
        return 1


class Silent(lt.Thing):
    pass


def sockets(forms):
    return [form for form in forms if form.get("subprotocol") == "webthingprotocol"]


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://lab:5000", "ws://lab:5000/lamp/ws"),
        ("https://lab", "wss://lab/lamp/ws"),
    ],
)
def test_every_operation_has_a_form_and_it_comes_last(base, url):
    description = describe(create_thing_without_server(Lamp), WRITERS, base=base)
    validate(description)
    offered = {}
    for part in ("properties", "actions", "events"):
        for name, affordance in description[part].items():
            [found] = sockets(affordance["forms"])
            assert affordance["forms"][-1] == found
            assert (found["href"], found["contentType"]) == (url, "application/json")
            offered[name] = found["op"]
    assert offered == {
        "level": ["readproperty", "writeproperty", "observeproperty", "unobserveproperty"],
        "serial": ["readproperty"],
        "blink": ["invokeaction", "queryaction", "cancelaction"],
        "measure": ["invokeaction"],
        "burnt_out": ["subscribeevent", "unsubscribeevent"],
    }
    assert description["forms"][-1]["op"] == [
        "readallproperties",
        "readmultipleproperties",
        "writeallproperties",
        "writemultipleproperties",
        "observeallproperties",
        "unobserveallproperties",
        "queryallactions",
        "subscribeallevents",
        "unsubscribeallevents",
    ]


def test_a_thing_without_affordances_has_no_form():
    assert "forms" not in describe(create_thing_without_server(Silent), WRITERS, base="http://a")


def test_without_a_host_there_is_no_url_of_a_socket():
    description = describe(create_thing_without_server(Lamp), WRITERS)
    assert sockets(description["forms"]) == []
    assert sockets(create_thing_without_server(Lamp).thing_description_dict()["forms"]) == []


def test_the_version_does_not_depend_on_the_host():
    lamp = create_thing_without_server(Lamp)
    versions = {
        describe(lamp, WRITERS, base=base)["version"]["instance"]
        for base in ("http://a", "http://b:81", "https://c")
    }
    assert len(versions) == 1
