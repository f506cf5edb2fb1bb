"""Runs as streams of events: the same for each client, also after a reconnection."""

from __future__ import annotations

import json
import threading
import urllib.request

import pytest

import labthings_fastapi as lt

STEP = threading.Semaphore(0)


class Scanner(lt.Thing):
    """Yields when a test lets it."""

    speed: int = lt.property(default=1)

    @lt.action
    def scan(self, tiles: int):
        for tile in lt.track(range(tiles)):
            STEP.acquire()
            self.logger.info("Tile %d.", tile)
            yield tile


@pytest.fixture
def server(tmp_path):
    return lt.ThingServer.from_things({"scan": Scanner}, settings_folder=tmp_path / "settings")


def ask(port, method, path, body=None):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read() or b"null")


def story(stream, until=lambda event: event["event"] == "status" and b_ended(event)):
    """Read events up to one that is wanted, that one included."""
    events = []
    while not events or not until(events[-1]):
        events.append(stream.next())
    return events


def b_ended(event):
    return json.loads(event["data"])["status"] in ("completed", "cancelled", "error")


def plot(events):
    """The events, without those that are coalesced for slow readers."""
    return [(each["event"], each["id"]) for each in events if each["event"] in ("log", "result")]


def test_two_clients_get_the_same_events_although_one_reconnects(port, subscribe):
    run = ask(port, "POST", "/scan/scan", {"tiles": 4})
    events = f"/action_invocations/{run['id']}/events"
    steady, fickle = subscribe(events), subscribe(events)
    STEP.release()
    second_result = lambda event: event["event"] == "result"  # noqa: E731
    early = story(fickle, second_result)
    fickle.close()
    for _ in range(3):
        STEP.release()
    whole = story(steady)
    late = story(subscribe(events, **{"Last-Event-ID": early[-1]["id"]}))
    assert plot(early) + plot(late) == plot(whole)
    assert len([name for name, _ in plot(whole) if name == "result"]) == 4
    numbers = [int(each["id"].rpartition("-")[2]) for each in whole if "id" in each]
    assert numbers == sorted(numbers)
    assert json.loads(whole[-1]["data"])["status"] == "completed"
    assert json.loads(late[-1]["data"])["status"] == "completed"


def test_an_unknown_event_id_is_answered_with_a_gap(port, subscribe):
    run = ask(port, "POST", "/scan/scan", {"tiles": 1})
    stream = subscribe(
        f"/action_invocations/{run['id']}/events", **{"Last-Event-ID": "another-life-5"}
    )
    STEP.release()
    events = story(stream)
    assert "gap" in [each["event"] for each in events]


def test_the_server_has_one_stream_of_everything(port, subscribe):
    stream = subscribe("/events")
    ask(port, "PUT", "/scan/speed", 7)
    event = stream.next()
    data = json.loads(event["data"])
    assert (event["event"], data["thing"], data["name"], data["data"]) == (
        "property",
        "scan",
        "speed",
        7,
    )
    run = ask(port, "POST", "/scan/scan", {"tiles": 1})
    STEP.release()
    seen = story(
        stream,
        lambda each: (
            each["event"] == "status" and json.loads(each["data"])["data"]["status"] == "completed"
        ),
    )
    kinds = {each["event"] for each in seen}
    assert {"status", "log", "result"} <= kinds
    assert {json.loads(each["data"])["invocation"] for each in seen} == {run["id"]}
