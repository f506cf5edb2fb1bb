"""A server with a global lock: one task at a time moves anything."""

from __future__ import annotations

import concurrent.futures
import logging
import threading

import pytest

import labthings_fastapi as lt


class Stage(lt.Thing):
    speed: float = lt.property(default=1.0, gt=0)
    backlash: int = lt.setting(default=10)
    free: int = lt.property(default=0, use_global_lock=False)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inside, self.go_on = threading.Event(), threading.Event()

    @lt.property
    def x(self) -> int:
        return 1

    @x.setter
    def _set_x(self, value): ...

    @lt.action
    def scan(self) -> float:
        """Hold the lock until the test sets an event, and use it in every way meanwhile."""
        self.speed = 3
        self.move()
        helper = lt.ThreadWithInvocationID(self.move)
        helper.start()
        helper.join_and_propagate_cancel()
        if helper.exception is not None:
            raise helper.exception
        self.inside.set()
        while not self.go_on.wait(0.01):
            lt.raise_if_cancelled()
        return self.speed

    @lt.action
    def move(self) -> int:
        return 1

    @lt.action(synchronous=True)
    def step(self) -> int:
        return 2

    @lt.action(concurrency="queue")
    def queue(self) -> str:
        self.inside.set()
        self.go_on.wait(30)
        return "done"

    @lt.action(use_global_lock=False)
    def look(self) -> str:
        return "seen"

    @lt.action(stop=True)
    def halt(self) -> str:
        self.speed = 0.5
        return "halted"


class Camera(lt.Thing):
    exposure: float = lt.property(default=0.1)


@pytest.fixture
def running(thing_server):
    return thing_server(
        {"stage": Stage, "camera": Camera},
        enable_global_lock=True,
        global_lock_log_level="ERROR",
    )


@pytest.fixture
def client(running):
    return running.client


@pytest.fixture
def scanning(running, ended):
    """Give the href of a run that holds the lock; it ends with the test."""
    stage = running.server.things["stage"]
    href = running.client.post("/stage/scan").json()["href"]
    assert stage.inside.wait(30)
    yield href
    stage.go_on.set()
    assert ended(running.client, href)["status"] == "completed"


def test_a_run_is_one_task_with_all_that_it_calls(client, scanning):
    assert client.get(scanning).json()["status"] == "running"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/stage/speed", 2),
        ("/stage/speed", -2),
        ("/stage/backlash", 3),
        ("/stage/x", 3),
        ("/camera/exposure", 1),
        ("/stage/properties", {"speed": 2, "free": 1}),
    ],
)
def test_nothing_is_set_meanwhile(client, scanning, assert_problem, path, value):
    problem = assert_problem(client.put(path, json=value), 409)
    assert problem["type"].endswith(":locked")
    assert "global lock" in problem["detail"]
    assert (client.get("/stage/speed").json(), client.get("/stage/free").json()) == (3.0, 0)


def test_nothing_is_reset_meanwhile(client, scanning, assert_problem):
    assert_problem(client.post("/stage/speed/reset"), 409)
    assert client.get("/stage/speed").json() == 3.0


@pytest.mark.parametrize("path", ["/stage/speed", "/stage/x", "/stage/properties", "/stage/"])
def test_reading_never_waits(client, scanning, path):
    assert client.get(path).status_code == 200


def test_what_opts_out_passes(client, scanning, ended):
    assert client.put("/stage/free", json=4).status_code == 204
    assert ended(client, client.post("/stage/look").json()["href"])["output"] == "seen"


def test_an_emergency_stop_passes_and_may_set_things(client, scanning, ended):
    assert ended(client, client.post("/stage/halt").json()["href"])["output"] == "halted"
    assert client.get("/stage/speed").json() == 0.5


def test_another_run_is_refused_at_the_post_never_started_and_logged_once(
    client, scanning, assert_problem, caplog
):
    with caplog.at_level(logging.DEBUG):
        problem = assert_problem(client.post("/stage/move"), 409)
    assert problem["type"].endswith(":locked")
    assert "'move' of Thing 'stage'" in problem["detail"]
    [old] = [run for run in client.get("/action_invocations").json() if "/move" in run["action"]]
    old = client.get(f"/action_invocations/{old['id']}").json()
    assert (old["status"], old["timeStarted"]) == ("error", None)
    assert [entry["levelname"] for entry in old["log"]] == ["ERROR"]
    logged = [record for record in caplog.records if "global lock" in record.getMessage()]
    assert [(record.levelname, record.name) for record in logged] == [
        ("ERROR", "labthings_fastapi.things.stage")
    ]


def test_a_synchronous_action_is_refused_with_409(client, scanning, assert_problem):
    problem = assert_problem(client.post("/stage/step"), 409)
    assert problem["type"].endswith(":locked")


def test_what_is_refused_with_a_key_can_be_tried_again_with_it(
    running, client, scanning, assert_problem, ended
):
    stage, key = running.server.things["stage"], {"Idempotency-Key": "one move"}
    assert_problem(client.post("/stage/move", headers=key), 409)
    stage.go_on.set()
    ended(client, scanning)
    assert client.post("/stage/move", headers=key).status_code == 201


def test_what_waits_in_line_is_not_refused_and_takes_the_lock_when_it_begins(
    running, client, ended
):
    stage = running.server.things["stage"]
    first = client.post("/stage/queue").json()["href"]
    assert stage.inside.wait(30)
    second = client.post("/stage/queue").json()
    assert second["phase"] == "queued"
    stage.go_on.set()
    assert ended(client, first)["output"] == "done"
    assert ended(client, second["href"])["output"] == "done"
    assert running.server.services.global_lock.locked is False


def test_many_that_come_at_once_are_each_refused_or_run_to_the_end(running, client, ended):
    running.server.things["stage"].go_on.set()

    def post(_):
        return client.post("/stage/move")

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(post, range(40)))
    accepted = [answer.json()["href"] for answer in answers if answer.status_code == 201]
    assert accepted
    assert {ended(client, href)["status"] for href in accepted} == {"completed"}
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert running.server.services.global_lock.locked is False


def test_code_on_the_server_is_refused_too(running, scanning):
    stage = running.server.things["stage"]
    with pytest.raises(TimeoutError):
        stage.move()
    with pytest.raises(TimeoutError):
        stage.speed = 2


def test_afterwards_everything_goes_again(running, client, ended):
    stage = running.server.things["stage"]
    stage.go_on.set()
    href = client.post("/stage/scan").json()["href"]
    assert ended(client, href)["output"] == 3.0
    assert client.put("/stage/speed", json=2).status_code == 204
    assert client.post("/stage/step").json() == 2
    assert running.server.services.global_lock.locked is False


def test_a_cancelled_run_lets_go(running, client, ended):
    href = client.post("/stage/scan").json()["href"]
    assert running.server.things["stage"].inside.wait(30)
    assert client.delete(href).status_code == 204
    assert ended(client, href)["error"]["type"].endswith(":cancelled")
    assert client.put("/camera/exposure", json=2).status_code == 204


def test_code_that_holds_it_keeps_clients_out(running, client, assert_problem):
    with running.server.things["camera"]._thing_server_interface.hold_global_lock():
        assert_problem(client.put("/camera/exposure", json=2), 409)
    assert client.put("/camera/exposure", json=2).status_code == 204


def test_without_the_option_there_is_none(thing_server):
    running = thing_server({"stage": Stage})
    assert running.server.services.global_lock is None
    assert running.client.put("/stage/speed", json=2).status_code == 204
