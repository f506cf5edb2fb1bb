"""Clients see tracebacks of a server that was started for debugging, and of no other."""

from __future__ import annotations

import pytest

import labthings_fastapi as lt


class Broken(lt.Thing):
    @lt.property
    def reading(self) -> int:
        raise OSError("no light")

    @reading.setter
    def reading(self, value: int) -> None:
        raise OSError("no dark")

    @lt.endpoint("get")
    def picture(self) -> None:
        raise OSError("no film")

    @lt.property
    def sound(self) -> int:
        return 1


REQUESTS = [("GET", "reading", None), ("PUT", "reading", 1), ("GET", "picture", None)]


@pytest.mark.parametrize(("method", "name", "json"), REQUESTS)
def test_a_failure_has_its_traceback_with_debug_only(method, name, json):
    for debug in (True, False):
        server = lt.ThingServer({"things": {"a": Broken}}, debug=debug)
        assert server.debug is debug
        with server.test_client() as client:
            answer = client.request(method, f"/a/{name}", json=json)
        assert answer.status_code == 500
        assert ("traceback" in answer.json()) is debug
        if debug:
            assert "raise OSError(" in answer.json()["traceback"]


def test_mistakes_of_clients_have_none():
    server = lt.ThingServer.from_things({"a": Broken}, debug=True)
    with server.test_client() as client:
        for answer in (client.get("/a/nothing"), client.put("/a/sound", json=1)):
            assert answer.status_code in (404, 405)
            assert "traceback" not in answer.json()


def test_the_server_is_found_from_its_app():
    server = lt.ThingServer()
    assert server.app.state.thing_server is server
    assert server.debug is False
