"""A journal on a full disk: nothing new moves, and ends are published with a remark."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import labthings_fastapi as lt


class Press(lt.Thing):
    """A press that counts how often it moved."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.moves = []
        self.gate = threading.Event()

    @lt.action
    def hold(self) -> str:
        self.moves.append("hold")
        self.gate.wait(30)
        return "x" * 500

    @lt.action
    def move(self, note: str = "") -> None:
        self.moves.append("move")

    @lt.action(stop=True)
    def stop(self, note: str = "") -> None:
        self.moves.append("stop")


def ended(client, href):
    """Wait for the end of a run, by its URL, and return its last state."""
    for _ in range(20):
        content = client.get(href, headers={"Prefer": "wait=5"}).json()
        if content["status"] in ("completed", "failed"):
            return content
    raise AssertionError(f"{href} did not end: {content}")


def fill(folder: Path) -> Path:
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as disk, contextlib.suppress(OSError):
        while True:
            disk.write(b"\0" * 4096)
    return filler


def test_on_a_full_disk_only_an_emergency_stop_moves_anything(
    small_disk: Path, thing_server
) -> None:
    running = thing_server({"press": Press}, settings_folder=small_disk / "settings")
    client, press = running.client, running.server.things["press"]
    held = client.post("/press/hold").json()["href"]
    filler = fill(small_disk)
    body = {"note": "x" * 500}

    refused = client.post("/press/move", json=body)
    keyed = client.post("/press/move", json=body, headers={"Idempotency-Key": "k" * 200})
    stopped = client.post("/press/stop", json=body)

    assert [refused.status_code, keyed.status_code, stopped.status_code] == [507, 507, 201]
    assert refused.headers["content-type"] == "application/problem+json"
    assert ended(client, stopped.json()["href"])["journaled"] is False
    press.gate.set()
    run = ended(client, held)
    assert (run["status"], run["journaled"]) == ("completed", False)
    assert press.moves == ["hold", "stop"]

    filler.unlink()
    again = client.post("/press/move", json=body, headers={"Idempotency-Key": "k" * 200})
    assert again.status_code == 201, again.text
    assert ended(client, again.json()["href"])["status"] == "completed"
    assert press.moves == ["hold", "stop", "move"]
