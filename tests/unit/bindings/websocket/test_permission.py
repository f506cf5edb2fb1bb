"""Permissions of a client on a socket, and the audit of its changes."""

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


def actor(role, things=None):
    return Actor("Ada", role, things or {})


class ScopeMiddleware:
    """Sets the keys of the ASGI scope that the real access middleware sets."""

    def __init__(self, app, keys):
        self.app = app
        self.keys = keys

    async def __call__(self, scope, receive, send):
        await self.app({**scope, **self.keys}, receive, send)


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
def send_request(server):
    """Send one request with these keys in the scope, and return the response."""

    def send(operation, members, path="/lamp/ws", **access):
        keys.clear()
        keys.update({f"labthings.{name}": value for name, value in access.items()})
        with server.test_client() as client, client.websocket_connect(path) as socket:
            socket.send_json({"messageType": "request", "operation": operation, **members})
            return socket.receive_json()

    keys = {}
    # Inside the server's own access middleware, which sets the same keys.
    server.app.add_middleware(ScopeMiddleware, keys=keys)

    return send


@pytest.mark.parametrize(("operation", "members"), CHANGES)
def test_a_viewer_changes_nothing(server, send_request, operation, members):
    error = send_request(operation, members, actor=actor("viewer"))["error"]
    assert error["status"] == 403
    assert "'Ada'" in error["detail"]
    assert "'lamp'" in error["detail"]
    assert "'operator' is required" in error["detail"]
    assert server.things["lamp"].level == 1
    assert server.action_manager.invocations == []


@pytest.mark.parametrize(("operation", "members"), CHANGES)
def test_an_operator_whose_token_has_ended_changes_nothing(
    server, send_request, operation, members
):
    access = {"actor": actor("operator"), "still_holds": lambda: False}
    error = send_request(operation, members, **access)["error"]
    assert error["status"] == 401
    assert "'lamp'" in error["detail"]
    assert "expired or was revoked" in error["detail"]
    assert server.things["lamp"].level == 1
    assert server.action_manager.invocations == []


def test_reading_does_not_check_the_token_again(send_request):
    access = {"actor": actor("operator"), "still_holds": lambda: False}
    assert send_request("readproperty", {"name": "level"}, **access)["value"] == 1


def test_a_viewer_reads_and_observes_everything(send_request):
    assert send_request("readproperty", {"name": "level"}, actor=actor("viewer"))["value"] == 1
    assert "error" not in send_request("labthings:observeall", {}, actor=actor("viewer"))


@pytest.mark.parametrize("path", ["/ws", "/lamp/ws"])
def test_an_operator_of_one_thing_may_change_that_thing_only(server, send_request, path):
    of_lamp, of_stage = (actor("viewer", {name: "operator"}) for name in ("lamp", "stage"))
    members = {"name": "level", "value": 2, "thingID": "lamp"}
    assert send_request("writeproperty", members, path, actor=of_stage)["error"]["status"] == 403
    assert "error" not in send_request("writeproperty", members, path, actor=of_lamp)
    assert server.things["lamp"].level == 2


def test_each_change_is_audited_with_its_status(send_request):
    record = []
    access = {"audit": lambda *entry: record.append(entry)}
    for operation, members in [*CHANGES, ("invokeaction", {"name": "flash"})]:
        send_request(operation, members, **access)
    send_request("writeproperty", {"name": "level", "value": 11}, **access)
    send_request("writeproperty", {"name": "level", "value": 2}, actor=actor("viewer"), **access)
    send_request("readproperty", {"name": "level"}, **access)
    # Invocations have records of their own, and requests that were not valid changed nothing.
    assert record == [
        ("lamp", "level", "writeproperty", 204),
        ("lamp", "properties", "writemultipleproperties", 204),
        ("lamp", "level", "writeproperty", 403),
    ]


def test_a_failure_of_the_audit_log_prevents_no_response(send_request, caplog):
    def fail(*_):
        raise OSError("full")

    with caplog.at_level(logging.ERROR, "labthings_fastapi.websocket"):
        assert "error" not in send_request(
            "writeproperty", {"name": "level", "value": 2}, audit=fail
        )
    assert "could not be audited" in caplog.text
