"""Events over HTTP: server-sent events, from a real server."""

from __future__ import annotations

import http.client
import json
import threading

import pytest

import labthings_fastapi as lt


class Oven(lt.Thing):
    overheated: lt.Event[float] = lt.event()
    """It is too hot."""
    done: None = lt.event()

    @lt.action
    def heat(self, to: float) -> None:
        """Report from a worker thread of the run."""
        thread = threading.Thread(target=self.overheated.emit, args=(to,))
        thread.start()
        thread.join()


class Watchdog(lt.Thing):
    """Listens to the oven, and barks in a callback."""

    oven: Oven = lt.thing_slot()
    barked: lt.Event[str] = lt.event()

    def __enter__(self):
        self._watch = self.oven.events["overheated"].subscribe(self.bark)
        return self

    def __exit__(self, *args):
        self._watch.close()

    def bark(self, heat):
        self.barked.emit(f"{heat} degrees!")


@pytest.fixture
def server(tmp_path):
    return lt.ThingServer.from_things(
        {"oven": Oven, "dog": Watchdog}, settings_folder=tmp_path / "settings"
    )


def post(port, path, body):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def test_an_event_of_a_worker_thread_reaches_a_subscriber(port, subscribe):
    stream = subscribe("/oven/overheated")
    assert stream.response.status == 200
    assert stream.response.headers["content-type"].startswith("text/event-stream")
    assert post(port, "/oven/heat", {"to": 81.5}) == 201
    event = stream.next()
    assert (event["event"], json.loads(event["data"])) == ("overheated", 81.5)
    assert event["id"].rpartition("-")[2].isdigit()


def test_an_event_of_another_things_callback_reaches_a_subscriber(server, subscribe):
    stream = subscribe("/dog/barked")
    server.things["oven"].overheated.emit(90)
    assert json.loads(stream.next()["data"]) == "90.0 degrees!"


def test_every_subscriber_gets_every_event_in_order(server, subscribe):
    streams = [subscribe("/oven/overheated") for _ in range(3)]
    for heat in range(50):
        server.things["oven"].overheated.emit(heat)
    for stream in streams:
        assert [json.loads(stream.next()["data"]) for _ in range(50)] == list(range(50))


def test_an_event_without_data_is_null(server, subscribe):
    stream = subscribe("/oven/done")
    server.things["oven"].done.emit()
    assert stream.next()["data"] == "null"


def test_what_was_missed_is_replayed(server, subscribe):
    oven = server.things["oven"]
    first = subscribe("/oven/overheated")
    oven.overheated.emit(1)
    seen = first.next()
    first.close()
    oven.overheated.emit(2)
    oven.done.emit()
    oven.overheated.emit(3)
    again = subscribe("/oven/overheated", **{"Last-Event-ID": seen["id"]})
    assert [json.loads(again.next()["data"]) for _ in range(2)] == [2.0, 3.0]


def test_an_id_of_another_life_of_the_server_is_answered_with_a_gap(server, subscribe):
    stream = subscribe("/oven/overheated", **{"Last-Event-ID": "elsewhere-7"})
    server.things["oven"].overheated.emit(5)
    assert stream.next()["event"] == "gap"
    assert stream.next()["data"] == "5.0"


def test_the_description_has_forms_to_subscribe(thing_server):
    running = thing_server({"oven": Oven})
    event = running.client.get("/oven/").json()["events"]["overheated"]
    assert event["title"] == "It is too hot."
    assert {"type": "number"} in event["data"]["oneOf"]
    forms = [form for form in event["forms"] if form.get("subprotocol") == "sse"]
    for form in forms:
        assert form["href"].endswith("/oven/overheated")
        assert form["contentType"] == "application/json"
    assert [form["op"] for form in forms] == [
        ["subscribeevent", "unsubscribeevent"],
        "subscribeevent",
    ]


def test_an_event_cannot_be_written(thing_server, assert_problem):
    running = thing_server({"oven": Oven})
    assert_problem(running.client.put("/oven/overheated", json=3), 405)
