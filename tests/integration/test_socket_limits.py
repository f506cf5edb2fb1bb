"""Bad frames, code that hangs, clients that never read, and the stop of the server."""

from __future__ import annotations

import json
import threading
import urllib.request

import pytest
from websockets.exceptions import InvalidStatus

import labthings_fastapi as lt
from labthings_fastapi.bindings.interaction import shared_readings
from labthings_fastapi.bindings.websocket import connection, dispatcher, subscriptions
from labthings_fastapi.bindings.websocket.connection import MAX_FRAME_BYTES
from labthings_fastapi.bindings.websocket.requests import MAX_ID_CHARACTERS
from labthings_fastapi.bindings.websocket.subscriptions import MAX_SUBSCRIPTIONS

GATE = threading.Event()
DONE = threading.Event()


DRAFT_503 = "https://w3c.github.io/web-thing-protocol/errors#503"


class Stage(lt.Thing):
    x: float = lt.property(default=0.0)
    text: str = lt.property(default="")
    arrived: lt.Event[int] = lt.event()

    @lt.property
    def stuck(self) -> int:
        GATE.wait(30)
        return 5

    @stuck.setter
    def stuck(self, value: int) -> None:
        GATE.wait(30)
        DONE.set()

    @lt.action
    def wait(self) -> str:
        GATE.wait(30)
        return "arrived"

    @lt.action(stop=True)
    def halt(self) -> None:
        pass

    @lt.action
    def echo(self, anything: dict[str, object]) -> dict[str, object]:
        return anything


@pytest.fixture
def server(tmp_path):
    GATE.clear()
    DONE.clear()
    yield lt.ThingServer.from_things({"stage": Stage}, settings_folder=tmp_path / "settings")
    GATE.set()


@pytest.fixture
def stage(server):
    return server.things["stage"]


@pytest.fixture
def socket(dial):
    return dial("/stage/ws")


def nested(depth):
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    ("frame", "status", "expected"),
    [
        ("", 400, "not JSON"),
        ("{", 400, "not JSON"),
        ("[1]", 400, "an array"),
        ("null", 400, "null"),
        (nested(5000), 400, "recursion"),
        ('{"messageType": "request", "value": ' + nested(5000) + "}", 400, "recursion"),
        ('"\\ud800"', 400, "not JSON"),
        ("{}", 400, "'messageType'"),
        ('{"messageType": 5}', 400, "'messageType'"),
        ('{"messageType": []}', 400, "'messageType'"),
        ('{"messageType": "chat"}', 400, "request, addPropertyObservation"),
        ('{"messageType": "request"}', 400, "'operation'"),
        ('{"messageType": "request", "operation": ["x"]}', 400, "'operation'"),
        ('{"messageType": "request", "operation": "readproperty", "thingID": 5}', 400, "'thingID'"),
        (b"\x00\xff", 415, "binary"),
    ],
)
def test_a_bad_frame_is_answered_and_ends_no_subscription(socket, stage, frame, status, expected):
    socket.ask("observeproperty", name="x")
    socket.wire.send(frame)
    answer = socket.next()
    assert answer["messageType"] == "response"
    assert answer["error"]["status"] == status
    assert expected in answer["error"]["detail"]
    stage.x = 2.0
    assert socket.next()["value"] == 2.0


def test_a_client_without_the_subprotocol_gets_legacy_errors(dial):
    socket = dial("/stage/ws", ())
    socket.wire.send("{")
    assert socket.next()["messageType"] == "error"


def test_a_frame_that_is_too_large_closes_the_socket_with_the_code_for_it(socket):
    socket.wire.send('"' + "x" * MAX_FRAME_BYTES + '"')
    assert socket.closed_with() == 1009


def test_a_text_frame_that_is_not_utf_8_closes_the_socket_with_the_code_for_it(socket):
    socket.wire.send(b"\xff\xfe", text=True)
    assert socket.closed_with() == 1007


def test_the_deepest_json_that_can_be_parsed_gets_a_response(socket):
    for depth in range(150, 205):
        value = json.loads(nested(depth))
        socket.send(messageType="request", operation="writeproperty", name="x", value=value)
        assert socket.next()["error"]["status"] in (400, 422)


def test_an_odd_correlation_id_is_not_repeated(socket):
    socket.send(messageType="request", operation="readproperty", name="x", correlationID={"a": 1})
    assert "correlationID" not in socket.next()


def test_a_driver_that_hangs_delays_no_other_request(socket):
    stuck = socket.request("readproperty", name="stuck")
    assert socket.ask("readproperty", name="x")["value"] == 0.0
    run = socket.ask("invokeaction", name="wait")["actionID"]
    assert "error" not in socket.ask("cancelaction", actionID=run)
    GATE.set()
    assert socket.answer(stuck)["value"] == 5


def test_pending_requests_are_bounded_and_a_stop_action_always_starts(socket, monkeypatch):
    monkeypatch.setattr(dispatcher, "MAX_PENDING_REQUESTS", 3)
    stuck = [socket.request("readproperty", name="stuck") for _ in range(3)]
    refused = socket.ask("readproperty", name="x")["error"]
    assert (refused["status"], refused["type"]) == (503, DRAFT_503)
    assert "error" not in socket.ask("invokeaction", name="halt")
    assert "error" not in socket.ask("queryallactions")
    GATE.set()
    socket.waiting.clear()
    found = [socket.next() for _ in stuck]
    assert {each["correlationID"] for each in found} == set(stuck)
    assert socket.ask("readproperty", name="x")["value"] == 0.0


def test_who_waits_for_a_reading_is_bounded_over_all_sockets(dial, monkeypatch):
    monkeypatch.setattr(shared_readings, "MAX_WAITING", 39)  # beside the one whose turn it is
    first, second = dial("/stage/ws"), dial("/ws")
    asked = [first.request("readproperty", name="stuck") for _ in range(40)]
    first.ask("readproperty", name="x")  # all of them are there
    refused = second.ask("readproperty", thingID="stage", name="stuck")["error"]
    assert refused["status"] == 503
    assert "39 requests wait" in refused["detail"]
    GATE.set()
    first.waiting.clear()
    assert [first.next()["value"] for _ in asked] == [5] * 40


def test_the_subscriptions_of_a_socket_are_bounded(dial, monkeypatch):
    assert MAX_SUBSCRIPTIONS >= 100
    monkeypatch.setattr(subscriptions, "MAX_SUBSCRIPTIONS", 2)
    socket = dial("/stage/ws")
    for operation, members in [("observeallproperties", {}), ("observeproperty", {"name": "x"})]:
        assert "error" not in socket.ask(operation, **members)
        assert "error" not in socket.ask(operation, **members)  # again is not one more
    assert socket.ask("subscribeallevents")["error"]["status"] == 503
    assert "error" not in socket.ask("observeallproperties")  # takes the place of both
    assert "error" not in socket.ask("subscribeallevents")


def test_invocations_and_changes_continue_after_their_client_disconnects(dial, server):
    socket = dial("/stage/ws")
    run = socket.ask("invokeaction", name="wait")["actionID"]
    socket.request("writeproperty", name="stuck", value=1)
    socket.ask("readproperty", name="x")
    socket.wire.close()
    GATE.set()
    assert DONE.wait(30)
    again = dial("/stage/ws")
    state = again.ask("labthings:observeinvocation", actionID=run)
    if state["state"] != "completed":
        again.until(lambda each: each["data"].get("phase") == "finished")
    assert again.ask("queryaction", actionID=run)["status"]["output"] == "arrived"


SLOW = {"max_queue": 1, "compression": None, "ping_interval": None}
"""A client that receives nothing before the test calls it."""


def test_a_client_that_never_reads_delays_no_other_and_misses_no_event(dial, stage):
    slow = dial("/ws", **SLOW)
    slow.ask("labthings:observeall")
    quick = dial("/ws", compression=None)
    quick.ask("subscribeevent", thingID="stage", name="arrived")
    burst, long = 1500, "x" * 20_000  # far more than the buffers of the system take
    for number in range(burst):
        stage.text = f"{number} {long}"
        stage.arrived.emit(number)
    assert [quick.next()["data"] for _ in range(burst)] == list(range(burst))
    told = slow.until(lambda each: each.get("data") == burst - 1)
    # A gap may say that a superseded value was dropped; events are never dropped.
    assert [each["data"] for each in told if each.get("kind") == "event"] == list(range(burst))
    texts = [each["data"] for each in told if each.get("kind") == "property"]
    assert texts[-1].startswith(f"{burst - 1} ")
    assert len(texts) < burst  # superseded values were left out


def test_no_requests_are_read_from_a_client_that_receives_no_responses(dial, monkeypatch):
    monkeypatch.setattr(connection, "MAX_CHARACTERS", 1_000_000)
    slow = dial("/stage/ws", **SLOW)
    slow.ask("writeproperty", name="text", value="x" * 500_000)
    asked = [slow.request("readproperty", name="text") for _ in range(100)]
    assert dial("/stage/ws").ask("readproperty", name="x")["value"] == 0.0
    answers = [slow.next() for _ in asked]
    assert [each["correlationID"] for each in answers] == asked
    assert {len(each.get("value", "")) for each in answers} == {500_000}


def test_the_stop_of_the_server_sends_what_waits_and_closes_the_sockets(dial, server, stage):
    socket = dial("/stage/ws")
    socket.ask("subscribeevent", name="arrived")
    stage.arrived.emit(1)
    server._broker.end_streams()
    assert socket.next()["data"] == 1
    assert socket.closed_with() == 1001


@pytest.mark.parametrize("path", ["/nothing/ws", "/stage/x/ws", "/stage/wss"])
def test_there_is_no_socket_elsewhere(dial, path):
    with pytest.raises(InvalidStatus) as caught:
        dial(path)
    response = caught.value.response
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    problem = json.loads(response.body)
    assert problem["instance"] == path
    assert path in problem["detail"]
    assert "/ws" in problem["detail"]


@pytest.mark.parametrize("path", ["/ws", "/stage/ws"])
def test_an_http_request_to_a_socket_gets_status_426(server, path):
    with server.test_client() as client:
        answer = client.get(path)
        assert answer.status_code == 426  # RFC 9110, section 15.5.22
        assert answer.headers["upgrade"] == "websocket"
        assert answer.headers["content-type"] == "application/problem+json"
        assert "ws://" in answer.json()["detail"]
        assert client.get(f"/nothing{path}").status_code == 404


def test_a_thing_added_while_a_socket_is_open_is_known_by_its_id(dial, server, port):
    socket = dial("/ws")
    socket.ask("labthings:observeall")
    late = server.add_thing(Stage(), "/late")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/late/", timeout=30) as answer:
        id = json.load(answer)["id"]
    assert socket.ask("readproperty", thingID=id, name="x")["value"] == 0
    late.x = 1
    received = socket.until(lambda message: message.get("kind") == "property")[-1]
    assert (received["thing"], received["thingID"]) == ("late", id)


@pytest.mark.parametrize("member", ["correlationID", "messageID"])
def test_a_long_id_which_notifications_would_repeat_is_refused(dial, member):
    socket = dial("/stage/ws")
    request = {"messageType": "request", "operation": "observeproperty", "name": "x"}
    socket.send(**request, **{member: "x" * (MAX_ID_CHARACTERS + 1)})
    error = socket.next()["error"]
    assert error["status"] == 400
    assert member in error["detail"]
    socket.send(**request, **{member: "x" * MAX_ID_CHARACTERS})
    assert "error" not in socket.next()


@pytest.mark.parametrize("distinct", [False, True])
def test_a_legacy_message_with_too_many_names_is_one_error(dial, stage, distinct):
    socket = dial("/stage/ws")
    names = [f"x{number}" if distinct else "x" for number in range(MAX_SUBSCRIPTIONS + 1)]
    socket.send(messageType="addPropertyObservation", data=names)
    socket.ask("readproperty", name="x")
    stage.x = 1
    received = socket.next()
    if distinct:
        assert received["messageType"] == "error"
        assert str(MAX_SUBSCRIPTIONS) in received["data"]["detail"]
    else:
        assert received["data"] == {"x": 1}


def test_a_thing_has_one_path_however_many_slashes_are_written(dial):
    socket = dial("/ws")
    assert socket.ask("readproperty", thingID="/stage/", name="x")["value"] == 0
    assert socket.ask("readproperty", thingID="//stage/", name="x")["error"]["status"] == 404
