"""The demo bench as a newcomer uses it: over HTTP."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import time
from importlib import resources
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

import labthings_fastapi as lt
from labthings_fastapi.client.sse import parse
from labthings_fastapi.demo.optics import focal_height

FINISHED = {"completed", "cancelled", "error"}


@pytest.fixture
def client(tmp_path):
    """A client of a running bench; the stage is fast."""
    file = resources.files("labthings_fastapi.demo") / "bench.json"
    things = json.loads(file.read_text(encoding="utf-8"))["things"]
    server = lt.ThingServer.from_things(things, settings_folder=str(tmp_path))
    with server.test_client() as client:
        client.put("/stage/speed", json=5000).raise_for_status()
        client.put("/camera/exposure", json=5).raise_for_status()
        yield client


def start(client, action, **inputs):
    """Start an action and return the address of its run."""
    answer = client.post(action, json=inputs)
    assert answer.status_code == 201, answer.text
    return f"/action_invocations/{answer.json()['id']}"


def finish(client, run, within=30.0):
    """Ask a run how it is until it has ended."""
    deadline = time.monotonic() + within
    answer = client.get(run).json()
    while answer["status"] not in FINISHED:
        assert time.monotonic() < deadline, answer
        answer = client.get(run, headers={"Prefer": "wait=5"}).json()
    return answer


def completed(client, action, **inputs):
    """Run an action to its end and return its output."""
    answer = finish(client, start(client, action, **inputs))
    assert answer["status"] == "completed", answer
    return answer["output"]


def picture(client, blob):
    """Download a picture."""
    answer = client.get(blob["href"])
    assert answer.headers["Content-Type"] == "image/jpeg"
    return Image.open(io.BytesIO(answer.content))


def wait_until(condition, within=60.0):
    """Wait for something that the server is about to do."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "It did not happen in time."
        time.sleep(0.01)


def status(client, run):
    """The status of a run now."""
    return client.get(run).json()["status"]


def events(client, run):
    """All messages of a run for a subscriber, by their kind, up to its end."""
    stream = client.get(f"{run}/events").text.splitlines()
    return [(event.event, json.loads(event.data)) for event in parse(stream)]


@pytest.fixture
def long_move(client):
    """A move that would take minutes, and has begun; what follows it is fast."""
    client.put("/stage/speed", json=1).raise_for_status()
    run = start(client, "/stage/move_to", x=400)
    wait_until(lambda: position(client)["x"] > 0)
    client.put("/stage/speed", json=5000).raise_for_status()
    return run


def position(client):
    """The position that the stage reports."""
    return client.get("/stage/position").json()


def test_the_stage_moves_and_publishes_its_position(client):
    run = start(client, "/stage/move_to", x=100, z=-5)
    assert finish(client, run)["output"] == {"x": 100, "y": 0, "z": -5}
    assert position(client) == {"x": 100, "y": 0, "z": -5}
    assert client.get("/stage/moving").json() is False


def test_a_move_shows_its_progress_on_the_way(client):
    client.put("/stage/speed", json=10)
    run = start(client, "/stage/move_to", x=400)
    wait_until(lambda: client.get(run).json()["progress"])
    answer = client.get(run).json()
    assert answer["status"] == "running"
    assert 0 < answer["progress"] < 100
    assert 0 < position(client)["x"] < 400
    assert client.delete(run).status_code == 204


def test_the_error_for_a_target_out_of_reach_has_the_limits(client):
    answer = finish(client, start(client, "/stage/move_to", y=9999))
    assert answer["status"] == "error"
    assert "y = 9999 µm" in answer["error"]["detail"]
    assert "-500 to 500" in answer["error"]["detail"]


def test_a_cancelled_move_leaves_the_stage_at_rest(client, long_move):
    assert client.delete(long_move).status_code == 204
    assert finish(client, long_move)["status"] == "cancelled"
    assert client.get("/stage/moving").json() is False
    resting = position(client)
    assert 0 < resting["x"] < 400
    assert position(client) == resting


def test_moves_wait_in_line_and_report_progress(client, long_move):
    second, third = (start(client, "/stage/move_to", x=x) for x in (1, 2))
    waiting = client.get(third).json()
    assert (waiting["status"], waiting["phase"], waiting["queuePosition"]) == (
        "pending",
        "queued",
        2,
    )
    client.delete(second).raise_for_status()
    assert client.get(third).json()["queuePosition"] == 1
    client.delete(long_move).raise_for_status()
    assert finish(client, third)["output"]["x"] == 2
    assert status(client, second) == "cancelled"


def test_a_jog_takes_over_from_a_move_and_from_a_jog(client, long_move):
    client.put("/stage/speed", json=1).raise_for_status()
    jog = start(client, "/stage/jog", dy=400)
    assert finish(client, long_move)["status"] == "cancelled"
    wait_until(lambda: position(client)["y"] > 0)
    client.put("/stage/speed", json=5000).raise_for_status()
    assert completed(client, "/stage/jog", dz=5)["z"] == 5
    assert status(client, jog) == "cancelled"
    assert 0 < position(client)["y"] < 400


def test_a_jog_takes_over_from_an_autofocus(client):
    client.put("/stage/speed", json=1).raise_for_status()
    focusing = start(client, "/autofocus/autofocus")
    wait_until(lambda: position(client)["z"] < 0)
    client.put("/stage/speed", json=5000).raise_for_status()
    assert completed(client, "/stage/jog", dx=5)["x"] == 5
    assert finish(client, focusing)["status"] == "cancelled"


def test_a_cancelled_scan_leaves_the_move_of_another_client_alone(client):
    """A scan has used the stage and waits for it again, when its client gives up."""
    client.put("/camera/exposure", json=1000).raise_for_status()
    scan = start(client, "/scan/scan", columns=2, rows=1)
    wait_until(lambda: position(client)["x"] == -90)
    client.put("/stage/speed", json=100).raise_for_status()
    move = start(client, "/stage/move_to", x=-50)
    wait_until(lambda: position(client)["x"] > -90)
    client.delete(scan).raise_for_status()
    assert finish(client, scan)["status"] == "cancelled"
    assert finish(client, move)["output"]["x"] == -50


def test_the_emergency_stop_passes_the_line_and_ends_all_that_move_or_wait(client, long_move):
    waiting = start(client, "/stage/move_to", x=1)
    completed(client, "/stage/stop")
    for run, why in ((long_move, "ended this move"), (waiting, "release it first")):
        answer = finish(client, run)
        assert answer["status"] == "error"
        assert why in answer["error"]["detail"]


def test_the_emergency_stop_ends_a_scan_too_until_the_stage_is_released(client):
    client.put("/stage/speed", json=100)
    run = start(client, "/scan/scan", columns=4, rows=4)
    wait_until(lambda: position(client)["x"] < 0)
    completed(client, "/stage/stop")
    assert finish(client, run)["status"] == "error"
    assert finish(client, start(client, "/stage/home"))["status"] == "error"
    completed(client, "/stage/release")
    client.put("/stage/speed", json=5000)
    assert completed(client, "/stage/home") == {"x": 0, "y": 0, "z": 0}


def test_a_picture_is_a_jpeg_that_can_be_opened(client):
    jpeg = picture(client, completed(client, "/camera/capture"))
    width, height = client.get("/camera/resolution").json()
    assert (jpeg.format, jpeg.size) == ("JPEG", (width, height))


def test_the_pixels_of_a_picture_are_an_array(client):
    described = client.get("/camera/").json()["actions"]["capture_array"]["output"]
    assert described["labthings:dtype"] == "uint8"
    assert described["labthings:shape"] == [None, None, 3]
    width, height = client.get("/camera/resolution").json()
    headers = {"Prefer": "wait=30", "Accept": "application/json, application/x-npy;q=0.5"}
    state = client.post("/camera/capture_array", headers=headers).json()
    answer = client.get(state["output"]["href"])
    assert np.load(io.BytesIO(answer.content)).shape == (height, width, 3)


def test_autofocus_finds_the_focus(client):
    blurred = completed(client, "/camera/capture")
    curve = completed(client, "/autofocus/autofocus")
    assert len(curve["z"]) == len(curve["sharpness"]) == 21
    assert curve["best_z"] == pytest.approx(focal_height(0, 0), abs=1)
    assert position(client)["z"] == curve["best_z"]
    # A sharp picture holds more detail, so its file is larger.
    sharp = completed(client, "/camera/capture")
    assert sharp["size"] > 1.2 * blurred["size"]


def test_the_progress_of_an_autofocus_never_goes_back_though_its_moves_report_theirs(client):
    client.put("/camera/exposure", json=100).raise_for_status()
    run = start(client, "/autofocus/autofocus", steps=5)
    reported = [data["progress"] for kind, data in events(client, run) if kind == "progress"]
    assert reported == sorted(reported)
    assert reported[-1] == 100
    assert client.get(run).json()["progressDetail"]["message"] == "focusing"


def test_a_scan_gives_its_tiles_with_their_pictures(client):
    tiles = completed(client, "/scan/scan", columns=2, rows=2)
    assert [(t["column"], t["row"]) for t in tiles] == [(0, 0), (1, 0), (1, 1), (0, 1)]
    assert {picture(client, t["image"]).size for t in tiles} == {(400, 300)}
    assert position(client) == {"x": 0, "y": 0, "z": 0}


def test_a_scan_cancelled_in_the_middle_stops_the_stage(client):
    client.put("/camera/exposure", json=200).raise_for_status()
    run = start(client, "/scan/scan", columns=10, rows=10, overlap=0.5)  # not over too soon
    wait_until(lambda: (client.get(run).json()["progress"] or 0) > 5)
    client.put("/stage/speed", json=1).raise_for_status()
    wait_until(lambda: client.get("/stage/moving").json())
    client.delete(run).raise_for_status()
    assert finish(client, run)["status"] == "cancelled"
    assert client.get("/stage/moving").json() is False
    resting = position(client)
    assert position(client) == resting


def test_a_second_scan_waits_for_the_first(client):
    first, second = (start(client, "/scan/scan", columns=2, rows=1) for _ in range(2))
    assert len(finish(client, second)["output"]) == 2
    assert status(client, first) == "completed"
    ended, begun = client.get(first).json(), client.get(second).json()
    assert ended["timeCompleted"] <= begun["timeStarted"]


def test_wrong_input_is_refused_before_a_run_begins(client):
    assert client.post("/scan/scan", json={"columns": 0}).status_code == 422
    assert client.post("/stage/move_to", json={"w": 1}).status_code == 422
    for path, name in (("move_to", "x"), ("move_by", "dx"), ("jog", "dy")):
        assert client.post(f"/stage/{path}", json={name: "NaN"}).status_code == 422
        assert client.post(f"/stage/{path}", json={name: "Infinity"}).status_code == 422
    for value in ("NaN", "Infinity"):
        assert client.put("/stage/speed", json=value).status_code == 422
    assert client.put("/camera/exposure", json=0).status_code == 422


def test_the_host_answers_all_its_readings_at_once(client):
    readings = client.get("/host/properties").json()
    assert len(readings["cpu_load_per_core"]) >= 1
    assert 0 <= readings["cpu_load"] <= 100
    assert readings["memory"]["used"] < readings["memory"]["total"]
    assert readings["uptime"] > 0


class RealServer:
    """A client of `labthings-server --demo`, in a process of its own."""

    def __init__(self, port):
        self._address = ("127.0.0.1", port)

    @contextlib.contextmanager
    def answer(self, method, path, body=None):
        """Send a request and give the answer, of which nothing has been read."""
        connection = http.client.HTTPConnection(*self._address, timeout=30)
        with contextlib.closing(connection):
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"Content-Type": "application/json"})
            with connection.getresponse() as answer:
                yield answer

    def ask(self, method, path, body=None):
        """Send a request and return what it answers, None where that is empty."""
        with self.answer(method, path, body) as answer:
            content = answer.read()
        assert answer.status < 400, content
        return json.loads(content) if content else None

    @contextlib.contextmanager
    def updates(self, run):
        """Yield the messages of a run by their kind, each as soon as it arrives."""
        with self.answer("GET", f"{run}/events") as stream:
            lines = (line.decode().rstrip("\r\n") for line in stream)
            yield ((event.event, json.loads(event.data)) for event in parse(lines))


@pytest.fixture
def real_server(tmp_path, running_server):
    """The demo bench as `make demo` starts it, on a free port."""
    return RealServer(running_server.process("--demo", cwd=tmp_path).port)


def test_the_tiles_of_a_scan_arrive_one_by_one_while_it_runs(real_server):
    """With two tiles in hand, the scan is still running; then its client has seen enough."""
    real_server.ask("PUT", "/camera/exposure", 100)
    # More tiles than there is time for, also if this client is held up for a while.
    scan = real_server.ask("POST", "/scan/scan", {"columns": 40, "rows": 10, "overlap": 0.9})
    run = f"/action_invocations/{scan['id']}"
    with real_server.updates(run) as updates:
        results = (data for kind, data in updates if kind == "result")
        first, second = next(results), next(results)
        real_server.ask("PUT", "/stage/speed", 1)
        assert real_server.ask("GET", run)["status"] == "running"
        assert second["number"] == first["number"] + 1
        with real_server.answer("GET", urlsplit(first["value"]["image"]["href"]).path) as picture:
            assert Image.open(io.BytesIO(picture.read())).size == (400, 300)

        real_server.ask("DELETE", run)
        assert [data["status"] for kind, data in updates if kind == "status"][-1] == "cancelled"
    assert real_server.ask("GET", "/stage/moving") is False
