"""The example with a bit of everything."""

from __future__ import annotations

import inspect

import pytest

import labthings_fastapi as lt
from labthings_fastapi.example_things import MyThing


@pytest.fixture
def client():
    with lt.ThingServer.from_things({"mine": MyThing}).test_client() as client:
        yield client


def run_of(client, action, **given):
    answer = client.post(f"/mine/{action}", json=given)
    assert answer.status_code == 201, answer.text
    href = f"/action_invocations/{answer.json()['id']}"
    found = client.get(href, headers={"Prefer": "wait=60"}).json()
    assert found["status"] == "completed", found
    return found


def test_its_properties_start_as_documented(client):
    assert client.get("/mine/properties").json() == {"counter": 0, "foo": "Example"}
    assert client.put("/mine/foo", json="Other").status_code == 204
    assert client.put("/mine/counter", json=3).status_code == 405


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("anaction", {"repeats": ..., "undocumented": ..., "title": "Untitled", "attempts": None}),
        ("make_a_dict", {"extra_key": None, "extra_value": None}),
        ("increment_counter", {}),
        ("slowly_increase_counter", {"increments": 60, "delay": 1}),
        ("action_without_arguments", {}),
    ],
)
def test_its_actions_take_what_is_documented(name, parameters):
    signature = inspect.signature(getattr(MyThing(), name))
    found = {
        key: ... if parameter.default is parameter.empty else parameter.default
        for key, parameter in signature.parameters.items()
    }
    assert found == parameters


def test_its_actions_do_what_is_documented(client):
    run = run_of(client, "anaction", repeats=3, undocumented=0, attempts=["a"])
    assert run["output"] == {"end_result": "finished!!"}
    assert client.get("/mine/counter").json() == 3
    run_of(client, "increment_counter")
    run_of(client, "slowly_increase_counter", increments=2, delay=0)
    assert client.get("/mine/counter").json() == 6
    assert run_of(client, "make_a_dict")["output"] == {"key": "value"}
    more = run_of(client, "make_a_dict", extra_key="a", extra_value="b")
    assert more["output"] == {"key": "value", "a": "b"}
    assert run_of(client, "action_without_arguments")["output"] is None
    assert run_of(client, "action_with_only_kwargs", a=1, b=[2])["input"] == {"a": 1, "b": [2]}


def test_a_slow_count_can_be_cancelled(client):
    id = client.post("/mine/slowly_increase_counter", json={"delay": 600}).json()["id"]
    href = f"/action_invocations/{id}"
    client.delete(href)
    assert client.get(href, headers={"Prefer": "wait=60"}).json()["status"] == "cancelled"
    assert client.get("/mine/counter").json() == 0


def test_its_description_obeys_the_standard():
    MyThing().validate_thing_description()
