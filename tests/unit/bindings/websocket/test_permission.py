"""What the door says of a client, on a socket."""

from __future__ import annotations

import logging

import pytest

import labthings_fastapi as lt
from labthings_fastapi.security.roles import Actor


class Lamp(lt.Thing):
    level: int = lt.property(default=1, le=10)

    @lt.action
    def blink(self) -> None:
        pass

    @lt.action(synchronous=True)
    def flash(self) -> None:
        pass


def visitor(role, things=None):
    return Actor("Ada", role, things or {})


class AccessMiddleware:
    """Says what the real one says, of whoever it is told to."""

    def __init__(self, app, said):
        self.app = app
        self.said = said

    async def __call__(self, scope, receive, send):
        await self.app({**scope, **self.said}, receive, send)


CHANGES = [
    ("writeproperty", {"name": "level", "value": 2}),
    ("writemultipleproperties", {"values": {"level": 2}}),
    ("invokeaction", {"name": "blink"}),
    ("cancelaction", {"name": "blink", "actionID": "00000000-0000-0000-0000-000000000000"}),
]


@pytest.fixture
def server(tmp_path):
    return lt.ThingServer.from_things({"lamp": Lamp}, settings_folder=tmp_path / "settings")


@pytest.fixture
def ask(server):
    """Ask one thing, of whoever is behind the door."""

    def send(operation, members, path="/lamp/ws", **door):
        said.clear()
        said.update({f"labthings.{name}": value for name, value in door.items()})
        with server.test_client() as client, client.websocket_connect(path) as socket:
            socket.send_json({"messageType": "request", "operation": operation, **members})
            return socket.receive_json()

    said = {}
    # Within the server's own door, which overwrites what others say.
    server.app.add_middleware(AccessMiddleware, said=said)

    return send


@pytest.mark.parametrize(("operation", "members"), CHANGES)
def test_a_viewer_changes_nothing(server, ask, operation, members):
    error = ask(operation, members, actor=visitor("viewer"))["error"]
    assert error["status"] == 403
    assert "'Ada'" in error["detail"]
    assert "'lamp'" in error["detail"]
    assert "'operator' is required" in error["detail"]
    assert server.things["lamp"].level == 1
    assert server.action_manager.invocations == []


@pytest.mark.parametrize(("operation", "members"), CHANGES)
def test_an_operator_whose_token_has_ended_changes_nothing(server, ask, operation, members):
    door = {"actor": visitor("operator"), "still_holds": lambda: False}
    error = ask(operation, members, **door)["error"]
    assert error["status"] == 401
    assert "'lamp'" in error["detail"]
    assert "expired or was revoked" in error["detail"]
    assert server.things["lamp"].level == 1
    assert server.action_manager.invocations == []


def test_reading_does_not_ask_whether_the_token_still_holds(ask):
    door = {"actor": visitor("operator"), "still_holds": lambda: False}
    assert ask("readproperty", {"name": "level"}, **door)["value"] == 1


def test_a_viewer_looks_at_everything(ask):
    assert ask("readproperty", {"name": "level"}, actor=visitor("viewer"))["value"] == 1
    assert "error" not in ask("labthings:observeall", {}, actor=visitor("viewer"))


@pytest.mark.parametrize("path", ["/ws", "/lamp/ws"])
def test_an_operator_may_change_what_is_theirs(server, ask, path):
    theirs, other = (visitor("viewer", {name: "operator"}) for name in ("lamp", "stage"))
    members = {"name": "level", "value": 2, "thingID": "lamp"}
    assert ask("writeproperty", members, path, actor=other)["error"]["status"] == 403
    assert "error" not in ask("writeproperty", members, path, actor=theirs)
    assert server.things["lamp"].level == 2


def test_each_change_is_audited_with_its_outcome(ask):
    record = []
    door = {"audit": lambda *entry: record.append(entry)}
    for operation, members in [*CHANGES, ("invokeaction", {"name": "flash"})]:
        ask(operation, members, **door)
    ask("writeproperty", {"name": "level", "value": 11}, **door)
    ask("writeproperty", {"name": "level", "value": 2}, actor=visitor("viewer"), **door)
    ask("readproperty", {"name": "level"}, **door)
    # Runs have records of their own, and what was not valid changed nothing.
    assert record == [
        ("lamp", "level", "writeproperty", 204),
        ("lamp", "properties", "writemultipleproperties", 204),
        ("lamp", "level", "writeproperty", 403),
    ]


def test_a_record_that_cannot_be_kept_keeps_nobody_from_an_answer(ask, caplog):
    def fail(*_):
        raise OSError("full")

    with caplog.at_level(logging.ERROR, "labthings_fastapi.websocket"):
        assert "error" not in ask("writeproperty", {"name": "level", "value": 2}, audit=fail)
    assert "could not be audited" in caplog.text
