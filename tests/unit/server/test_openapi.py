"""The OpenAPI document while Things come and several ask for it."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import labthings_fastapi as lt
from labthings_fastapi.example_things import MyThing
from labthings_fastapi.server import openapi


def in_another_thread(call: Any, *args: Any) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(call(*args)))
    thread.start()
    thread.join(30)
    return found[0]


@pytest.fixture
def server():
    return lt.ThingServer.from_things({"mine": MyThing})


def test_a_thing_that_comes_while_the_document_is_written_is_in_the_next(server, monkeypatch):
    describe = openapi.thing_paths

    def describe_as_another_comes(*args: Any) -> Any:
        if "other" not in server.things:
            in_another_thread(server.add_thing, MyThing(), "other")
        return describe(*args)

    monkeypatch.setattr(openapi, "thing_paths", describe_as_another_comes)
    assert "/mine/" in server.app.openapi()["paths"]
    assert "/other/" in server.app.openapi()["paths"]
    assert server.app.openapi() is server.app.openapi()


def test_no_client_gets_an_incomplete_document(server, monkeypatch):
    describe, others = openapi.thing_paths, []

    def describe_as_somebody_asks(*args: Any) -> Any:
        monkeypatch.setattr(openapi, "thing_paths", describe)
        others.append("/mine/" in in_another_thread(server.app.openapi)["paths"])
        return describe(*args)

    monkeypatch.setattr(openapi, "thing_paths", describe_as_somebody_asks)
    assert "/mine/" in server.app.openapi()["paths"]
    assert others == [True]
