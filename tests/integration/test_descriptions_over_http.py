"""Thing Descriptions from a server: written once for each host, and known again by their tag."""

from __future__ import annotations

import threading

import pytest

import labthings_fastapi as lt

MADE_BY: list[str] = []


def make_default() -> int:
    MADE_BY.append(threading.current_thread().name)
    return 7


class Lamp(lt.Thing):
    power: int = lt.property(default_factory=make_default)


@pytest.fixture
def lamps(tmp_path):
    return lt.ThingServer.from_things({"lamp": Lamp}, settings_folder=tmp_path / "settings")


@pytest.mark.parametrize("path", ["/lamp/", "/thing_descriptions/"])
def test_a_client_that_has_the_description_is_not_sent_it_again(lamps, path):
    with lamps.test_client() as client:
        first = client.get(path)
        again = client.get(path, headers={"If-None-Match": first.headers["etag"]})
        other = client.get(path, headers={"If-None-Match": '"else"'})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert (other.status_code, other.json()) == (200, first.json())


def test_each_host_has_its_own_urls(lamps):
    with lamps.test_client() as client:
        here = client.get("/lamp/", headers={"Host": "here"})
        there = client.get("/lamp/", headers={"Host": "there:81"})
    assert here.json()["base"] == "http://here/"
    assert there.json()["base"] == "http://there:81/"
    assert here.headers["etag"] != there.headers["etag"]
    assert here.json()["version"] == there.json()["version"]


def test_it_is_written_once_and_by_a_worker(lamps):
    with lamps.test_client() as client:
        client.get("/lamp/power")
        MADE_BY.clear()
        for _ in range(3):
            client.get("/lamp/")
            client.get("/thing_descriptions/")
    assert len(MADE_BY) == 1
    assert MADE_BY[0].startswith("labthings-worker")


def test_the_id_outlives_the_server(lamps, tmp_path):
    def id_from(folder):
        server = lt.ThingServer.from_things({"lamp": Lamp}, settings_folder=folder)
        with server.test_client() as client:
            return client.get("/lamp/").json()["id"]

    first = id_from(tmp_path / "settings")
    assert id_from(tmp_path / "settings") == first
    assert id_from(tmp_path / "elsewhere") != first
    assert lamps.things["lamp"].thing_description_dict()["id"] == first
