"""What a killed server left on is switched off by the next start, before anything else runs."""

from __future__ import annotations

import json
import os
import urllib.request

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs kill -9")

LAB = """
from pathlib import Path
import labthings_fastapi as lt


class Heater(lt.Thing):
    # The file is the heater: it stays on when the server is killed.
    state = Path("heater")

    def __enter__(self):
        self.log("enter")

    def __exit__(self, *_):
        self.log("exit")

    def log(self, what):
        with Path("calls").open("a") as file:
            print(self.name, what, file=file)

    def safe_state(self):
        self.log("safe_state")
        if Path("stuck").exists():
            raise OSError("the relay does not answer")
        self.state.write_text("off")

    @lt.action
    def heat(self) -> None:
        self.state.write_text("on")
        self.log("heat")
        lt.cancellable_sleep(600)

    @lt.property
    def on(self) -> bool:
        return self.state.read_text() == "on"

    @on.setter
    def on(self, value: bool) -> None:
        self.state.write_text("on" if value else "off")
        self.log("heat")


class Annealer(lt.Thing):
    heater: Heater = lt.thing_slot("heater")

    def safe_state(self):
        pass

    @lt.action
    def anneal(self) -> None:
        self.heater.heat()

    @lt.action
    def switch_on(self) -> None:
        self.heater.on = True
        lt.cancellable_sleep(600)


class Camera(lt.Thing):
    @lt.action
    def watch(self) -> None:
        lt.cancellable_sleep(600)
"""
CONFIG = {
    "things": {
        "heater": "heater_lab:Heater",
        "spare": "heater_lab:Heater",
        "annealer": "heater_lab:Annealer",
        "camera": "heater_lab:Camera",
    }
}


@pytest.fixture
def lab(tmp_path):
    (tmp_path / "heater_lab.py").write_text(LAB)
    (tmp_path / "lab.json").write_text(json.dumps(CONFIG))
    return tmp_path


def ask(server, path, method="GET"):
    with urllib.request.urlopen(urllib.request.Request(server.url + path, method=method)) as answer:
        return json.load(answer)


def start_and_kill(running_server, lab, *actions):
    server = running_server.process("-c", "lab.json", cwd=lab)
    runs = [ask(server, path, "POST")["id"] for path in actions]
    while "heat" not in (lab / "calls").read_text().split():
        pass
    server.kill()
    (lab / "calls").write_text("")
    return runs


def calls(lab):
    return (lab / "calls").read_text().splitlines()


def logged(server, run):
    return [line["message"] for line in ask(server, f"/journal/{run}")["log"]]


@pytest.mark.parametrize("action", ["/heater/heat", "/annealer/anneal", "/annealer/switch_on"])
def test_a_heater_that_a_killed_server_left_on_is_off_after_the_restart(
    action, lab, running_server
):
    (run,) = start_and_kill(running_server, lab, action)
    assert (lab / "heater").read_text() == "on"
    server = running_server.process("-c", "lab.json", cwd=lab)
    assert calls(lab)[:2] == ["heater enter", "heater safe_state"]
    assert "spare safe_state" not in calls(lab)
    assert (lab / "heater").read_text() == "off"
    assert ask(server, "/heater/on") is False
    record = ask(server, f"/journal/{run}")
    assert record["error"]["type"] == "urn:labthings:problem:interrupted"
    assert "safe_state of Thing 'heater' was called after the restart." in logged(server, run)
    assert server.stop() == 0
    # Once is enough: after an orderly stop nothing is made safe.
    running_server.process("-c", "lab.json", cwd=lab)
    assert calls(lab).count("heater safe_state") == 1


def test_what_cannot_be_made_safe_is_tried_again_at_the_next_start(lab, running_server):
    (run,) = start_and_kill(running_server, lab, "/heater/heat")
    (lab / "stuck").touch()
    server = running_server.process("-c", "lab.json", cwd=lab)
    failed = "safe_state of Thing 'heater' failed after the restart"
    assert any(line.startswith(failed) for line in logged(server, run))
    assert ask(server, "/health")["things"]["heater"]["state"] == "open"
    assert server.stop() == 0
    assert "the hardware may not be at rest" in server.output()
    (lab / "stuck").unlink()
    server = running_server.process("-c", "lab.json", cwd=lab)
    assert (lab / "heater").read_text() == "off"
    assert "safe_state of Thing 'heater' was called after the restart." in logged(server, run)


def test_a_thing_without_safe_state_is_named_in_the_journal(lab, running_server):
    _, run = start_and_kill(running_server, lab, "/heater/heat", "/camera/watch")
    server = running_server.process("-c", "lab.json", cwd=lab)
    assert logged(server, run) == [
        "Thing 'camera' has no safe_state that could be called after the restart."
    ]
