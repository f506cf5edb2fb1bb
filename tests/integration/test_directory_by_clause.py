"""The directory, clause by clause: WoT Discovery (D)."""

from __future__ import annotations

import json
import re

import pytest

import labthings_fastapi as lt
from labthings_fastapi.thing_description.validation import validate

NAMES = ["a", "b", "c", "d", "e"]


class Lamp(lt.Thing):
    power: int = lt.property(default=0)


@pytest.fixture
def server(tmp_path):
    return lt.ThingServer.from_things(
        dict.fromkeys(NAMES, Lamp), settings_folder=tmp_path / "settings", api_prefix="/lab"
    )


@pytest.fixture
def client(server):
    with server.test_client() as client:
        yield client


@pytest.fixture
def directory(client):
    found = client.get("/.well-known/wot").json()
    validate(found)
    return found


LIST = "http://testserver/lab/directory/things"
CANONICAL = re.compile(r'<([^>]*)>; rel="canonical"; etag="([^"]+)"')


def pages(client, query):
    url = f"{LIST}?{query}"
    while url:
        answer = client.get(url)
        assert answer.status_code == 200, answer.text
        yield answer
        url = answer.links.get("next", {}).get("url")


def test_things_are_sorted_by_id_in_code_point_order_d_7_3_2_1_5(client):
    ids = [each["id"] for each in client.get(LIST).json()]
    assert ids == sorted(ids)
    assert len(ids) == len(NAMES)
    for limit in (1, 2, 4):
        assert [
            each["id"] for page in pages(client, f"limit={limit}") for each in page.json()
        ] == ids


@pytest.mark.parametrize("query", ["", "limit=2", "offset=4", "offset=99", "format=collection"])
def test_every_page_names_the_list_and_its_state_d_7_3_2_1_5(client, query):
    for page in pages(client, query):
        [(url, etag)] = CANONICAL.findall(page.headers["link"])
        assert url == LIST
        assert etag


def test_the_etag_of_the_list_changes_when_a_thing_comes_d_7_3_2_1_5(server, client):
    def etags():
        return {CANONICAL.search(page.headers["link"])[2] for page in pages(client, "limit=2")}

    before = etags()
    assert len(before) == 1
    assert etags() == before
    server.things["a"].power = 5
    assert etags() == before  # the list is as it was
    server.add_thing(Lamp(), "/late/")
    assert len(etags()) == 1
    assert etags() != before


def test_a_collection_says_how_to_go_on_d_7_3_2_1_5(client):
    found = [page.json() for page in pages(client, "format=collection&limit=2")]
    members = [each["id"] for page in found for each in page["members"]]
    assert members == [each["id"] for each in client.get(LIST).json()]
    for page in found:
        assert page["@context"] == "https://www.w3.org/2022/wot/discovery"
        assert page["@type"] == "ThingCollection"
        assert page["total"] == len(NAMES)
    assert [page["@id"] for page in found[1:]] == [page["next"] for page in found[:-1]]
    assert client.get(found[0]["@id"]).json() == found[0]
    assert "next" not in found[-1]


def test_a_collection_without_a_limit_has_all(client):
    found = client.get(f"{LIST}?format=collection")
    assert found.headers["content-type"] == "application/ld+json"
    assert len(found.json()["members"]) == found.json()["total"] == len(NAMES)
    assert found.json()["@id"] == f"{LIST}?format=collection"


@pytest.mark.parametrize(
    "path",
    [
        "things?format=tree",
        "things?format=",
        "things?limit=0",
        "things?offset=x",
        "events?diff=true",
        "events/thing_created?diff=true",
    ],
)
def test_what_is_not_supported_is_refused_d_7_3_2(client, assert_problem, path):
    assert_problem(client.get(f"/lab/directory/{path}"), 400)


def test_an_option_that_is_the_default_is_accepted(client):
    assert client.get(f"{LIST}?format=array").json() == client.get(LIST).json()


@pytest.mark.parametrize("kind", ["", "/thing_created", "/thing_updated", "/thing_deleted"])
def test_every_kind_of_event_can_be_followed_d_7_3_2_2(client, kind):
    answer = client.head(f"/lab/directory/events{kind}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream"


def test_a_thing_that_comes_is_announced_to_who_follows_it_d_7_3_2_2(server, subscribe):
    all, created = (subscribe(f"/lab/directory/events{kind}") for kind in ("", "/thing_created"))
    id = server.add_thing(Lamp(), "/late/").thing_description_dict()["id"]
    for stream in (all, created):
        event = stream.next()
        assert (event["event"], json.loads(event["data"])) == ("thing_created", {"id": id})


def test_the_description_follows_the_thing_model_d_7_3_2_4(directory):
    assert directory["@type"] == "ThingDirectory"
    assert "https://www.w3.org/2022/wot/discovery" in directory["@context"]
    things = directory["properties"]["things"]
    assert (things["type"], things["items"]) == ("array", {"type": "object"})
    assert set(things["uriVariables"]) == {"offset", "limit", "format"}
    retrieve = directory["actions"]["retrieveThing"]
    assert retrieve["uriVariables"]["id"]["@type"] == "ThingID"
    assert set(directory["events"]) == {"thingCreated", "thingUpdated", "thingDeleted"}
    for event in directory["events"].values():
        assert event["data"]["required"] == ["id"]


def test_forms_of_the_directory_say_what_is_answered_d_7_3_2_4(directory):
    answers = {}
    for part in ("properties", "actions", "events"):
        for name, affordance in directory[part].items():
            [form] = affordance["forms"]
            for other in form["additionalResponses"]:
                assert other["contentType"] == "application/problem+json"
            statuses = [other["htv:statusCodeValue"] for other in form["additionalResponses"]]
            answers[name] = (form["response"]["contentType"], form.get("contentType"), statuses)
    event = ("text/event-stream", None, [400])
    assert answers == {
        "things": ("application/ld+json", "application/ld+json", [400]),
        "retrieveThing": ("application/td+json", "application/td+json", [400, 404]),
        "thingCreated": event,
        "thingUpdated": event,
        "thingDeleted": event,
    }


def test_the_directory_links_to_its_things_p_5_5(client, directory):
    items = [link for link in directory["links"] if link["rel"] == "item"]
    assert [client.get(link["href"]).json() for link in items] == client.get(LIST).json()
    for link in items:
        assert client.get(link["href"]).headers["content-type"] == link["type"]


@pytest.mark.parametrize("method", ["put", "patch", "delete", "post"])
def test_it_is_for_reading_only_d_7_3_2_1(client, assert_problem, method):
    for path in (LIST, f"{LIST}/urn:uuid:x"):
        answer = client.request(method, path)
        assert_problem(answer, 405)
        assert answer.headers["allow"] == "GET, HEAD"


def test_it_can_be_looked_at_without_a_body_d_6_2(client):
    for path in ("/.well-known/wot", LIST):
        answer = client.head(path)
        assert (answer.status_code, answer.content) == (200, b"")
        assert int(answer.headers["content-length"]) > 0
