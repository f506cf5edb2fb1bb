"""Large JSON is parsed off the event loop and within a budget, and memory of runs is bounded."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

import labthings_fastapi as lt
from labthings_fastapi.bindings.interaction.properties import PropertyInteraction
from labthings_fastapi.bindings.websocket import dispatcher, socket_state
from labthings_fastapi.bindings.websocket.encoders import encode_response as encode
from labthings_fastapi.bindings.websocket.requests import read_message
from labthings_fastapi.schemas.json_text import LARGE, MOST_ITEMS, MOST_NAMES
from labthings_fastapi.schemas.values import ValueSchema


class Generator(lt.Thing):
    """A signal generator."""

    waveform: list[float] = lt.property(default_factory=list)
    names: dict[str, int] = lt.property(default_factory=dict)
    notes: str = lt.property(default="")

    @lt.action
    def play(self, waveform: list[float]) -> int:
        return len(waveform)

    @lt.action
    def record(self, size: int) -> str:
        return "x" * size

    @lt.action
    def talk(self, lines: int) -> None:
        for _ in range(lines):
            self.logger.info("x" * 1000)

    @lt.action
    def wait(self) -> None:
        lt.cancellable_sleep(60)


@pytest.fixture
def server():
    return lt.ThingServer.from_things({"generator": Generator}, max_retained_bytes=1_000_000)


@pytest.fixture
def client(server):
    with server.test_client() as client:
        yield client


@pytest.mark.parametrize("count", [10, 20_000, MOST_ITEMS])
def test_a_large_array_within_the_budget_is_accepted(client, count):
    values = [0.5] * count
    assert client.put("/generator/waveform", json=values).status_code == 204
    assert len(client.get("/generator/waveform").json()) == count
    started = client.post(
        "/generator/play", json={"waveform": values}, headers={"Prefer": "wait=30"}
    )
    assert started.json()["output"] == count


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("waveform", [0.5] * (MOST_ITEMS + 2)),
        ("names", {str(n): n for n in range(MOST_NAMES + 1)}),
        ("properties", {"waveform": [0.5] * (MOST_ITEMS + 2)}),
    ],
)
def test_more_than_the_budget_is_refused_with_the_remedy(client, assert_problem, path, value):
    problem = assert_problem(client.put(f"/generator/{path}", json=value), 413)
    assert "Send large data as a file or a blob" in problem["detail"]


def test_a_long_text_with_many_commas_is_no_large_array(client):
    text = 'a,b:c\\" ' * MOST_ITEMS
    assert client.put("/generator/notes", json=text).status_code == 204
    assert client.get("/generator/notes").json() == text


@pytest.mark.parametrize("count", [3, 90, 1000, 100_000])
def test_at_most_100_errors_are_reported(client, assert_problem, count):
    problem = assert_problem(client.put("/generator/waveform", json=["a"] * count), 422)
    assert 1 <= len(problem["errors"]) <= 100
    assert problem["errors"][0]["loc"] == [0]
    if count < 1000:
        assert len(problem["errors"]) == min(count, 100)
    problem = assert_problem(client.post("/generator/play", json={"waveform": ["a"] * count}), 422)
    assert 1 <= len(problem["errors"]) <= 100


@pytest.mark.parametrize("spaces", [0, LARGE])
@pytest.mark.parametrize(
    ("text", "status"),
    [
        ('{"waveform": [1, 2], "waveform": [3]}', 400),
        ('{"waveform": [NaN]}', 400),
        ('{"waveform": [1e999]}', 400),
        ('{"waveform": [true]}', 422),
        ('{"waveform": ["3"]}', 422),
        ('{"waveform": [3]', 400),
        ('{"waveform": [3]}', 201),
    ],
)
def test_a_large_text_is_held_against_the_same_description(client, text, status, spaces):
    content = text.replace("[", "[" + " " * spaces)
    answer = client.post(
        "/generator/play", content=content, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("method", "path", "value", "key"),
    [
        ("PUT", "waveform", [0.5] * 20_000, None),
        ("POST", "play", {"waveform": [0.5] * 20_000}, None),
        ("POST", "play", {"waveform": [0.5] * 20_000}, "1"),
    ],
)
def test_large_json_is_not_validated_on_the_event_loop(
    client, monkeypatch, method, path, value, key
):
    threads = []
    validate = ValueSchema.validate_wire

    def witness(self, data):
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            threads.append(threading.current_thread().name)
        else:
            threads.append("the event loop")
        return validate(self, data)

    monkeypatch.setattr(ValueSchema, "validate_wire", witness)
    headers = {} if key is None else {"Idempotency-Key": key}
    assert client.request(method, f"/generator/{path}", json=value, headers=headers).is_success
    assert threads
    assert "the event loop" not in threads


@pytest.mark.parametrize(("size", "on_the_loop"), [(10, True), (20_000, False)])
def test_large_messages_of_sockets_are_not_parsed_on_the_event_loop(
    dial, monkeypatch, size, on_the_loop
):
    threads = {}

    def witness(text):
        threads[threading.get_ident()] = threading.current_thread().name
        return read_message(text)

    loops = []
    monkeypatch.setattr(dispatcher, "read_message", witness)
    monkeypatch.setattr(socket_state, "read_message", witness)
    monkeypatch.setattr(
        dispatcher,
        "encode_response",
        lambda *given: loops.append(threading.get_ident()) or encode(*given),
    )
    socket = dial("/generator/ws")
    assert "error" not in socket.ask("writeproperty", name="waveform", value=[0.5] * size)
    assert len(socket.ask("readproperty", name="waveform")["value"]) == size
    assert len(set(loops)) == 1
    parsed_elsewhere = threads.keys() - set(loops)
    assert bool(parsed_elsewhere) is not on_the_loop


def test_a_large_message_that_is_no_json_is_answered_and_the_socket_stays(dial):
    socket = dial("/generator/ws")
    for text in ("[" * 70_000, '{"a":NaN,"b":"' + "x" * 70_000 + '"}', "[" + "1," * 200_001 + "1]"):
        socket.wire.send(text)
        assert socket.next()["error"]["status"] in (400, 413)
    assert socket.ask("readproperty", name="notes")["value"] == ""


def test_a_cancel_is_answered_while_a_large_input_is_validated(client, monkeypatch):
    began, go_on = threading.Event(), threading.Event()
    checked = PropertyInteraction.checked

    def slow(self, body):
        began.set()
        assert go_on.wait(30)
        return checked(self, body)

    monkeypatch.setattr(PropertyInteraction, "checked", slow)
    run = client.post("/generator/wait").json()
    answers = []
    putting = threading.Thread(
        target=lambda: answers.append(client.put("/generator/waveform", json=[0.5] * 20_000))
    )
    putting.start()
    assert began.wait(30)
    assert client.delete(run["href"]).status_code in (200, 204)
    go_on.set()
    putting.join(30)
    assert answers[0].status_code == 204


def test_what_kept_runs_hold_is_bounded_in_bytes(client, server):
    href = []
    for _ in range(8):
        answer = client.post(
            "/generator/record", json={"size": 100_000}, headers={"Prefer": "wait=30"}
        )
        href.append(answer.json()["href"])
    assert len(server.action_manager.invocations) == 3  # each counts as three times its output
    for each in href:  # all the same, each is answered
        assert client.get(each).json()["status"] == "completed"


def test_what_logs_hold_counts_and_the_newest_run_is_kept(client, server):
    for _ in range(3):
        answer = client.post(
            "/generator/talk", json={"lines": 500}, headers={"Prefer": "wait=30"}
        ).json()
        assert answer["status"] == "completed"
    assert len(server.action_manager.invocations) == 1


def test_small_runs_are_bounded_by_their_number_as_before(client, server):
    for n in range(50):
        client.post("/generator/play", json={"waveform": [n]}, headers={"Prefer": "wait=30"})
    assert len(server.action_manager.invocations) == 50
    assert json.loads(client.get("/action_invocations").text)
