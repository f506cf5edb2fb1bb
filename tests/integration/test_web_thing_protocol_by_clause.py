"""Every message of the Web Thing Protocol, member by member (draft of 22 October 2025).

The ids of the tests begin with the draft's section.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

import labthings_fastapi as lt

GATE = threading.Event()
COMMON = {"messageType", "operation", "thingID", "messageID", "correlationID", "timestamp"}
OWN = {"seq"}
"""Members that the draft does not know; it allows more."""


class Dial(lt.Thing):
    angle: float = lt.property(default=0.0, le=10)
    steps: int = lt.property(default=1)
    serial: str = lt.property(default="S1", readonly=True)
    turned: lt.Event[float] = lt.event()
    touched: lt.Event[None] = lt.event()
    maybe: lt.Event[float | None] = lt.event()

    @lt.property(observable=True)
    def rounded(self) -> float:
        return getattr(self, "_rounded", 0.0)

    @rounded.setter
    def _set_rounded(self, value: float) -> None:
        self._rounded = round(value, 1)

    @lt.property
    def broken(self) -> int:
        raise RuntimeError("no sensor")

    @broken.setter
    def _set_broken(self, value: int) -> None:
        raise RuntimeError("no motor")

    @lt.action
    def turn(self, to: float = 0.0) -> float:
        return to

    @lt.action
    def hold(self) -> None:
        GATE.wait(30)

    @lt.action
    def jam(self) -> None:
        raise lt.exceptions.InvocationError("end switch")

    @lt.action(synchronous=True)
    def double(self, number: int) -> int:
        return 2 * number

    @lt.action(synchronous=True)
    def beep(self) -> None: ...

    @lt.action
    def scan(self) -> Iterator[int]:
        yield from range(3)


class Whole(lt.Thing):
    """All of its properties can be read and written."""

    a: int = lt.property(default=1)
    b: float = lt.property(default=2.0)
    serial: str = lt.property(default="S1", readonly=True)


@pytest.fixture
def server(tmp_path):
    GATE.clear()
    yield lt.ThingServer.from_things(
        {"dial": Dial, "whole": Whole}, settings_folder=tmp_path / "settings"
    )
    GATE.set()


@pytest.fixture
def dial_thing(server):
    return server.things["dial"]


@pytest.fixture
def socket(dial):
    return dial("/dial/ws")


@pytest.fixture
def thing_id(server):
    return {name: thing.thing_description_dict()["id"] for name, thing in server.things.items()}


def assert_common(message: dict[str, Any], thing_id: str) -> None:
    """Check the members that all messages have [6.1]."""
    assert message.keys() >= COMMON, message
    assert message["thingID"] == thing_id
    assert uuid.UUID(message["messageID"]).version == 4
    assert uuid.UUID(message["messageID"]).variant == uuid.RFC_4122
    assert datetime.fromisoformat(message["timestamp"]).utcoffset() is not None


def assert_action_status(status: dict[str, Any]) -> None:
    """Check the members of an ActionStatus [6.4.5]."""
    assert uuid.UUID(status["actionID"]).version == 4
    assert status["state"] in {"pending", "running", "completed", "failed"}
    assert "output" not in status or status["state"] == "completed"
    assert "error" not in status or status["state"] == "failed"
    if "error" in status:
        assert status["error"].keys() >= {"status", "type", "title"}
    assert "timeEnded" not in status or status["state"] in {"completed", "failed"}
    for time in ("timeRequested", "timeEnded"):
        if time in status:
            assert datetime.fromisoformat(status[time]).utcoffset() is not None


def asked(socket, operation, **members):
    """Send a request as the draft has it, and return the response and its correlationID."""
    ids = {"messageID": str(uuid.uuid4()), "correlationID": str(uuid.uuid4())}
    socket.send(messageType="request", operation=operation, **ids, **members)
    return socket.answer(ids["correlationID"]), ids["correlationID"]


RESPONSES = [
    ("6.3.1", "dial", "readproperty", {"name": "angle"}, {"name": "angle", "value": 0.0}),
    (
        "6.3.2 a value that the Thing holds",
        "dial",
        "writeproperty",
        {"name": "angle", "value": 3},
        {"name": "angle", "value": 3.0},
    ),
    (
        "6.3.2 a value that a function sets",
        "dial",
        "writeproperty",
        {"name": "rounded", "value": 3.14159},
        {"name": "rounded"},
    ),
    (
        "6.3.3",
        "whole",
        "readallproperties",
        {},
        {"values": {"a": 1, "b": 2.0, "serial": "S1"}},
    ),
    (
        "6.3.4",
        "dial",
        "readmultipleproperties",
        {"names": ["steps", "serial"]},
        {"values": {"steps": 1, "serial": "S1"}},
    ),
    (
        "6.3.5",
        "whole",
        "writeallproperties",
        {"values": {"a": 5, "b": 6}},
        {"values": {"a": 5, "b": 6.0}},
    ),
    (
        "6.3.6",
        "dial",
        "writemultipleproperties",
        {"values": {"steps": 2, "rounded": 1.23}},
        {"values": {"steps": 2}},
    ),
    ("6.3.7", "dial", "observeproperty", {"name": "angle"}, {"name": "angle"}),
    (
        "6.3.8 nothing was observed",
        "dial",
        "unobserveproperty",
        {"name": "angle"},
        {"name": "angle"},
    ),
    ("6.3.9", "dial", "observeallproperties", {}, {}),
    ("6.3.10 nothing was observed", "dial", "unobserveallproperties", {}, {}),
    (
        "6.4.1.2.1 synchronous",
        "dial",
        "invokeaction",
        {"name": "double", "input": {"number": 4}},
        {"name": "double", "output": 8},
    ),
    ("6.4.1.2.1 no output", "dial", "invokeaction", {"name": "beep"}, {"name": "beep"}),
    ("6.5.1", "dial", "subscribeevent", {"name": "turned"}, {"name": "turned"}),
    ("6.5.2 there was none", "dial", "unsubscribeevent", {"name": "turned"}, {"name": "turned"}),
    ("6.5.3", "dial", "subscribeallevents", {}, {}),
    ("6.5.4 there was none", "dial", "unsubscribeallevents", {}, {}),
]


@pytest.mark.parametrize("socket_of", ["thing", "server"])
@pytest.mark.parametrize(
    ("thing", "operation", "members", "expected"),
    [row[1:] for row in RESPONSES],
    ids=[f"{row[0]} {row[2]}" for row in RESPONSES],
)
def test_a_response_has_exactly_the_members_of_the_draft(
    dial, thing_id, socket_of, thing, operation, members, expected
):
    socket = dial(f"/{thing}/ws" if socket_of == "thing" else "/ws")
    response, correlation = asked(socket, operation, thingID=thing_id[thing], **members)
    assert_common(response, thing_id[thing])
    assert response == {
        **{name: response[name] for name in ("thingID", "messageID", "timestamp")},
        "messageType": "response",
        "operation": operation,
        "correlationID": correlation,
        **expected,
    }


COMMON_TITLES = {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
ERRORS = [
    ("6.3.1.3", "readproperty", {"name": "none"}, 404),
    ("6.6 a member is missing", "readproperty", {}, 400),
    ("6.6 unknown operation", "fly", {}, 400),
    ("6.3.2.3", "writeproperty", {"name": "none", "value": 1}, 404),
    ("6.3.4.3 empty", "readmultipleproperties", {"names": []}, 400),
    ("6.3.4.3 unknown", "readmultipleproperties", {"names": ["angle", "none"]}, 400),
    ("6.3.5.3 one is missing", "writeallproperties", {"values": {"angle": 1}}, 400),
    ("6.3.5.3 no object", "writeallproperties", {"values": [1]}, 400),
    ("6.3.6.3 empty", "writemultipleproperties", {"values": {}}, 400),
    ("6.3.6.3 unknown", "writemultipleproperties", {"values": {"none": 1}}, 400),
    ("6.3.6.3 read-only", "writemultipleproperties", {"values": {"serial": "x"}}, 400),
    ("6.3.6.3 invalid", "writemultipleproperties", {"values": {"angle": 11}}, 400),
    ("6.3.7.3", "observeproperty", {"name": "none"}, 404),
    ("6.3.8.3", "unobserveproperty", {}, 400),
    ("6.4.1.3", "invokeaction", {"name": "none"}, 404),
    ("6.5.1.3", "subscribeevent", {"name": "none"}, 404),
]


@pytest.mark.parametrize(
    ("operation", "members", "status"),
    [row[1:] for row in ERRORS],
    ids=[f"{row[0]} {row[1]}" for row in ERRORS],
)
def test_an_error_is_one_of_the_kinds_of_the_draft(
    socket, dial_thing, thing_id, operation, members, status
):
    response, correlation = asked(socket, operation, thingID="dial", **members)
    assert_common(response, thing_id["dial"])
    assert (response["messageType"], response["operation"]) == ("response", operation)
    assert response["correlationID"] == correlation
    error = response["error"]
    assert error["status"] == status
    assert error["title"] == COMMON_TITLES[status]
    assert error["type"] == f"https://w3c.github.io/web-thing-protocol/errors#{status}"
    assert error["detail"]
    assert not {"value", "values", "output", "status"} & response.keys()
    assert (dial_thing.angle, dial_thing.serial) == (0.0, "S1")


@pytest.mark.parametrize(
    ("operation", "members", "status", "problem"),
    [
        ("readproperty", {"name": "broken"}, 500, "failure"),
        ("readallproperties", {}, 500, "failure"),
        ("readmultipleproperties", {"names": ["broken"]}, 500, "failure"),
        ("writeproperty", {"name": "angle", "value": 11}, 422, "validation"),
        ("writeproperty", {"name": "serial", "value": "x"}, 405, "read-only"),
        ("invokeaction", {"name": "double", "input": {"number": "4"}}, 422, "validation"),
        ("queryaction", {"actionID": str(uuid.uuid4())}, 404, "invocation-not-found"),
        ("cancelaction", {"actionID": str(uuid.uuid4())}, 404, "invocation-not-found"),
    ],
)
def test_where_a_kind_of_our_own_tells_more_the_error_has_it(
    socket, thing_id, operation, members, status, problem
):
    response, _ = asked(socket, operation, **members)
    assert_common(response, thing_id["dial"])
    error = response["error"]
    assert (error["status"], error["type"]) == (status, f"urn:labthings:problem:{problem}")


def test_an_invalid_value_among_several_is_listed_with_its_name(socket):
    error = socket.ask("writemultipleproperties", values={"steps": "4", "angle": 11})["error"]
    assert error["status"] == 400
    assert {each["loc"][0] for each in error["errors"]} == {"steps", "angle"}


def test_a_write_that_fails_on_the_way_undoes_the_others(socket, dial_thing):
    error = socket.ask("writemultipleproperties", values={"steps": 7, "broken": 1})["error"]
    assert error["status"] == 500
    assert dial_thing.steps == 1


@pytest.mark.parametrize("text", ["no JSON", "[1]", '{"messageType": "what"}', "{}"])
def test_an_answer_to_what_cannot_be_read_names_the_thing_of_the_socket(socket, thing_id, text):
    socket.wire.send(text)
    answer = socket.next()
    assert answer["thingID"] == thing_id["dial"]
    assert answer["error"]["status"] == 400


NOTIFICATIONS = [
    ("6.3.7.2", "observeproperty", {"name": "angle"}, {"name": "angle", "value": 2.5}),
    ("6.3.9.2", "observeallproperties", {}, {"name": "angle", "value": 2.5}),
    ("6.5.1.3", "subscribeevent", {"name": "turned"}, {"name": "turned", "data": 2.5}),
    ("6.5.3.3", "subscribeallevents", {}, {"name": "turned", "data": 2.5}),
    ("6.5.1.3 no data", "subscribeevent", {"name": "touched"}, {"name": "touched"}),
    ("6.5.1.3 null", "subscribeevent", {"name": "maybe"}, {"name": "maybe", "data": None}),
]


@pytest.mark.parametrize(
    ("operation", "members", "expected"),
    [row[1:] for row in NOTIFICATIONS],
    ids=[f"{row[0]} {row[1]}" for row in NOTIFICATIONS],
)
def test_a_notification_has_exactly_the_members_of_the_draft(
    socket, dial_thing, thing_id, operation, members, expected
):
    response, correlation = asked(socket, operation, **members)
    assert "error" not in response
    if expected["name"] == "angle":
        dial_thing.angle = 2.5
    else:
        data = [expected["data"]] if "data" in expected else []
        getattr(dial_thing, expected["name"]).emit(*data)
    notification = socket.next()
    assert_common(notification, thing_id["dial"])
    assert notification == {
        **{name: notification[name] for name in ("thingID", "messageID", "timestamp", *OWN)},
        "messageType": "notification",
        "operation": operation,
        "correlationID": correlation,
        **expected,
    }


def test_the_present_value_is_not_sent_at_the_start_6_3_7(socket, dial_thing):
    socket.ask("observeproperty", name="angle")
    dial_thing.angle = 1.0
    assert socket.next()["value"] == 1.0


BEGUN = {"pending", "running"}


@pytest.mark.parametrize("name", ["turn", "scan", "jam", "hold"])
def test_an_asynchronous_action_is_answered_as_begun_6_4_1_2_2(socket, thing_id, name):
    for _ in range(5):  # some of them have ended before the answer is written
        response, _ = asked(socket, "invokeaction", name=name)
        assert_common(response, thing_id["dial"])
        status = response["status"]
        assert response["name"] == name
        assert status["state"] in BEGUN
        assert_action_status(status)
        assert not {"output", "error", "timeEnded"} & status.keys()


@pytest.fixture
def ended(socket):
    """Invoke an action, and wait for its end; return its id."""

    def wait(name, **members):
        run = socket.ask("invokeaction", name=name, **members)["status"]["actionID"]
        if socket.ask("labthings:observeinvocation", actionID=run)["state"] in BEGUN:
            socket.until(lambda each: each.get("data", {}).get("phase") == "finished")
        return run

    return wait


def test_a_query_names_the_action_and_has_its_status_6_4_2_2(socket, thing_id, ended):
    run = ended("turn", input={"to": 3})
    response, _ = asked(socket, "queryaction", thingID=thing_id["dial"], actionID=run)
    assert_common(response, thing_id["dial"])
    assert response["name"] == "turn"
    status = response["status"]
    assert (status["actionID"], status["state"], status["output"]) == (run, "completed", 3.0)
    assert_action_status(status)
    assert status.keys() >= {"timeRequested", "timeEnded"}


def test_an_error_of_the_run_is_in_its_status_6_4_2_2(socket, ended):
    response, _ = asked(socket, "queryaction", actionID=ended("jam"))
    assert "error" not in response
    assert_action_status(response["status"])
    assert response["status"]["state"] == "failed"
    assert response["status"]["error"]["detail"] == "end switch"
    assert response["status"]["error"]["status"] == 500


def test_a_cancel_is_answered_with_the_id_of_the_run_6_4_3(socket, thing_id):
    run = socket.ask("invokeaction", name="hold")["status"]["actionID"]
    response, correlation = asked(socket, "cancelaction", actionID=run)
    assert_common(response, thing_id["dial"])
    assert response["actionID"] == run
    assert response["correlationID"] == correlation
    assert "error" not in response


def test_all_runs_are_listed_by_action_and_newest_first_6_4_4(socket, thing_id, ended):
    runs = [ended("turn") for _ in range(2)]
    ended("jam")
    response, _ = asked(socket, "queryallactions")
    assert_common(response, thing_id["dial"])
    statuses = response["statuses"]
    assert [each["actionID"] for each in statuses["turn"]] == runs[::-1]
    assert {each["state"] for each in statuses["turn"]} == {"completed"}
    assert [each["state"] for each in statuses["jam"]] == ["failed"]
    assert statuses["hold"] == []
    for each in (*statuses["turn"], *statuses["jam"]):
        assert_action_status(each)
    assert set(statuses) == {"turn", "hold", "jam", "double", "beep", "scan"}


SENTINEL = "labthings:observeall"


def changes(socket, thing):
    """Change two properties and emit two events; return who was told of what."""
    socket.ask(SENTINEL, kinds=["property"])
    socket.waiting.clear()
    thing.angle += 1
    thing.steps += 1
    thing.turned.emit(1.0)
    thing.touched.emit()
    thing.rounded = thing.angle
    # All notifications of a socket come in one order, so the others have come before this one.
    heard = socket.until(lambda each: (each["operation"], each["name"]) == (SENTINEL, "rounded"))
    return [
        (each["name"], each["operation"], each["correlationID"])
        for each in heard
        if each["operation"] != SENTINEL and each["name"] != "rounded"
    ]


FAMILIES = [
    ("property", ("angle", "steps"), "observeproperty", "observeallproperties"),
    ("event", ("turned", "touched"), "subscribeevent", "subscribeallevents"),
]


@pytest.fixture(params=FAMILIES, ids=["6.3.7 to 6.3.10", "6.5.1 to 6.5.4"])
def family(request):
    return request.param[1:]


def test_a_second_request_for_the_same_one_replaces_the_first(socket, dial_thing, family):
    (first, _), one, _ = family
    asked(socket, one, name=first)
    _, again = asked(socket, one, name=first)
    assert changes(socket, dial_thing) == [(first, one, again)]


def test_a_request_for_all_replaces_those_for_one(socket, dial_thing, family):
    (first, second), one, all = family
    asked(socket, one, name=first)
    _, correlation = asked(socket, all)
    assert changes(socket, dial_thing) == [(first, all, correlation), (second, all, correlation)]


def test_a_request_for_one_takes_it_out_of_all(socket, dial_thing, family):
    (first, second), one, all = family
    _, correlation_of_all = asked(socket, all)
    _, correlation = asked(socket, one, name=first)
    told = changes(socket, dial_thing)
    assert told == [(first, one, correlation), (second, all, correlation_of_all)]


def test_the_end_of_one_leaves_the_others_of_all(socket, dial_thing, family):
    (first, second), one, all = family
    _, correlation = asked(socket, all)
    asked(socket, f"un{one}", name=first)
    assert changes(socket, dial_thing) == [(second, all, correlation)]


def test_the_end_of_all_ends_every_one(socket, dial_thing, family):
    (first, second), one, all = family
    asked(socket, one, name=first)
    asked(socket, f"un{all}")
    assert changes(socket, dial_thing) == []
    asked(socket, all)
    asked(socket, one, name=second)
    asked(socket, f"un{all}")
    assert changes(socket, dial_thing) == []


def test_two_sockets_have_different_ids_for_one_change_6_1(dial, dial_thing):
    sockets = [dial("/dial/ws"), dial("/dial/ws"), dial("/ws")]
    for socket in sockets:
        assert "error" not in socket.ask("observeproperty", thingID="dial", name="angle")
    dial_thing.angle = 1.0
    assert len({socket.next()["messageID"] for socket in sockets}) == 3


@pytest.mark.parametrize("operation", ["observeproperty", "observeallproperties"])
def test_what_came_since_a_notification_of_either_operation_is_sent_6_3_7_2(
    dial, dial_thing, operation
):
    before = dial("/dial/ws")
    before.ask("observeallproperties")
    dial_thing.angle = 1.0
    last = before.next()["messageID"]
    before.wire.close()
    dial_thing.angle = 2.0
    after = dial("/dial/ws")
    name = {"name": "angle"} if operation == "observeproperty" else {}
    asked(after, operation, lastNotificationID=last, **name)
    notification = after.next()
    assert (notification["operation"], notification["value"]) == (operation, 2.0)


@pytest.mark.parametrize("operation", ["subscribeevent", "subscribeallevents"])
def test_what_came_since_an_event_is_sent_6_5_1_1(dial, dial_thing, operation):
    before = dial("/dial/ws")
    before.ask("subscribeallevents")
    dial_thing.turned.emit(1.0)
    last = before.next()["messageID"]
    before.wire.close()
    dial_thing.turned.emit(2.0)
    dial_thing.turned.emit(3.0)
    after = dial("/dial/ws")
    name = {"name": "turned"} if operation == "subscribeevent" else {}
    _, correlation = asked(after, operation, lastNotificationID=last, **name)
    for data in (2.0, 3.0):  # each of them: an event is no state
        notification = after.next()
        assert (notification["operation"], notification["data"]) == (operation, data)
        assert notification["correlationID"] == correlation
