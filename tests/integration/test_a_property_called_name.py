"""A Thing may declare properties called `name` and `path`; its own are still the server's."""

from __future__ import annotations

import threading

import pytest
from fastapi.testclient import TestClient

import labthings_fastapi as lt

with pytest.warns(UserWarning, match=r"Lamp\.(name|path): this property hides"):

    class Lamp(lt.Thing):
        """A lamp with a name and a path of light of its own."""

        name: str = lt.property(default="bench lamp")
        path: str = lt.property(default="mirror 3")
        level: int = lt.property(default=1)

        @lt.action
        def dim(self) -> None:
            """Set the lowest level, and write a line."""
            self.level = 0
            self.logger.info("It is dim.")


with pytest.warns(UserWarning, match=r"Camera\.(title|settings|logger): this setting hides"):

    class Camera(lt.Thing):
        title: str = lt.setting(default="left")
        settings: dict[str, int] = lt.setting(default={"gain": 1})
        logger: str = lt.setting(default="none")


@pytest.fixture
def client():
    with TestClient(lt.ThingServer.from_things({"lamp": Lamp}).app) as client:
        yield client


def test_it_is_open_at_its_own_path(client):
    assert client.get("/health").json()["things"]["lamp"]["state"] == "open"
    assert client.get("/lamp/name").json() == "bench lamp"
    assert client.get("/lamp/path").json() == "mirror 3"


def test_its_id_does_not_change_with_the_properties(client):
    before = client.get("/lamp/").json()["id"]
    client.put("/lamp/name", json="lab lamp").raise_for_status()
    client.put("/lamp/path", json="lens").raise_for_status()
    assert client.get("/lamp/").json()["id"] == before


def test_its_invocations_are_those_of_the_thing(client):
    response = client.post("/lamp/dim", headers={"Prefer": "wait=20"})
    assert response.headers["location"].startswith("http://testserver/lamp/dim/")
    assert [line["message"] for line in response.json()["log"]] == ["It is dim."]
    found = client.get("/action_invocations", params={"thing": "lamp"}).json()
    assert [each["id"] for each in found] == [response.json()["id"]]


def test_a_poll_gets_the_value_that_is_written(client):
    client.head("/lamp/level?observe=longpoll")
    got: list[int] = []
    poll = threading.Thread(
        target=lambda: got.append(client.get("/lamp/level?observe=longpoll").json()), daemon=True
    )
    poll.start()
    client.put("/lamp/level", json=4).raise_for_status()
    poll.join(50)
    assert got == [4]


@pytest.mark.parametrize("operation", ["labthings:observeaction", "labthings:observeallactions"])
def test_a_socket_gets_the_messages_of_its_action(client, operation):
    with client.websocket_connect("/ws", subprotocols=["webthingprotocol"]) as socket:
        request = {"messageType": "request", "operation": operation, "thingID": "/lamp/"}
        thing_id = client.get("/lamp/").json()["id"]
        socket.send_json({**request, "thingID": thing_id, "name": "dim", "messageID": "1"})
        assert socket.receive_json()["messageType"] == "response"
        client.post("/lamp/dim").raise_for_status()
        assert socket.receive_json()["messageType"] == "notification"


def test_title_settings_and_logger_may_be_settings_of_the_thing_itself(tmp_path):
    def server():
        return lt.ThingServer.from_things({"cam": Camera}, settings_folder=tmp_path)

    with server().test_client() as client:
        assert client.get("/cam/").json()["title"] == "Camera"
        assert client.put("/cam/title", json="right").status_code == 204
        assert client.put("/cam/settings", json={"gain": 5}).status_code == 204
        assert client.get("/openapi.json").status_code == 200
        assert client.get("/things/").status_code == 200
    with server().test_client() as client:
        assert client.get("/cam/properties").json() == {
            "title": "right",
            "settings": {"gain": 5},
            "logger": "none",
        }
