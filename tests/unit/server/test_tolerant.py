"""A tolerant server runs without the Things that cannot start, and names them."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import pytest

import labthings_fastapi as lt
from labthings_fastapi.example_things import MyThing, ThingThatCantStart
from labthings_fastapi.exceptions import ThingStartError

calls: list[str] = []


class Recorded(lt.Thing):
    def __enter__(self):
        calls.append(f"enter {self.name}")

    def __exit__(self, *_):
        calls.append(f"exit {self.name}")


class Needs(Recorded):
    broken: ThingThatCantStart = lt.thing_slot()

    @lt.action
    def use(self) -> None:
        """Do nothing."""


class NeedsWhatNeeds(Recorded):
    middle: Needs = lt.thing_slot()


class LooksAround(Recorded):
    spare: ThingThatCantStart | None = lt.thing_slot()
    others: Mapping[str, ThingThatCantStart] = lt.thing_slot()


THINGS = {
    "top": NeedsWhatNeeds,
    "middle": Needs,
    "broken": ThingThatCantStart,
    "around": LooksAround,
    "mine": MyThing,
}


@pytest.fixture(autouse=True)
def fresh_calls():
    calls.clear()


def test_the_others_run_and_what_cannot_do_without_it_does_not():
    server = lt.ThingServer.from_things(THINGS, tolerant=True)
    with server.test_client() as client:
        assert calls == ["enter around"]
        health = client.get("/health")
        assert health.status_code == 200
        things = health.json()["things"]
        assert {name: entry["state"] for name, entry in things.items()} == {
            "top": "failing",
            "middle": "failing",
            "broken": "failing",
            "around": "open",
            "mine": "open",
        }
        assert things["broken"]["error"] == "RuntimeError: This thing can't start."
        assert things["middle"]["error"] == "it needs 'broken', which could not start"
        assert "error" not in things["mine"]
        assert client.get("/mine/counter").json() == 0
    assert calls == ["enter around", "exit around"]


def test_it_answers_for_them_with_the_reason(assert_problem_503):
    server = lt.ThingServer.from_things(THINGS, tolerant=True, api_prefix="/api")
    with server.test_client() as client:
        assert_problem_503(client.post("/api/middle/use"), "'middle' was not started: it needs")
        assert client.get("/api/middle/").json()["title"] == "Needs"
        assert client.get("/api/things/").json().keys() == THINGS.keys()


@pytest.fixture
def assert_problem_503():
    def check(answer, expected):
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["retry-after"] == "1"
        assert answer.json()["instance"] == answer.url.path
        assert expected in answer.json()["detail"]

    return check


def test_their_sockets_refuse_what_needs_their_code_with_the_reason():
    server = lt.ThingServer.from_things(THINGS, tolerant=True, api_prefix="/api")
    with server.test_client() as client, client.websocket_connect("/api/ws") as socket:
        for operation in ("invokeaction", "observeallproperties"):
            members = {"operation": operation, "thingID": "middle", "name": "use"}
            socket.send_json({"messageType": "request", **members})
        received = [socket.receive_json() for _ in range(2)]
    answers = {answer["operation"]: answer for answer in received}
    refused = answers["invokeaction"]
    assert refused["error"]["status"] == 503
    assert "it needs 'broken'" in refused["error"]["detail"]
    assert "error" not in answers["observeallproperties"]


def test_the_log_names_them(caplog):
    with (
        caplog.at_level(logging.WARNING, "labthings_fastapi"),
        lt.ThingServer.from_things(THINGS, tolerant=True).test_client(),
    ):
        pass
    expected = [record.getMessage() for record in caplog.records]
    assert "Running without: broken, middle, top." in expected
    assert sum("This thing can't start" in line for line in expected) == 1


def test_a_server_is_not_tolerant_by_default():
    server = lt.ThingServer.from_things({"broken": ThingThatCantStart, "a": Recorded})
    with pytest.raises(ThingStartError, match="'broken'"), server.test_client():
        pass
    assert calls == []
