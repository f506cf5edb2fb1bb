"""Clients of others hear nothing while nothing happens, and everything once something does.

They follow every observable property and every event of the demo microscope, by long polls
(node-wot, wotpy) and by streams (hololinked, EventSource). A poll of a property ends after some
time with the present value, which node-wot and wotpy take for a message: it must be a true one.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
from pathlib import Path

import httpx2
import pytest

from labthings_fastapi.bindings.http import observing

pytestmark = pytest.mark.timeout(240)  # four clients at once, each half a minute on a busy computer

HERE = Path(__file__).parent
DEMO = "labthings_fastapi.demo."
THINGS = {
    "stage": f"{DEMO}stage:Stage",
    "camera": f"{DEMO}camera:Camera",
    "autofocus": f"{DEMO}autofocus:Autofocus",
}
STREAMING = ["hololinked", "EventSource"]
POLLING = ["node-wot", "wotpy"]
QUIET_POLLS = 3


class Follower:
    """What a client of others has heard; one thread reads what it writes."""

    def __init__(self, command, things):
        self.process = subprocess.Popen(
            command,
            cwd=HERE,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._changed = threading.Condition()
        self._messages = []  # of the server; guarded by the condition
        self._ended = False
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.process.stdin.write(json.dumps(things) + "\n")
        self.process.stdin.flush()

    def _read(self):
        for line in self.process.stdout:
            with self._changed:
                self._messages.append(json.loads(line))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def heard(self):
        """Everything until now."""
        with self._changed:
            return [each for each in self._messages if "ready" not in each]

    def forget(self):
        with self._changed:
            self._messages.clear()

    def wait(self, condition, seconds=60.0):
        """Wait until the condition is true of what was heard; return whether it is."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or condition(self._messages), seconds)
            return condition(self._messages)

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(30)
        finally:
            self.process.kill()
            self._reader.join(30)
            self.process.stdout.close()


@pytest.fixture
def bench_url(serve, monkeypatch):
    monkeypatch.setattr(observing, "POLL_SECONDS", 1.0)
    return serve(THINGS)


@pytest.fixture
def followers(packages, python_with, bench_url):
    commands = {
        "node-wot": ["node", "node_wot_follower.mjs"],
        "EventSource": ["node", "event_source_follower.mjs"],
        "hololinked": [python_with("hololinked"), "hololinked_follower.py"],
        "wotpy": [python_with("wotpy"), "wotpy_follower.py"],
    }
    things = {name: f"{bench_url}/{name}/" for name in THINGS}
    with contextlib.ExitStack() as stack:
        found = {}
        for name, command in commands.items():
            found[name] = Follower(command, things)
            stack.callback(found[name].close)
        yield found


def values_of(messages, thing, name):
    return [
        each["value"] for each in messages if (each.get("thing"), each.get("name")) == (thing, name)
    ]


def until_all_follow(client, followers):
    """Change a property until each of them has heard of it: not all say when they have begun."""
    for follower in followers.values():
        assert follower.wait(lambda messages: {"ready": True} in messages)
        gain = 1
        while not follower.wait(lambda messages: 2 in values_of(messages, "camera", "gain"), 0.2):
            assert client.put("/camera/gain", json=gain).status_code == 204
            gain = 3 - gain
    assert client.put("/camera/gain", json=1).status_code == 204
    for follower in followers.values():
        assert follower.wait(lambda messages: values_of(messages, "camera", "gain")[-1:] == [1])


def test_clients_of_others_hear_what_happens_and_nothing_else(bench_url, followers):
    with httpx2.Client(base_url=bench_url, timeout=30) as client:
        until_all_follow(client, followers)
        for follower in followers.values():
            follower.forget()
        present = {
            (thing, name): value
            for thing in THINGS
            for name, value in client.get(f"/{thing}/properties").json().items()
        }
        for _ in range(QUIET_POLLS):  # each of them lasts as long as one of the clients
            assert client.get("/stage/moving", params={"observe": "longpoll"}).json() is False

        for name in STREAMING:
            assert followers[name].heard == [], name
        for name in POLLING:
            for each in followers[name].heard:
                assert each["value"] == present[each["thing"], each["name"]], (name, each)
        assert values_of(followers["node-wot"].heard, "stage", "moving")

        moved = client.post("/stage/move_to", json={"x": 20}, headers={"Prefer": "wait=30"})
        assert moved.json()["status"] == "completed"
        assert client.put("/camera/gain", json=2).status_code == 204
        focused = client.post("/autofocus/autofocus", headers={"Prefer": "wait=30"})
        assert focused.json()["status"] == "completed"
        for name, follower in followers.items():
            assert follower.wait(has_heard_it_all), (name, follower.heard)
            events = values_of(follower.heard, "autofocus", "focused")
            assert len(events) == 1, name
            assert True in values_of(follower.heard, "stage", "moving"), name
            assert not [each for each in follower.heard if "error" in each], name


def has_heard_it_all(messages):
    """Whether these messages tell of the move, the new gain and the end of the autofocus."""
    places = [each["x"] for each in values_of(messages, "stage", "position")]
    return (
        20 in places
        and 2 in values_of(messages, "camera", "gain")
        and bool(values_of(messages, "autofocus", "focused"))
        and values_of(messages, "stage", "moving")[-1:] == [False]
    )
