"""The demo bench as a newcomer uses it: over HTTP."""

from __future__ import annotations

import io
import json
import time
from importlib import resources

import pytest
from PIL import Image

import labthings_fastapi as lt
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


def wait_until(condition, within=10.0):
    """Wait for something that the server is about to do."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "It did not happen in time."
        time.sleep(0.01)


def position(client):
    """Where the stage says it is."""
    return client.get("/stage/position").json()


def test_the_stage_moves_and_says_where_it_is(client):
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


def test_a_target_out_of_reach_says_what_is_in_reach(client):
    answer = finish(client, start(client, "/stage/move_to", y=9999))
    assert answer["status"] == "error"
    assert "y = 9999 µm" in answer["error"]["detail"]
    assert "-500 to 500" in answer["error"]["detail"]


def test_a_cancelled_move_leaves_the_stage_at_rest(client):
    client.put("/stage/speed", json=1)
    run = start(client, "/stage/move_to", x=400)
    wait_until(lambda: position(client)["x"] > 0)
    assert client.delete(run).status_code == 204
    assert finish(client, run)["status"] == "cancelled"
    resting = position(client)
    assert 0 < resting["x"] < 400
    assert position(client) == resting


def test_the_emergency_stop_ends_a_move_with_an_error(client):
    client.put("/stage/speed", json=1)
    run = start(client, "/stage/move_to", x=400)
    wait_until(lambda: client.get("/stage/moving").json())
    completed(client, "/stage/stop")
    answer = finish(client, run)
    assert answer["status"] == "error"
    assert "emergency stop" in answer["error"]["detail"]


def test_the_emergency_stop_ends_a_scan_too_until_the_stage_is_released(client):
    client.put("/stage/speed", json=100)
    run = start(client, "/scan/scan", columns=4, rows=4)
    wait_until(lambda: client.get("/stage/moving").json())
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


def test_autofocus_finds_the_focus(client):
    blurred = completed(client, "/camera/capture")
    curve = completed(client, "/autofocus/autofocus")
    assert len(curve["z"]) == len(curve["sharpness"]) == 21
    assert curve["best_z"] == pytest.approx(focal_height(0, 0), abs=1)
    assert position(client)["z"] == curve["best_z"]
    # A sharp picture holds more detail, so its file is larger.
    sharp = completed(client, "/camera/capture")
    assert sharp["size"] > 1.2 * blurred["size"]


def test_a_scan_gives_its_tiles_with_their_pictures(client):
    tiles = completed(client, "/scan/scan", columns=2, rows=2)
    assert [(t["column"], t["row"]) for t in tiles] == [(0, 0), (1, 0), (1, 1), (0, 1)]
    assert {picture(client, t["image"]).size for t in tiles} == {(400, 300)}
    assert position(client) == {"x": 0, "y": 0, "z": 0}


def test_a_scan_cancelled_in_the_middle_stops_the_stage(client):
    client.put("/stage/speed", json=100)
    run = start(client, "/scan/scan", columns=4, rows=4)
    wait_until(lambda: (client.get(run).json()["progress"] or 0) > 5)
    assert client.delete(run).status_code == 204
    assert finish(client, run)["status"] == "cancelled"
    assert client.get("/stage/moving").json() is False
    resting = position(client)
    assert position(client) == resting


def test_wrong_input_is_refused_before_a_run_begins(client):
    assert client.post("/scan/scan", json={"columns": 0}).status_code == 422
    assert client.post("/stage/move_to", json={"w": 1}).status_code == 422
    assert client.put("/camera/exposure", json=0).status_code == 422


def test_the_host_answers_all_its_readings_at_once(client):
    readings = client.get("/host/properties").json()
    assert len(readings["cpu_load_per_core"]) >= 1
    assert 0 <= readings["cpu_load"] <= 100
    assert readings["memory"]["used"] < readings["memory"]["total"]
    assert readings["uptime"] > 0
