"""The legacy messages of LabThings clients."""

from __future__ import annotations

import pytest

import labthings_fastapi as lt


class Stage(lt.Thing):
    x: float = lt.property(default=0.0)
    y: float = lt.property(default=0.0)
    secret: int = lt.property(default=1, observable=False)

    @lt.action
    def move(self, to: float) -> float:
        lt.progress(1, 2)
        self.x = to
        return to

    @lt.action
    def fail(self) -> None:
        raise lt.exceptions.InvocationError("The motor is hot.")


@pytest.fixture
def server(tmp_path):
    return lt.ThingServer.from_things({"stage": Stage}, settings_folder=tmp_path / "settings")


@pytest.fixture
def stage(server):
    return server.things["stage"]


@pytest.fixture
def socket(dial):
    """A client without subprotocols."""
    return dial("/stage/ws", ())


def watch(socket, kind, data, **members):
    """Observe, and wait for the response to a later request."""
    socket.send(messageType=kind, data=data, **members)
    socket.ask("readproperty", thingID="stage", name="x")


@pytest.mark.parametrize("data", [{"x": True}, {"x": None}, ["x"], "x"])
def test_observing_a_property_gives_its_values(socket, stage, data):
    watch(socket, "addPropertyObservation", data)
    stage.x = 2.5
    message = socket.next()
    assert (message["messageType"], message["data"]) == ("propertyStatus", {"x": 2.5})
    assert message["seq"].rpartition("-")[2].isdigit()
    assert message["thing"] == "stage"


def test_observing_an_action_gives_the_status_of_each_invocation(socket, server):
    watch(socket, "addActionObservation", {"move": True})
    run = socket.ask("invokeaction", name="move", input={"to": 3})["actionID"]
    messages = socket.until(lambda each: each["data"]["move"]["status"] == "completed")
    assert {each["messageType"] for each in messages} == {"actionStatus"}
    words = [each["data"]["move"]["status"] for each in messages]
    assert words == sorted(words, key=["pending", "running", "completed"].index)
    assert {each["data"]["move"]["invocationId"] for each in messages} == {run}
    assert messages[-1]["data"]["move"]["output"] == 3.0
    assert 50.0 in [each["data"]["move"].get("progress") for each in messages]
    with server.test_client() as client:
        assert client.get(messages[-1]["data"]["move"]["href"]).status_code == 200


def test_the_status_of_a_failed_invocation_has_the_error(socket):
    watch(socket, "addActionObservation", ["fail"])
    socket.ask("invokeaction", name="fail")
    messages = socket.until(lambda each: each["data"]["fail"]["status"] == "error")
    assert "The motor is hot." in messages[-1]["data"]["fail"]["error"]["detail"]


def test_a_wrong_name_is_an_error_and_the_others_are_observed(socket, stage):
    watch(socket, "addPropertyObservation", ["x", "z", "secret", "y"])
    errors = [socket.next() for _ in range(2)]
    assert [each["messageType"] for each in errors] == ["error", "error"]
    assert [each["data"]["status"] for each in errors] == [404, 406]
    assert "It has: x, y" in errors[0]["data"]["detail"]
    stage.y = 1.0
    assert socket.next()["data"] == {"y": 1.0}


@pytest.mark.parametrize("data", [None, 5, [], {}, [5], ""])
def test_a_message_that_names_nothing_is_an_error(socket, data):
    socket.send(messageType="addPropertyObservation", data=data)
    error = socket.next()
    assert (error["messageType"], error["data"]["status"]) == ("error", 400)
    assert "'data'" in error["data"]["detail"]


def test_a_message_on_the_socket_of_the_server_must_name_a_thing(dial, stage):
    socket = dial("/ws", ())
    socket.send(messageType="addPropertyObservation", data={"x": True})
    assert "'thing'" in socket.next()["data"]["detail"]
    watch(socket, "addPropertyObservation", {"x": True}, thing="stage")
    stage.x = 1.0
    message = socket.next()
    assert (message["thing"], message["data"]) == ("stage", {"x": 1.0})


def test_missed_messages_are_replayed_or_give_a_gap(socket, stage):
    watch(socket, "addPropertyObservation", "x")
    stage.x = 1.0
    seen = socket.next()["seq"]
    stage.x = 2.0
    socket.next()
    watch(socket, "addPropertyObservation", "x", lastNotificationID=seen)
    assert socket.next()["data"] == {"x": 2.0}
    watch(socket, "addPropertyObservation", "x", lastNotificationID="nobody-9")
    gap = socket.next()
    assert (gap["messageType"], gap["data"]) == ("gap", {"missed": None, "reason": "unknown"})


def test_both_vocabularies_share_a_socket(socket, stage):
    watch(socket, "addPropertyObservation", "x")
    socket.ask("observeproperty", name="x")
    stage.x = 7.0
    messages = [socket.next(), socket.next()]
    assert {each["messageType"] for each in messages} == {"propertyStatus", "notification"}
    assert len({each["seq"] for each in messages}) == 1
