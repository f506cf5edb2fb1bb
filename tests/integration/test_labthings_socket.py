"""The messages that LabThings clients have always sent over a socket."""

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
    """A client that knows nothing of subprotocols."""
    return dial("/stage/ws", ())


def watch(socket, kind, data, **members):
    """Ask to observe; a message that is answered tells that this has been done."""
    socket.send(messageType=kind, data=data, **members)
    socket.ask("readproperty", thingID="stage", name="x")


@pytest.mark.parametrize("data", [{"x": True}, {"x": None}, ["x"], "x"])
def test_an_observed_property_tells_its_status(socket, stage, data):
    watch(socket, "addPropertyObservation", data)
    stage.x = 2.5
    told = socket.next()
    assert (told["messageType"], told["data"]) == ("propertyStatus", {"x": 2.5})
    assert told["seq"].rpartition("-")[2].isdigit()
    assert told["thing"] == "stage"


def test_an_observed_action_tells_the_status_of_each_run(socket, server):
    watch(socket, "addActionObservation", {"move": True})
    run = socket.ask("invokeaction", name="move", input={"to": 3})["actionID"]
    told = socket.until(lambda each: each["data"]["move"]["status"] == "completed")
    assert {each["messageType"] for each in told} == {"actionStatus"}
    words = [each["data"]["move"]["status"] for each in told]
    assert words == sorted(words, key=["pending", "running", "completed"].index)
    assert {each["data"]["move"]["invocationId"] for each in told} == {run}
    assert told[-1]["data"]["move"]["output"] == 3.0
    assert 50.0 in [each["data"]["move"].get("progress") for each in told]
    with server.test_client() as client:
        assert client.get(told[-1]["data"]["move"]["href"]).status_code == 200


def test_a_run_that_failed_says_why(socket):
    watch(socket, "addActionObservation", ["fail"])
    socket.ask("invokeaction", name="fail")
    told = socket.until(lambda each: each["data"]["fail"]["status"] == "error")
    assert "The motor is hot." in told[-1]["data"]["fail"]["error"]["detail"]


def test_what_is_wrong_is_an_error_and_the_rest_goes_on(socket, stage):
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


def test_the_socket_of_the_server_is_told_which_thing(dial, stage):
    socket = dial("/ws", ())
    socket.send(messageType="addPropertyObservation", data={"x": True})
    assert "'thing'" in socket.next()["data"]["detail"]
    watch(socket, "addPropertyObservation", {"x": True}, thing="stage")
    stage.x = 1.0
    told = socket.next()
    assert (told["thing"], told["data"]) == ("stage", {"x": 1.0})


def test_what_was_missed_is_replayed_or_said_to_be_lost(socket, stage):
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
    told = [socket.next(), socket.next()]
    assert {each["messageType"] for each in told} == {"propertyStatus", "notification"}
    assert len({each["seq"] for each in told}) == 1
