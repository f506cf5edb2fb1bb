"""The Web Thing Protocol, between a real server and the client of another library."""

from __future__ import annotations

import json
import threading
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Annotated

import pytest
from fastapi import Depends, HTTPException, Request
from pydantic import Field

import labthings_fastapi as lt

GATE = threading.Event()


def user(request: Request) -> str:
    return request.headers.get("x-user", "nobody")


def refuse() -> int:
    raise HTTPException(403, "Not on a Sunday.")


class Stage(lt.Thing):
    x: Annotated[float, Field(le=10)] = lt.property(default=0.0)
    y: float = lt.property(default=0.0)
    serial: str = lt.property(default="S1", readonly=True)
    secret: int = lt.property(default=1, observable=False)
    arrived: lt.Event[float] = lt.event()
    stuck: lt.Event[str] = lt.event()

    @lt.property
    def temperature(self) -> float:
        return 21.5

    @lt.property
    def broken(self) -> int:
        raise SystemExit("no sensor")

    @lt.action
    def move(self, to: float = 0.0) -> float:
        lt.progress(1, 2)
        self.logger.info("on the way to %s", to)
        self.x = to
        self.arrived.emit(to)
        return to

    @lt.action
    def wait(self) -> None:
        GATE.wait(30)
        lt.raise_if_cancelled()

    @lt.action(synchronous=True)
    def double(self, number: int) -> int:
        return 2 * number

    @lt.action(synchronous=True)
    def fail(self) -> int:
        raise lt.exceptions.InvocationError("The motor is hot.")

    @lt.action
    def scan(self) -> Iterator[int]:
        yield from range(3)

    @lt.action(synchronous=True)
    def greet(self, guest: Annotated[str, Depends(user)], times: int) -> str:
        return " ".join([guest] * times)

    @lt.action
    def greet_later(self, guest: Annotated[str, Depends(user)]) -> str:
        return guest

    @lt.action
    def refused(self, number: int = Depends(refuse)) -> int:
        return number


class Lamp(lt.Thing):
    level: int = lt.property(default=1)


THINGS = {"stage": Stage, "lamp": Lamp}


@pytest.fixture
def server(tmp_path):
    GATE.clear()
    yield lt.ThingServer.from_things(THINGS, settings_folder=tmp_path / "settings")
    GATE.set()


@pytest.fixture
def stage(server):
    return server.things["stage"]


@pytest.fixture
def socket(dial):
    return dial("/stage/ws")


@pytest.fixture
def ended(socket):
    """Wait for the end of a run, and return its status."""

    def wait(run):
        answer = socket.ask("labthings:observeinvocation", actionID=run)
        if answer["state"] not in ("completed", "failed"):
            socket.until(lambda each: each.get("data", {}).get("phase") == "finished")
        return socket.ask("queryaction", actionID=run)["status"]

    return wait


def test_the_subprotocol_is_agreed_on_where_a_client_offers_it(dial):
    assert dial("/stage/ws", ["chat", "webthingprotocol"]).wire.subprotocol == "webthingprotocol"
    assert dial("/stage/ws", ()).wire.subprotocol is None


def test_a_response_repeats_members_of_the_request(socket):
    answer = socket.ask("readproperty", thingID="stage", name="x")
    assert uuid.UUID(answer.pop("messageID")).version == 4
    assert uuid.UUID(answer.pop("thingID"))
    assert answer.pop("timestamp").endswith("+00:00")
    assert answer == {
        "messageType": "response",
        "operation": "readproperty",
        "name": "x",
        "correlationID": "question 0",
        "value": 0.0,
    }


def test_without_a_correlation_id_the_response_has_the_message_id(socket):
    socket.send(messageType="request", operation="readproperty", name="x", messageID="m1")
    assert socket.next()["correlationID"] == "m1"


def test_a_property_is_written_and_read_back(socket, stage):
    assert socket.ask("writeproperty", name="x", value=2.5)["value"] == 2.5
    assert stage.x == 2.5
    assert socket.ask("readproperty", name="temperature")["value"] == 21.5


def test_several_properties_are_read(socket):
    values = socket.ask("readmultipleproperties", names=["x", "serial"])["values"]
    assert values == {"x": 0.0, "serial": "S1"}


def test_all_properties_of_a_thing_are_read(dial):
    assert dial("/lamp/ws").ask("readallproperties")["values"] == {"level": 1}


def test_several_properties_are_written_all_or_nothing(socket, stage):
    assert "error" not in socket.ask("writemultipleproperties", values={"x": 1, "y": 2})
    error = socket.ask("writemultipleproperties", values={"y": 5, "x": 11})["error"]
    assert (error["status"], error["errors"][0]["loc"]) == (400, ["x"])
    assert (stage.x, stage.y) == (1.0, 2.0)


@pytest.mark.parametrize(
    ("operation", "members", "status", "expected"),
    [
        ("readproperty", {"name": "z"}, 404, "It has: x, y"),
        ("readproperty", {}, 400, "'name'"),
        ("readproperty", {"name": 5}, 400, "'name'"),
        ("readproperty", {"name": "broken"}, 500, "no sensor"),
        ("readmultipleproperties", {"names": "x"}, 400, "'names'"),
        ("writeproperty", {"name": "x"}, 400, "'value'"),
        ("writeproperty", {"name": "x", "value": 11}, 422, "less than or equal to 10"),
        ("writeproperty", {"name": "serial", "value": "S2"}, 405, "read-only"),
        ("writemultipleproperties", {"values": [1]}, 400, "'values'"),
        ("invokeaction", {"name": "fly"}, 404, "It has: move"),
        ("invokeaction", {"name": "move", "input": {"to": "home"}}, 422, "to"),
        ("invokeaction", {"name": "fail"}, 500, "The motor is hot."),
        ("invokeaction", {"name": "refused"}, 403, "Not on a Sunday."),
        ("queryaction", {"name": "move", "actionID": "none"}, 404, "none"),
        ("queryaction", {"name": "move", "actionID": str(uuid.uuid4())}, 404, "no invocation"),
        ("cancelaction", {"actionID": str(uuid.uuid4())}, 404, "no invocation"),
        ("observeproperty", {"name": "secret"}, 406, "observable=True"),
        ("observeproperty", {"name": "z"}, 404, "no property"),
        ("subscribeevent", {"name": "z"}, 404, "It has: arrived"),
        ("labthings:observeaction", {"name": "z"}, 404, "no action"),
        ("labthings:observeall", {"kinds": ["weather"]}, 400, "property"),
        ("labthings:observeallactions", {"kinds": ["property"]}, 400, "progress"),
        ("observeproperty", {"name": "x", "lastNotificationID": 5}, 400, "lastNotificationID"),
        ("fly", {}, 400, "readproperty"),
    ],
)
def test_an_error_names_its_cause_and_the_socket_stays_open(
    socket, operation, members, status, expected
):
    error = socket.ask(operation, **members)["error"]
    assert error["status"] == status
    assert expected in error["detail"]
    assert {"type", "title"} <= set(error)
    assert socket.ask("readproperty", name="x")["value"] == 0.0


def test_a_synchronous_action_is_answered_with_its_output(socket):
    assert socket.ask("invokeaction", name="double", input={"number": 21})["output"] == 42


def test_an_asynchronous_action_is_queried_after_its_end(socket, ended):
    begun = socket.ask("invokeaction", name="move", input={"to": 3})
    assert begun["state"] in ("pending", "running")
    status = ended(begun["actionID"])
    assert (status["status"], status["output"]) == ("completed", 3.0)
    assert status["href"].startswith("http://127.0.0.1")
    assert status["href"].endswith(f"/stage/move/{begun['actionID']}")


def test_an_invocation_is_cancelled_once(socket, ended):
    run = socket.ask("invokeaction", name="wait")["actionID"]
    assert "error" not in socket.ask("cancelaction", name="wait", actionID=run)
    GATE.set()
    assert ended(run)["status"] == "failed"
    assert socket.ask("cancelaction", actionID=run)["error"]["status"] == 409


def test_an_invocation_belongs_to_its_thing_and_action(dial, socket):
    run = socket.ask("invokeaction", name="move")["actionID"]
    assert socket.ask("queryaction", name="wait", actionID=run)["error"]["status"] == 404
    assert dial("/lamp/ws").ask("queryaction", actionID=run)["error"]["status"] == 404
    assert dial("/ws").ask("queryaction", actionID=run)["actionID"] == run


def test_all_invocations_of_a_thing_are_listed_by_action_newest_first(socket):
    runs = [socket.ask("invokeaction", name="move")["actionID"] for _ in range(2)]
    statuses = socket.ask("queryallactions")["statuses"]
    assert [each["id"] for each in statuses["move"]] == runs[::-1]
    assert statuses["wait"] == []


def test_dependencies_see_the_headers_of_the_handshake(dial, ended):
    socket = dial("/stage/ws", additional_headers={"X-User": "Ada"})
    response = socket.ask("invokeaction", name="greet", input={"times": 2})
    assert response["output"] == "Ada Ada"
    later = socket.ask("invokeaction", name="greet_later")
    assert ended(later["actionID"])["output"] == "Ada"


def test_notifications_of_a_property_follow_the_response(socket, stage):
    begun = socket.request("observeproperty", name="x")
    assert "error" not in socket.answer(begun)
    stage.y = 1.0
    stage.x = 2.5
    notification = socket.next()
    assert notification.pop("seq").rpartition("-")[2].isdigit()
    assert uuid.UUID(notification.pop("messageID")).version == 4
    assert notification.pop("timestamp")
    assert notification == {
        "messageType": "notification",
        "operation": "observeproperty",
        "thingID": notification["thingID"],
        "name": "x",
        "correlationID": begun,
        "value": 2.5,
    }


def test_no_notification_follows_the_end_of_a_subscription(socket, stage):
    socket.ask("observeproperty", name="x")
    stage.x = 1.0
    socket.ask("unobserveproperty", name="x")
    socket.waiting.clear()
    stage.x = 2.0
    assert socket.ask("readproperty", name="x")["value"] == 2.0
    assert socket.waiting == []


def test_ending_a_subscription_is_idempotent(socket):
    assert "error" not in socket.ask("unsubscribeallevents")


def test_all_properties_and_all_events_of_a_thing_come_in_one_order(socket, stage):
    socket.ask("observeallproperties")
    socket.ask("subscribeallevents")
    stage.x = 1.0
    stage.arrived.emit(1.0)
    stage.y = 2.0
    stage.stuck.emit("at the end")
    notifications = [socket.next() for _ in range(4)]
    assert [(each["name"], each.get("value", each.get("data"))) for each in notifications] == [
        ("x", 1.0),
        ("arrived", 1.0),
        ("y", 2.0),
        ("stuck", "at the end"),
    ]


@pytest.mark.parametrize("member", ["seq", "messageID"])
def test_missed_notifications_are_replayed(dial, stage, member):
    socket = dial("/stage/ws")
    socket.ask("subscribeevent", name="arrived")
    stage.arrived.emit(1.0)
    seen = socket.next()
    socket.wire.close()
    for place in (2.0, 3.0):
        stage.arrived.emit(place)
    again = dial("/stage/ws")
    again.ask("subscribeevent", name="arrived", lastNotificationID=seen[member])
    assert [again.next()["data"] for _ in range(2)] == [2.0, 3.0]


@pytest.mark.parametrize("last", ["another-life-5", "0f0f0f0f-0f0f-8001-8000-000000000001", "?"])
def test_an_unknown_last_notification_gives_a_gap(socket, stage, last):
    begun = socket.request("subscribeevent", name="arrived", lastNotificationID=last)
    socket.answer(begun)
    gap = socket.next()
    assert (gap["operation"], gap["subscription"]) == ("labthings:gap", "subscribeevent")
    assert (gap["missed"], gap["reason"], gap["correlationID"]) == (None, "unknown", begun)
    stage.arrived.emit(1.0)
    assert socket.next()["data"] == 1.0


def test_observing_an_action_gives_all_messages_of_its_invocations(socket):
    socket.ask("labthings:observeaction", name="move")
    run = socket.ask("invokeaction", name="move", input={"to": 4})["actionID"]
    notifications = socket.until(lambda each: each["data"].get("phase") == "finished")
    assert {each["actionID"] for each in notifications} == {run}
    assert {each["kind"] for each in notifications} == {"status", "progress", "log"}
    assert notifications[-1]["data"]["output"] == 4.0
    numbers = [int(each["seq"].rpartition("-")[2]) for each in notifications]
    assert numbers == sorted(set(numbers))


def test_results_are_sent_during_an_invocation(socket):
    socket.ask("labthings:observeallactions", kinds=["result"])
    socket.ask("invokeaction", name="scan")
    assert [socket.next()["data"]["value"] for _ in range(3)] == [0, 1, 2]


def test_observing_one_invocation_ends_with_it(socket):
    run = socket.ask("invokeaction", name="wait")["actionID"]
    answer = socket.ask("labthings:observeinvocation", actionID=run)
    assert answer["state"] in ("pending", "running")
    GATE.set()
    notifications = socket.until(lambda each: each["data"].get("phase") == "finished")
    assert notifications[-1]["data"]["status"] == "completed"
    again = socket.ask("labthings:observeinvocation", actionID=run)
    assert again["state"] == "completed"


def test_missed_messages_of_an_invocation_are_replayed_after_its_end(socket, ended):
    socket.ask("subscribeevent", name="stuck")
    socket.ask("labthings:observeallactions")
    run = socket.ask("invokeaction", name="move")["actionID"]
    first = socket.next()
    ended(run)
    socket.ask("labthings:unobserveallactions")
    socket.waiting.clear()
    socket.ask("labthings:observeinvocation", actionID=run, lastNotificationID=first["messageID"])
    notifications = socket.until(lambda each: each["data"].get("phase") == "finished")
    assert "log" in [each["kind"] for each in notifications]


def test_one_socket_is_enough_for_everything(dial, server):
    socket = dial("/ws")
    socket.ask("labthings:observeall")
    server.things["lamp"].level = 5
    server.things["stage"].arrived.emit(2.0)
    lamp, stage = socket.next(), socket.next()
    assert (lamp["thing"], lamp["name"], lamp["kind"], lamp["data"]) == (
        "lamp",
        "level",
        "property",
        5,
    )
    assert (stage["thing"], stage["kind"], stage["data"]) == ("stage", "event", 2.0)
    assert lamp["thingID"].startswith("urn:uuid:")
    assert socket.ask("readproperty", thingID=lamp["thingID"], name="level")["value"] == 5


@pytest.mark.parametrize("label", ["lamp", "/lamp/", "/lamp"])
def test_a_thing_id_may_be_the_name_or_the_path(dial, label):
    answer = dial("/ws").ask("readproperty", thingID=label, name="level")
    assert answer["thingID"].startswith("urn:uuid:")
    assert answer["value"] == 1


def test_a_request_on_the_socket_of_the_server_must_name_a_thing(dial):
    socket = dial("/ws")
    assert "'thingID'" in socket.ask("readproperty", name="level")["error"]["detail"]
    unknown = socket.ask("readproperty", thingID="moon", name="level")["error"]
    assert unknown["status"] == 404
    assert "stage, lamp" in unknown["detail"]


def test_the_socket_of_a_thing_serves_no_other(socket):
    error = socket.ask("readproperty", thingID="lamp", name="level")["error"]
    assert error["status"] == 400
    assert "/ws" in error["detail"]


def test_a_thing_added_later_has_a_socket(dial, server):
    socket = dial("/ws")
    server.add_thing(Lamp(), "/late/")
    assert dial("/late/ws").ask("readproperty", name="level")["value"] == 1
    assert socket.ask("readproperty", thingID="late", name="level")["value"] == 1


def test_the_description_leads_to_the_socket(dial, port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/stage/", timeout=30) as answer:
        description = json.load(answer)
    affordances = [
        affordance
        for part in ("properties", "actions", "events")
        for affordance in description[part].values()
    ]
    for forms in [description["forms"], *(each["forms"] for each in affordances)]:
        assert forms[-1]["href"] == f"ws://127.0.0.1:{port}/stage/ws"
        assert forms[-1]["subprotocol"] == "webthingprotocol"
    answer = dial("/stage/ws").ask("readproperty", thingID=description["id"], name="serial")
    assert answer["value"] == "S1"
