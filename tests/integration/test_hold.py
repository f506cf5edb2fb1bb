"""`lt.hold`: nobody else uses a Thing between two steps of an invocation."""

from __future__ import annotations

import asyncio
import threading

import pytest

import labthings_fastapi as lt
from labthings_fastapi.exceptions import ActionBusyError


class Stage(lt.Thing):
    speed: float = lt.property(default=1.0)
    target: float = lt.setting(default=0.0)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.done = []
        self.moving, self.arrive = threading.Event(), threading.Event()

    @lt.property
    def position(self) -> float:
        return 7.0

    @position.setter
    def _set_position(self, value: float): ...

    @lt.action
    def jump(self) -> str:
        self.done.append("jump")
        return "jumped"

    @lt.action(concurrency="queue", group="motion")
    def move(self) -> str:
        self.done.append("move")
        return "moved"

    @lt.action(concurrency="replace", group="motion")
    def jog(self) -> str:
        self.done.append("jog")
        return "jogged"

    @lt.action(concurrency="reject", group="calibration")
    def calibrate(self) -> str:
        return "calibrated"

    @lt.action(concurrency="queue", group="motion")
    def travel(self) -> None:
        self.moving.set()
        while not self.arrive.wait(0.005):
            lt.raise_if_cancelled()

    @lt.action(stop=True)
    def halt(self) -> str:
        self.speed = 0.0
        self.move()
        return "halted"


class Focus(lt.Thing):
    stage: Stage = lt.thing_slot()
    camera: Stage = lt.thing_slot("camera")

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inside, self.go_on = threading.Event(), threading.Event()
        self.other_inside = threading.Event()

    @lt.action
    def focus(self) -> list[str]:
        with lt.hold(self.stage):
            self.inside.set()
            while not self.go_on.wait(0.005):
                lt.raise_if_cancelled()
            self.stage.speed = 3.0
            self.stage.position = 3.0
            helper = lt.ThreadWithInvocationID(self.stage.calibrate)
            helper.start()
            helper.join_and_propagate_cancel()
            with lt.hold(self.stage):
                return [self.stage.move(), self.stage.jump(), helper.result]

    @lt.action
    async def focus_slowly(self) -> str:
        async with lt.hold(self.stage, self.camera):
            self.inside.set()
            await asyncio.to_thread(self.go_on.wait, 30)
            return self.stage.move()

    @lt.action
    async def block(self) -> None:
        with lt.hold(self.stage):
            self.inside.set()
            await asyncio.to_thread(self.go_on.wait, 30)

    @lt.action
    def use(self) -> str:
        return self.stage.jump()

    @lt.action
    def impatient(self) -> None:
        with lt.hold(self.stage, timeout=0.02):
            pass

    @lt.action
    def first_stage(self) -> str:
        with lt.hold(self.stage):
            self.inside.set()
            assert self.other_inside.wait(30)
            with lt.hold(self.camera):
                return "both"

    @lt.action
    def first_camera(self) -> str:
        with lt.hold(self.camera):
            self.other_inside.set()
            assert self.inside.wait(30)
            with lt.hold(self.stage):
                return "both"


@pytest.fixture
def lab(thing_server):
    return thing_server(
        {
            "stage": Stage,
            "camera": Stage,
            "focus": {"cls": Focus, "thing_slots": {"stage": "stage"}},
        }
    )


@pytest.fixture
def client(lab):
    return lab.client


@pytest.fixture
def stage(lab):
    return lab.server.things["stage"]


@pytest.fixture
def focus(lab):
    return lab.server.things["focus"]


@pytest.fixture(params=["focus", "focus_slowly"])
def held(request, client, focus, ended):
    """Give the href of a run that keeps the stage until the test sets `focus.go_on`."""
    href = client.post(f"/focus/{request.param}").json()["href"]
    assert focus.inside.wait(30)
    yield href
    focus.go_on.set()
    assert ended(client, href)["status"] == "completed"


@pytest.mark.parametrize("action", ["jump", "move", "jog"])
def test_actions_of_others_wait_and_say_for_whom(client, stage, focus, held, ended, action):
    waiting = client.post(f"/stage/{action}").json()
    assert (waiting["status"], waiting["phase"]) == ("pending", "queued")
    assert held.rpartition("/")[2] in waiting["phaseDetail"]
    assert client.get(held).json()["status"] == "running"
    assert stage.done == []
    focus.go_on.set()
    ended(client, held)
    assert ended(client, waiting["href"])["status"] == "completed"
    assert stage.done[-1] == action


def test_what_does_not_wait_is_refused_and_told_for_whom(client, held, assert_problem):
    problem = assert_problem(client.post("/stage/calibrate"), 409)
    assert held.rpartition("/")[2] in problem["detail"]
    assert "stage" in problem["detail"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/stage/speed", 2),
        ("/stage/target", 2),
        ("/stage/position", 2),
        ("/stage/properties", {"speed": 2}),
    ],
)
def test_writes_of_others_are_refused_and_told_for_whom(
    client, stage, focus, held, ended, assert_problem, path, value
):
    problem = assert_problem(client.put(path, json=value), 409)
    assert problem["type"].endswith(":busy")
    assert held.rpartition("/")[2] in problem["detail"]
    assert stage.speed == 1.0
    focus.go_on.set()
    ended(client, held)
    assert client.put(path, json=value).status_code == 204


def test_reads_and_emergency_stops_pass(client, stage, held):
    assert client.get("/stage/position").json() == 7.0
    assert client.get("/stage/speed").json() == 1.0
    assert client.post("/stage/halt", headers={"Prefer": "wait=30"}).json()["output"] == "halted"
    assert (stage.done, stage.speed) == (["move"], 0.0)


def test_another_thing_is_free(client, ended):
    # A hold of the stage says nothing about the camera.
    assert ended(client, client.post("/camera/jump").json()["href"])["output"] == "jumped"
    assert client.put("/camera/speed", json=3).status_code == 204


def test_code_on_the_server_waits_too_and_its_writes_are_refused(client, stage, focus, held, ended):
    waiting = client.post("/focus/use").json()["href"]
    with pytest.raises(ActionBusyError, match=held.rpartition("/")[2]):
        stage.speed = 9
    with pytest.raises(ActionBusyError, match=held.rpartition("/")[2]):
        stage.calibrate()
    assert stage.done == []
    focus.go_on.set()
    assert ended(client, waiting)["output"] == "jumped"


def test_a_hold_waits_for_the_run_in_progress_and_can_be_cancelled_meanwhile(
    client, stage, focus, ended
):
    travelling = client.post("/stage/travel").json()["href"]
    assert stage.moving.wait(30)
    waiting = client.post("/focus/focus").json()["href"]
    assert client.delete(waiting).status_code == 204
    assert ended(client, waiting)["error"]["type"].endswith(":cancelled")
    assert not focus.inside.is_set()
    waiting = client.post("/focus/focus").json()["href"]
    stage.arrive.set()
    ended(client, travelling)
    assert focus.inside.wait(30)
    focus.go_on.set()
    assert ended(client, waiting)["output"] == ["moved", "jumped", "calibrated"]


def test_a_hold_with_a_timeout_names_who_has_the_thing(client, held, ended):
    failed = ended(client, client.post("/focus/impatient").json()["href"])
    assert failed["error"]["type"].endswith(":busy")
    assert held.rpartition("/")[2] in failed["error"]["detail"]


def test_of_two_that_wait_for_one_another_the_later_one_is_told_of_both(client, focus, ended):
    hrefs = [
        client.post(f"/focus/{name}").json()["href"] for name in ("first_stage", "first_camera")
    ]
    runs = [ended(client, href) for href in hrefs]
    assert sorted(run["status"] for run in runs) == ["completed", "failed"]
    [failed] = [run for run in runs if run["status"] == "failed"]
    assert failed["error"]["type"].endswith(":busy")
    for run in runs:
        assert run["id"] in failed["error"]["detail"]


def test_a_wait_that_would_block_the_loop_of_the_holder_is_refused(client, focus, ended):
    first = client.post("/focus/block").json()["href"]
    assert focus.inside.wait(30)
    second = ended(client, client.post("/focus/block").json()["href"])
    assert "async with lt.hold" in second["error"]["detail"]
    focus.go_on.set()
    assert ended(client, first)["status"] == "completed"


def test_outside_a_run_the_thread_keeps_the_thing(client, stage, ended, assert_problem):
    with lt.hold(stage):
        assert_problem(client.put("/stage/speed", json=2), 409)
        stage.speed = 4
        waiting = client.post("/stage/move").json()
        assert waiting["phase"] == "queued"
        assert stage.jump() == "jumped"
    assert ended(client, waiting["href"])["output"] == "moved"


def test_it_keeps_things_only():
    with pytest.raises(TypeError, match="at least one Thing"):
        lt.hold()
    with pytest.raises(TypeError, match="'stage' is not one"):
        lt.hold("stage")


def test_an_exclusive_thing_is_kept_from_reads_as_well(thing_server, assert_problem, monkeypatch):
    from labthings_fastapi.bindings.interaction import properties as client_reads

    monkeypatch.setattr(client_reads, "CLIENT_PATIENCE", 0.05)
    running = thing_server({"stage": {"cls": Stage, "exclusive": True}})
    stage, client = running.server.things["stage"], running.client
    with lt.hold(stage):
        assert stage.position == 7.0
        problem = assert_problem(client.get("/stage/position"), 503)
        assert "lt.hold" in problem["detail"]
        assert_problem(client.put("/stage/position", json=2), 409)
        assert_problem(client.post("/stage/calibrate"), 409)
        waiting = client.post("/stage/jump", headers={"Prefer": "wait=0"}).json()
        assert waiting["phase"] == "queued"
    assert client.get("/stage/position").json() == 7.0
