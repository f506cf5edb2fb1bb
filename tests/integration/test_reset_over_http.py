"""Going back to the default: `POST /{thing}/{property}/reset`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import labthings_fastapi as lt


class Stage(lt.Thing):
    speed: float = lt.property(default=1.0)
    trail: list[int] = lt.property(default_factory=lambda: [1])
    serial: str = lt.property(default="A7", readonly=True)
    backlash: int = lt.setting(default=10)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._x, self._gain = 5, 6

    @lt.property
    def x(self) -> int:
        return self._x

    @x.setter
    def _set_x(self, value):
        self._x = value

    x.default = 2

    @lt.setting
    def gain(self) -> int:
        return self._gain

    @gain.setter
    def _set_gain(self, value):
        self._gain = value

    @gain.resetter
    def _reset_gain(self):
        self._gain = 1

    @lt.property
    def stuck(self) -> int:
        return 3

    @stuck.resetter
    def _reset_stuck(self):
        raise OSError("the motor is blocked")

    @lt.property
    def z(self) -> int:
        return 4


@pytest.fixture
def running(thing_server):
    return thing_server({"stage": Stage})


@pytest.mark.parametrize(
    ("name", "value", "default"),
    [("speed", 3.0, 1.0), ("trail", [4], [1]), ("x", 9, 2), ("backlash", 3, 10), ("gain", 8, 1)],
)
def test_the_default_comes_back(running, name, value, default):
    client = running.client
    assert client.put(f"/stage/{name}", json=value).status_code == 204
    answer = client.post(f"/stage/{name}/reset")
    assert (answer.status_code, answer.content) == (204, b"")
    assert client.get(f"/stage/{name}").json() == default


def test_a_reset_setting_is_saved(running):
    for name in ("backlash", "gain"):
        running.client.put(f"/stage/{name}", json=99)
        running.client.post(f"/stage/{name}/reset")
    file = Path(running.server.settings_folder) / "stage" / "Settings-Stage.json"
    assert json.loads(file.read_text("utf-8")) == {"backlash": 10, "gain": 1}


@pytest.mark.parametrize("name", ["serial", "z", "nothing"])
def test_what_cannot_be_reset_has_no_such_resource(running, assert_problem, name):
    assert_problem(running.client.post(f"/stage/{name}/reset"), 404)


def test_a_resetter_that_fails_is_a_problem_and_one_log_record(running, assert_problem, caplog):
    problem = assert_problem(running.client.post("/stage/stuck/reset"), 500)
    assert "the motor is blocked" in problem["detail"]
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert [record.name for record in errors] == ["labthings_fastapi.things.stage"]


def test_other_methods_get_the_allowed_ones(running, assert_problem):
    answer = running.client.get("/stage/speed/reset")
    assert_problem(answer, 405)
    assert answer.headers["allow"] == "POST"


def test_observers_are_notified(running):
    from labthings_fastapi.messages.topic import Topic

    running.client.put("/stage/speed", json=3)
    with running.server._broker.subscribe(Topic(thing="stage")) as subscription:
        running.client.post("/stage/speed/reset")
        assert [(message.affordance, message.payload) for message in subscription.take()] == [
            ("speed", b"1.0")
        ]
