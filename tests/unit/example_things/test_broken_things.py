"""Things that fail show what happens then."""

from __future__ import annotations

import pytest

import labthings_fastapi as lt
from labthings_fastapi.example_things import (
    ThingThatCantInstantiate,
    ThingThatCantStart,
    ThingWithBrokenAffordances,
)
from labthings_fastapi.exceptions import ThingStartError


def test_broken_affordances_break_no_server():
    server = lt.ThingServer.from_things({"broken": ThingWithBrokenAffordances})
    with server.test_client() as client:
        answer = client.get("/broken/broken_property")
        assert answer.status_code == 500
        assert "This is a broken property." in answer.json()["detail"]
        id = client.post("/broken/broken_action").json()["id"]
        run = client.get(f"/action_invocations/{id}", headers={"Prefer": "wait=60"}).json()
        assert run["status"] == "error"
        assert client.get("/health").json()["status"] == "running"


def test_what_cannot_be_made_stops_the_server_from_being_built():
    with pytest.raises(RuntimeError, match="can't be instantiated"):
        lt.ThingServer.from_things({"a": ThingThatCantInstantiate})


def test_what_cannot_start_stops_the_server_from_starting():
    server = lt.ThingServer.from_things({"a": ThingThatCantStart})
    with (
        pytest.raises(ThingStartError, match="'a' could not start: RuntimeError"),
        server.test_client(),
    ):
        pass
