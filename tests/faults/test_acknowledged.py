"""What the server has acknowledged is true afterwards: cancelled runs, settings, over kill -9."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

import labthings_fastapi as lt
from labthings_fastapi.invocation_contexts import get_invocation_id

pytestmark = pytest.mark.timeout(180)  # many requests, and servers in processes

PROGRAM = """
from pathlib import Path
import labthings_fastapi as lt
from labthings_fastapi.invocation_contexts import get_invocation_id

class Stage(lt.Thing):
    zero: float = lt.setting(default=0.0)
    name_of_sample: str = lt.setting(default="")

    @lt.action(concurrency="queue", group="motion")
    def move(self) -> None:
        with Path("moved").open("a") as moved:
            moved.write(f"{get_invocation_id()}\\n")
        lt.cancellable_sleep(600)

lt.ThingServer.from_things({"stage": Stage}, settings_folder="settings").serve(port=0)
"""


class Press(lt.Thing):
    def __init__(self, **interface: Any) -> None:
        super().__init__(**interface)
        self.began: dict[str, float] = {}
        self.gate = threading.Event()

    @lt.action(concurrency="queue", group="press")
    def hold(self) -> None:
        self.gate.wait(30)

    @lt.action(concurrency="queue", group="press")
    def push(self) -> None:
        self.began[str(get_invocation_id())] = time.monotonic()


@pytest.mark.parametrize("attempt", range(5))
def test_no_run_begins_after_its_cancel_was_acknowledged(
    running_server: Any, tmp_path: Path, attempt: int
) -> None:
    """Runs wait for their group; it becomes free while they are cancelled."""
    server = lt.ThingServer.from_things({"press": Press}, settings_folder=tmp_path / "settings")
    running = running_server(server)
    press: Any = server.things["press"]
    acknowledged: dict[str, float] = {}
    with httpx2.Client(base_url=running.url, timeout=30) as client:
        held = client.post("/press/hold").json()["id"]
        ids = [client.post("/press/push").json()["id"] for _ in range(40)]
        half = max(1, len(ids) * attempt // 5)  # one is cancelled while all of them wait
        for number, id in enumerate(reversed(ids)):
            if number == half:
                press.gate.set()
            answer = client.delete(f"/action_invocations/{id}")
            if answer.status_code == 204:
                acknowledged[id] = time.monotonic()
            else:
                assert answer.status_code == 409, answer.text  # it has ended already
        press.gate.set()
        for id in [held, *ids]:
            client.get(f"/action_invocations/{id}/events")  # until its end
        ended = {id: client.get(f"/action_invocations/{id}").json() for id in ids}
    assert acknowledged
    for id, run in ended.items():
        began = press.began.get(id)
        if id in acknowledged:
            assert began is None or began <= acknowledged[id], run
        if began is None:
            assert run["status"] == "cancelled"
            assert run["timeStarted"] is None or "timeStarted" not in run


@pytest.mark.skipif(os.name != "posix", reason="It needs SIGKILL, which is POSIX.")
def test_settings_and_cancels_stay_over_kill_9(running_server: Any, tmp_path: Path) -> None:
    command = (sys.executable, "-c", PROGRAM)
    moved = tmp_path / "moved"
    cancelled: list[str] = []
    running: list[str] = []
    for number in range(1, 6):
        server = running_server.process(cwd=tmp_path, command=command)
        with httpx2.Client(base_url=server.url, timeout=30) as client:
            zero = client.get("/stage/zero").json()
            assert zero == float(number - 1)
            if number > 1:
                assert client.get("/stage/name_of_sample").json() == f"sample {number - 1}"
            for id in cancelled:
                run = client.get(f"/action_invocations/{id}").json()
                assert run["status"] == "cancelled", run
            for id in running:
                run = client.get(f"/action_invocations/{id}").json()
                assert run["error"]["type"] == "urn:labthings:problem:interrupted", run
            running.append(client.post("/stage/move").json()["id"])
            waiting = client.post("/stage/move").json()["id"]
            name = {"name_of_sample": f"sample {number}"}
            assert client.put("/stage/properties", json=name).status_code == 204
            assert client.delete(f"/action_invocations/{waiting}").status_code == 204
            cancelled.append(waiting)
            assert client.put("/stage/zero", json=float(number)).status_code == 204
            server.process.send_signal(signal.SIGKILL)
            server.process.wait(30)
    assert not set(cancelled) & set(moved.read_text().split())
