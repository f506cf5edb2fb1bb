"""Which clients may open a socket, what they may do there, and its records in the journal."""

from __future__ import annotations

import httpx2
import pytest
from websockets.exceptions import InvalidStatus

import labthings_fastapi as lt
from labthings_fastapi.security.credential_file import CredentialFile
from labthings_fastapi.security.credentials import new_token


class Stage(lt.Thing):
    speed: float = lt.property(default=1.0)

    @lt.property
    def focus(self) -> float:
        return 0.0

    @focus.setter
    def _set_focus(self, value: float) -> None:
        raise ValueError("It moved, and then it met the limit switch.")

    @lt.action
    def move(self) -> None:
        pass


@pytest.fixture
def tokens(tmp_path):
    """Headers of three actors, by name."""
    file = CredentialFile(tmp_path / "settings" / "credentials.json")
    found = {}
    for name, role, things in [
        ("olga", "operator", {}),
        ("victor", "viewer", {"camera": "operator"}),
    ]:
        credential, text = new_token(name, role, things)
        file.add(credential)
        found[name] = {"Authorization": f"Bearer {text}"}
    return found


@pytest.fixture
def server(tmp_path, tokens):
    return lt.ThingServer.from_things(
        {"stage": Stage, "camera": Stage}, settings_folder=str(tmp_path / "settings")
    )


@pytest.fixture
def open_as(dial, tokens):
    return lambda name, path="/ws": dial(path, additional_headers=tokens[name])


@pytest.mark.parametrize("path", ["/ws", "/stage/ws"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Accept": "text/html"}, 401),
        ({"Authorization": "Bearer nonsense"}, 401),
        ({"Origin": "http://elsewhere.example"}, 403),
    ],
)
def test_a_stranger_gets_no_socket(dial, path, headers, status):
    with pytest.raises(InvalidStatus) as caught:
        dial(path, additional_headers=headers)
    assert caught.value.response.status_code == status


def test_a_viewer_of_one_thing_may_be_operator_of_another(open_as, server):
    socket = open_as("victor")
    write = {"name": "speed", "value": 2}
    error = socket.ask("writeproperty", thingID="stage", **write)["error"]
    assert (error["status"], error["title"]) == (403, "Forbidden")
    assert error["type"] == "https://w3c.github.io/web-thing-protocol/errors#403"
    assert "'victor' has role 'viewer' on 'stage'" in error["detail"]
    assert socket.ask("readproperty", thingID="stage", name="speed")["value"] == 1.0
    assert "error" not in socket.ask("writeproperty", thingID="camera", **write)
    assert (server.things["stage"].speed, server.things["camera"].speed) == (1.0, 2.0)


def test_the_journal_records_changes_over_a_socket_with_their_actor(open_as, port, tokens):
    socket = open_as("olga", "/stage/ws")
    socket.ask("writeproperty", name="speed", value=3)
    socket.ask("writeproperty", name="speed", value="fast")
    assert socket.ask("writeproperty", name="focus", value=1)["error"]["status"] == 422
    socket.ask("writeproperty", name="focus", value="far")  # refused before any code of the Thing
    socket.ask("writeproperty", name="speed", value="fast")  # also after a setter was reached
    run = socket.ask("invokeaction", name="move")["actionID"]
    open_as("victor", "/stage/ws").ask("invokeaction", name="move")
    url = f"http://127.0.0.1:{port}"
    with httpx2.Client(base_url=url, headers=tokens["olga"], timeout=30) as client:
        records = client.get("/journal", params={"kind": "mutation"}).json()["records"]
        assert client.get(f"/journal/{run}").json()["requestedBy"] == "olga"
    changes = {
        (each["requestedBy"], each["action"], each["request"]["method"], each["request"]["status"])
        for each in records
    }
    assert changes == {
        ("olga", "speed", "writeproperty", 204),
        ("olga", "focus", "writeproperty", 422),
        ("victor", "move", "invokeaction", 403),
    }
