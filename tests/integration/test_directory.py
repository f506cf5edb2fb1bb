"""The directory of Things, as W3C WoT Discovery has it."""

from __future__ import annotations

import json

import pytest

import labthings_fastapi as lt
from labthings_fastapi.thing_description.validation import validate


class Lamp(lt.Thing):
    power: int = lt.property(default=0)


@pytest.fixture
def server(tmp_path):
    return lt.ThingServer.from_things(
        {"a": Lamp, "b": Lamp, "c": Lamp}, settings_folder=tmp_path / "settings"
    )


@pytest.fixture
def client(server):
    with server.test_client() as client:
        yield client


def test_the_directory_describes_itself_as_the_standard_wants(client):
    answer = client.get("/.well-known/wot")
    assert answer.headers["content-type"] == "application/td+json"
    description = answer.json()
    validate(description)
    assert description["@type"] == "ThingDirectory"
    href = description["properties"]["things"]["forms"][0]["href"]
    assert len(client.get(href.partition("{")[0]).json()) == 3


def test_it_is_found_at_the_root_although_all_else_has_a_prefix(tmp_path):
    server = lt.ThingServer.from_things(
        {"a": Lamp}, settings_folder=tmp_path / "settings", api_prefix="/api"
    )
    with server.test_client() as client:
        description = client.get("/.well-known/wot").json()
        (thing,) = client.get("/api/directory/things").json()
    assert description["base"].endswith("/api/")
    assert thing["title"] == "Lamp"


def test_pages_lead_to_all_things(client):
    found, url = [], "/directory/things?limit=2"
    while url:
        answer = client.get(url)
        found += answer.json()
        url = answer.links.get("next", {}).get("url")
    assert found == client.get("/directory/things").json()
    assert len({each["id"] for each in found}) == 3


@pytest.mark.parametrize("query", ["limit=0", "limit=many", "offset=-1"])
def test_a_page_that_makes_no_sense_is_refused(client, assert_problem, query):
    assert_problem(client.get(f"/directory/things?{query}"), 400)


def test_a_thing_is_found_by_its_id(client, assert_problem):
    description = client.get("/b/").json()
    answer = client.get(f"/directory/things/{description['id']}")
    assert answer.json() == description
    again = client.get(
        f"/directory/things/{description['id']}", headers={"If-None-Match": answer.headers["etag"]}
    )
    assert again.status_code == 304
    assert_problem(client.get("/directory/things/urn:uuid:nobody"), 404)


def test_it_is_for_reading_only(client, assert_problem):
    assert_problem(client.post("/directory/things", json={}), 405)
    assert_problem(client.delete("/directory/things/x"), 405)


def test_a_thing_that_comes_later_is_announced(server, subscribe):
    stream = subscribe("/directory/events")
    lamp = server.add_thing(Lamp(), "/late/")
    event = stream.next()
    assert event["event"] == "thing_created"
    assert json.loads(event["data"]) == {"id": lamp.thing_description_dict()["id"]}


def test_openapi_has_the_directory_and_the_streams(client):
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/.well-known/wot", "/directory/things", "/directory/things/{id}"} <= set(paths)
    for path in ("/a/power", "/a/properties", "/a/events"):
        assert "text/event-stream" in paths[path]["get"]["responses"]["200"]["content"]
