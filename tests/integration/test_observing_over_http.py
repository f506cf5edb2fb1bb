"""Following properties and events at their own URLs, from a real server."""

from __future__ import annotations

import contextlib
import http.client
import json
import queue
import threading
import urllib.error
import urllib.request

import pytest

import labthings_fastapi as lt
from labthings_fastapi.bindings.http import observing

SSE = {"Accept": "text/event-stream"}


class Stage(lt.Thing):
    x: float = lt.property(default=0.0)
    y: float = lt.property(default=0.0)
    secret: int = lt.property(default=1, observable=False)
    arrived: lt.Event[float] = lt.event()
    stuck: lt.Event[str] = lt.event()


@pytest.fixture
def server(tmp_path):
    return lt.ThingServer.from_things({"stage": Stage}, settings_folder=tmp_path / "settings")


@pytest.fixture
def stage(server):
    return server.things["stage"]


def ask(port, path, method="GET", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", method=method, headers=headers
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.status, answer.read(), answer.headers


def in_background(*arguments, **headers):
    """Ask in a thread; the queue that is returned gets the answer."""
    answers = queue.Queue()
    threading.Thread(target=lambda: answers.put(ask(*arguments, **headers)), daemon=True).start()
    return answers


def test_changes_of_a_property_come_at_its_own_url(stage, subscribe):
    stream = subscribe("/stage/x", **SSE)
    assert stream.response.headers["vary"] == "Accept"
    assert stream.response.headers["content-type"].startswith("text/event-stream")
    stage.y = 5.0
    stage.x = 2.5
    event = stream.next()
    assert (event["event"], json.loads(event["data"])) == ("x", 2.5)
    assert event["id"].rpartition("-")[2].isdigit()


def test_what_a_client_missed_of_a_property_is_replayed(stage, subscribe):
    first = subscribe("/stage/x", **SSE)
    stage.x = 1.0
    seen = first.next()
    first.close()
    stage.x = 2.0
    again = subscribe("/stage/x", **SSE, **{"Last-Event-ID": seen["id"]})
    assert json.loads(again.next()["data"]) == 2.0


def test_all_changes_of_a_thing_come_in_one_stream(stage, subscribe):
    stream = subscribe("/stage/properties", **SSE)
    stage.x = 1.0
    first = stream.next()
    stage.y = 2.0
    second = stream.next()
    assert [(each["event"], each["data"]) for each in (first, second)] == [
        ("x", "1.0"),
        ("y", "2.0"),
    ]


def test_all_events_of_a_thing_come_in_one_stream(stage, subscribe):
    stream = subscribe("/stage/events", **SSE)
    stage.arrived.emit(3.0)
    stage.x = 1.0
    stage.stuck.emit("at the end")
    assert [stream.next()["event"] for _ in range(2)] == ["arrived", "stuck"]


@pytest.mark.parametrize("path", ["/stage/x", "/stage/properties"])
def test_a_value_that_could_also_be_a_stream_has_a_vary_header(port, path):
    status, body, headers = ask(port, path, Accept="application/json")
    assert (status, headers["vary"]) == (200, "Accept")
    assert headers["content-type"] == "application/json"
    assert json.loads(body) is not None


@pytest.mark.parametrize(
    "accept",
    ["application/json, text/event-stream", "text/event-stream;q=0.5, application/json", "*/*"],
)
def test_a_client_that_takes_both_gets_the_value(port, accept):
    assert ask(port, "/stage/x", Accept=accept)[1] == b"0.0"


def test_a_quiet_stream_is_kept_open_by_comments(server, subscribe, monkeypatch):
    from labthings_fastapi.messages import stream as module

    monkeypatch.setattr(module, "KEEP_ALIVE_SECONDS", 0.01)
    stream = subscribe("/stage/x", **SSE)
    assert stream.response.readline().startswith(b":")


@pytest.mark.parametrize("headers", [SSE, {}])
def test_what_is_not_observable_is_refused_and_not_silent(port, headers):
    path = "/stage/secret" if headers else "/stage/secret?observe=longpoll"
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(port, path, **headers)
    problem = json.loads(caught.value.read())
    assert problem["status"] == 406
    assert "observable=True" in problem["detail"]


def test_a_head_of_a_long_poll_is_answered_at_once(port):
    assert ask(port, "/stage/x?observe=longpoll", "HEAD")[:2] == (200, b"")


def test_a_long_poll_misses_nothing_between_two_requests(stage, subscribe, port):
    stream = subscribe("/stage/events", **SSE)
    for number in range(3):
        stage.arrived.emit(number)
    seen = stream.next()["id"]
    for expected in (1.0, 2.0):
        status, body, headers = ask(port, "/stage/arrived?observe=longpoll", Last_Event_ID=seen)
        seen = headers["last-event-id"]
        assert (status, json.loads(body)) == (200, expected)


def test_a_long_poll_without_last_event_id_misses_nothing_either(stage, port):
    path = "/stage/arrived?observe=longpoll"
    ask(port, path, "HEAD")
    for number in range(20):
        stage.arrived.emit(number)
    assert [json.loads(ask(port, path)[1]) for _ in range(20)] == [float(n) for n in range(20)]


def test_what_came_before_a_new_head_is_not_for_the_poll_that_follows(stage, port):
    path = "/stage/arrived?observe=longpoll"
    ask(port, path, "HEAD")
    stage.arrived.emit(1)
    ask(port, path, "HEAD")
    stage.arrived.emit(2)
    assert json.loads(ask(port, path)[1]) == 2.0


def test_programs_on_one_computer_are_distinguished_by_their_user_agent(stage, port):
    path = "/stage/arrived?observe=longpoll"
    for program in ("one", "other"):
        ask(port, path, "HEAD", User_Agent=program)
    stage.arrived.emit(1)
    assert [json.loads(ask(port, path, User_Agent=p)[1]) for p in ("one", "other")] == [1.0, 1.0]


def test_a_poll_that_is_given_up_is_taken_up_again_where_it_was(stage, port, server):
    path = "/stage/arrived?observe=longpoll"
    ask(port, path, "HEAD")
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        connection.request("GET", path)
    stage.arrived.emit(7)
    assert json.loads(ask(port, path)[1]) == 7.0


class OneConnection:
    """A client that keeps its connection open, and sends nothing that identifies it."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def poll(self):
        self.connection.request("GET", "/stage/arrived?observe=longpoll")
        return json.loads(self.connection.getresponse().read())

    def close(self):
        self.connection.close()


class ConnectionForEach:
    """A client that opens a connection for each request."""

    def __init__(self, port):
        self.port = port

    def poll(self):
        return json.loads(ask(self.port, "/stage/arrived?observe=longpoll")[1])

    def close(self):
        pass


@pytest.fixture
def polls(monkeypatch):
    """A semaphore that counts the polls that wait from now on."""
    polls = threading.Semaphore(0)
    wait_for_message = observing.Observed._next

    async def count_and_wait(observed, response, after):
        polls.release()
        return await wait_for_message(observed, response, after)

    monkeypatch.setattr(observing.Observed, "_next", count_and_wait)
    return polls


@pytest.mark.parametrize("kind", [OneConnection, ConnectionForEach])
def test_two_clients_that_look_the_same_both_get_each_event_once(stage, port, polls, kind):
    def poll_in_background(client):
        answers = queue.Queue()
        threading.Thread(target=lambda: answers.put(client.poll()), daemon=True).start()
        assert polls.acquire(timeout=30)
        return answers

    with contextlib.closing(kind(port)) as one, contextlib.closing(kind(port)) as other:
        waiting = [poll_in_background(one), poll_in_background(other)]
        stage.arrived.emit(1)
        assert [answers.get(timeout=30) for answers in waiting] == [1.0, 1.0]
        stage.arrived.emit(2)  # while neither waits
        assert [one.poll(), other.poll()] == [2.0, 2.0]
        assert polls.acquire(timeout=30)
        assert polls.acquire(timeout=30)
        waiting = poll_in_background(one)
        stage.arrived.emit(3)  # while one of them waits
        assert waiting.get(timeout=30) == 3.0
        assert other.poll() == 3.0
        stage.arrived.emit(4)
        stage.arrived.emit(5)
        assert [other.poll(), one.poll(), other.poll(), one.poll()] == [4.0, 4.0, 5.0, 5.0]


def test_a_long_poll_waits_for_one_value(server, stage, port):
    answers = in_background(port, "/stage/x?observe=longpoll")
    for number in range(1, 3000):
        stage.x = float(number)  # the request may not have arrived yet
        with contextlib.suppress(queue.Empty):
            status, body, _ = answers.get(timeout=0.01)
            break
    assert status == 200
    assert 1.0 <= json.loads(body) <= number


def test_a_long_poll_of_all_properties_names_what_changed(stage, subscribe, port):
    stream = subscribe("/stage/properties", **SSE)
    stage.x = 1.0
    seen = stream.next()["id"]
    stage.y = 2.0
    body = ask(port, "/stage/properties?observe=longpoll", Last_Event_ID=seen)[1]
    assert json.loads(body) == {"y": 2.0}


def test_a_long_poll_of_a_property_is_answered_with_the_present_value(port, monkeypatch):
    monkeypatch.setattr(observing, "POLL_SECONDS", 0.01)
    assert ask(port, "/stage/x?observe=longpoll")[:2] == (200, b"0.0")


class Lamp(lt.Thing):
    level: float = lt.property(default=0.5)


def test_a_long_poll_of_all_properties_waits_on_also_if_there_is_one_only(
    running_server, monkeypatch
):
    monkeypatch.setattr(observing, "POLL_SECONDS", 0.01)
    server = lt.ThingServer.from_things({"lamp": Lamp})
    answers = in_background(running_server(server).port, "/lamp/properties?observe=longpoll")
    with pytest.raises(queue.Empty):  # no phantom change
        answers.get(timeout=0.3)
    for number in range(1, 3000):
        server.things["lamp"].level = float(number)  # the request may not have arrived yet
        with contextlib.suppress(queue.Empty):
            status, body, _ = answers.get(timeout=0.01)
            break
    assert (status, list(json.loads(body))) == (200, ["level"])


def test_a_long_poll_of_an_event_waits_until_it_comes(stage, port, monkeypatch):
    monkeypatch.setattr(observing, "POLL_SECONDS", 0.01)
    answers = in_background(port, "/stage/stuck?observe=longpoll")
    with pytest.raises(queue.Empty):  # no phantom event
        answers.get(timeout=0.3)
    while True:
        stage.stuck.emit("at last")
        try:
            status, body, _ = answers.get(timeout=0.2)
            break
        except queue.Empty:
            continue
    assert (status, json.loads(body)) == (200, "at last")


@pytest.mark.parametrize("path", ["x", "stuck", "properties", "events"])
def test_the_end_of_the_server_is_no_event(server, port, path):
    answers = queue.Queue()

    def poll():
        try:
            answers.put(ask(port, f"/stage/{path}?observe=longpoll")[0])
        except urllib.error.HTTPError as error:
            answers.put(error.code)

    threading.Thread(target=poll, daemon=True).start()
    while not server._broker._subscriptions:
        threading.Event().wait(0.005)
    server._broker.end_streams()
    assert answers.get(timeout=30) == 503


def test_streams_end_when_the_server_stops(server, subscribe):
    stream = subscribe("/stage/x", **SSE)
    server._broker.end_streams()
    assert stream.response.read() == b""


def test_the_description_marks_observable_properties(thing_server):
    client = thing_server({"stage": Stage}).client
    description = client.get("/stage/").json()
    properties = description["properties"]
    assert (properties["x"]["observable"], properties["secret"]["observable"]) == (True, False)
    assert [(form["op"], form.get("subprotocol")) for form in properties["x"]["forms"]] == [
        ("readproperty", None),
        ("writeproperty", None),
        (["observeproperty", "unobserveproperty"], "longpoll"),
        (["observeproperty", "unobserveproperty"], "sse"),
        ("observeproperty", "sse"),
        (
            ["readproperty", "writeproperty", "observeproperty", "unobserveproperty"],
            "webthingprotocol",
        ),
    ]
    assert [form["op"] for form in properties["secret"]["forms"]] == [
        "readproperty",
        "writeproperty",
        ["readproperty", "writeproperty"],
    ]
