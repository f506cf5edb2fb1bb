"""A server that is killed many times: its responses stay true, and nothing moves twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import labthings_fastapi as lt

STARTS = [20, pytest.param(100, marks=pytest.mark.slow)]
SEED = 20_240_517
INTERRUPTED = "urn:labthings:problem:interrupted"

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="It needs fork and SIGKILL, which are POSIX."),
    pytest.mark.timeout(600),  # many servers take their time on a busy computer
]


class Press(lt.Thing):
    """As in the servers before, but never invoked."""

    @lt.action
    def quick(self, key: str) -> str:
        raise NotImplementedError(key)

    @lt.action
    def slow(self, key: str) -> str:
        raise NotImplementedError(key)


@dataclass
class Story:
    """What the client received, the marks of real moves, and a last start of the server."""

    starts: int
    reported: dict[str, Any]
    marks: list[tuple[str, str]]
    server: lt.ThingServer


@pytest.fixture(scope="module", params=STARTS)
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("killed")
    program = Path(__file__).with_name("killed_servers.py")
    finished = subprocess.run(
        [sys.executable, str(program), str(folder), str(request.param), str(SEED)],
        capture_output=True,
        text=True,
        timeout=560,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    marks = [
        (id, key)
        for id, key in (line.split() for line in (folder / "marks").read_text("utf-8").splitlines())
    ]
    server = lt.ThingServer.from_things({"press": Press}, settings_folder=folder / "settings")
    return Story(request.param, json.loads(finished.stdout), marks, server)


def test_every_response_stays_true_after_each_kill(story: Story) -> None:
    """One test, because the starts take long: each block is one promise."""
    reported, marks = story.reported, story.marks
    assert len(reported["acknowledged"]) > story.starts, "the client got few responses"
    assert reported["finished"]
    open_ones = 0
    with story.server.test_client() as client:
        for id, key in reported["acknowledged"].items():
            kept = client.get(f"/journal/{id}")
            assert kept.status_code == 200, f"run {id} was acknowledged and is lost"
            assert kept.json()["input"] == {"key": key}
            run = client.get(f"/action_invocations/{id}").json()
            in_w3c_words = client.get(f"{run['action']}/{id}").json()
            if run["status"] == "completed":
                assert (run["output"], in_w3c_words["status"]) == (key * 20, "completed")
                assert [line["message"] for line in run["log"]] == [f"Pressed {key}."]
                continue
            open_ones += 1
            assert (run["status"], run["error"]["type"]) == ("error", INTERRUPTED)
            assert (in_w3c_words["status"], in_w3c_words["error"]) == ("failed", run["error"])
            assert client.delete(f"/action_invocations/{id}").status_code == 409
        for id, seen in reported["finished"].items():
            now = client.get(f"/action_invocations/{id}").json()
            same = ("status", "output", "log", "input", "timeRequested", "timeCompleted")
            assert {name: now[name] for name in same} == {name: seen[name] for name in same}
        for id, _key in marks:
            answer = client.get(f"/journal/{id}")
            assert answer.status_code == 200, f"run {id} moved and was never recorded"
    assert open_ones >= story.starts // 4, "too few runs were open when the server was killed"

    twice = {id: number for id, number in Counter(id for id, _ in marks).items() if number > 1}
    assert not twice, "runs that moved twice"
    twice = {key: number for key, number in Counter(key for _, key in marks).items() if number > 1}
    assert not twice, "requests that moved twice, although they had the same Idempotency-Key"
    assert reported["different"] == []
