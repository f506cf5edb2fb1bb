"""Nothing runs on hardware that was not opened; what needs no hardware is answered."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from websockets.sync.client import connect

import labthings_fastapi as lt

ran: list[str] = []


@pytest.fixture(autouse=True)
def nothing_ran():
    ran.clear()


class Stage(lt.Thing):
    """A stage that moves only after its port was opened."""

    speed: float = lt.property(default=1.0)
    backlash: int = lt.setting(default=10)

    def __enter__(self):
        ran.append("enter")

    def __exit__(self, *_):
        ran.append("exit")

    @lt.property
    def position(self) -> int:
        ran.append("position")
        return 3

    @position.setter
    def _set_position(self, value: int) -> None:
        ran.append("set position")

    position.default = 0

    @lt.action(synchronous=True)
    def move(self) -> None:
        ran.append("move")

    @lt.action(stop=True)
    def halt(self) -> None:
        ran.append("halt")

    @lt.endpoint("get", "picture")
    def picture(self) -> str:
        ran.append("picture")
        return "a picture"

    @lt.endpoint("get", "film")
    async def film(self) -> str:
        ran.append("film")
        return "a film"


class AsyncStage(Stage):
    async def __enter__(self):
        ran.append("enter")

    async def __exit__(self, *_):
        ran.append("exit")


class Autofocus(lt.Thing):
    """Needs no opening itself, but moves a stage."""

    stage: Stage = lt.thing_slot()

    @lt.action(synchronous=True)
    def focus(self) -> None:
        self.stage.move()


class Clock(lt.Thing):
    """Has no hardware."""

    @lt.property
    def hour(self) -> int:
        return 12

    @lt.action(synchronous=True)
    def tick(self) -> int:
        return 1


THINGS = {"stage": Stage, "astage": AsyncStage, "focus": Autofocus, "clock": Clock}
NEED_CODE = [
    ("GET", "/stage/position"),
    ("PUT", "/stage/position"),
    ("POST", "/stage/position/reset"),
    ("PUT", "/stage/properties"),
    ("POST", "/stage/move"),
    ("POST", "/stage/halt"),
    ("GET", "/stage/picture"),
    ("GET", "/stage/film"),
    ("POST", "/astage/move"),
    ("POST", "/focus/focus"),
]


@pytest.fixture
def server(tmp_path):
    return lt.ThingServer.from_things(
        {**THINGS, "focus": {"cls": Autofocus, "thing_slots": {"stage": "stage"}}},
        settings_folder=tmp_path / "settings",
        journal="memory",
    )


@pytest.fixture(params=["mounted", "without its lifespan"])
def unopened(request, server):
    if request.param == "mounted":
        app = FastAPI()
        app.mount("/lab", server.app)
        with TestClient(app) as client:
            client.base_url = client.base_url.join("/lab/")
            yield client
    else:
        yield TestClient(server.app)


def send(client, method, path):
    body = b'{"position": 1}' if path.endswith("/properties") else b"1"
    sent = {"content": body, "headers": {"Content-Type": "application/json"}}
    return client.request(method, path.lstrip("/"), **(sent if method == "PUT" else {}))


@pytest.mark.parametrize(("method", "path"), NEED_CODE)
def test_what_needs_code_of_a_thing_that_is_not_open_is_503_and_says_how_to_start(
    method, path, unopened, assert_problem
):
    problem = assert_problem(send(unopened, method, path), 503)
    assert ran == []
    assert problem["type"] == "urn:labthings:problem:not-open"
    for word in ("is not open", "server.started()", "serve()"):
        assert word in problem["detail"]


def test_the_problem_names_the_thing_and_the_one_that_it_uses(unopened):
    assert (
        send(unopened, "POST", "/stage/move")
        .json()["detail"]
        .startswith("Thing 'stage' is not open: ")
    )
    assert (
        send(unopened, "POST", "/focus/focus")
        .json()["detail"]
        .startswith("Thing 'focus' uses Thing 'stage', which is not open: ")
    )


def test_data_properties_are_answered(unopened):
    assert unopened.get("stage/speed").json() == 1.0
    assert unopened.get("stage/backlash").json() == 10
    assert send(unopened, "PUT", "/stage/speed").status_code == 204
    assert send(unopened, "PUT", "/stage/backlash").status_code == 204
    assert (unopened.get("stage/speed").json(), unopened.get("stage/backlash").json()) == (1, 1)
    together = unopened.get("stage/properties")
    assert together.status_code == 503
    assert together.json()["values"] == {"speed": 1.0, "backlash": 1}


def test_a_thing_without_hardware_answers_all_the_same(unopened):
    assert unopened.get("clock/hour").json() == 12
    assert unopened.post("clock/tick").json() == 1


def test_the_health_says_so(unopened):
    health = unopened.get("health")
    things = health.json()["things"]
    assert (health.status_code, health.json()["status"]) == (503, "stopped")
    assert things["stage"]["state"] == "closed"
    assert "server.started()" in things["stage"]["error"]
    assert things["clock"] == {"class": "Clock", "state": "closed"}


def test_a_refused_key_may_be_used_again(server):
    key = {"Idempotency-Key": "once"}
    client = TestClient(server.app)
    assert client.post("/stage/move", headers=key).status_code == 503
    with server.test_client() as client:
        assert client.post("/stage/move", headers=key).status_code == 204
    assert ran == ["enter", "enter", "move", "exit", "exit"]


def test_started_opens_the_things_for_an_app_that_mounts_the_server(server):
    @asynccontextmanager
    async def lifespan(_app):
        async with server.started() as started:
            assert started is server
            ran.append("yield")
            yield

    app = FastAPI(lifespan=lifespan)
    app.mount("/lab", server.app)
    with TestClient(app) as client:
        assert ran == ["enter", "enter", "yield"]
        assert client.get("/lab/health").json()["status"] == "running"
        assert client.get("/lab/stage/position").json() == 3
        assert client.post("/lab/focus/focus").status_code == 204
    assert ran == ["enter", "enter", "yield", "position", "move", "exit", "exit"]


def test_a_thing_that_is_closed_again_runs_nothing(server):
    with server.test_client() as client:
        assert client.get("/stage/position").json() == 3
    ran.clear()
    assert TestClient(server.app).get("/stage/position").status_code == 503
    assert ran == []


async def start_twice(server):
    async with server.started(), server.started():
        pass


def test_a_server_that_runs_already_is_not_started_again(server):
    with pytest.raises(RuntimeError, match="runs already"):
        asyncio.run(start_twice(server))
    assert ran == ["enter", "enter", "exit", "exit"]


def test_a_start_that_fails_ends_the_host_app(server):
    class Dead(lt.Thing):
        def __enter__(self):
            raise OSError("no power")

        def __exit__(self, *_):
            pass

    dead = lt.ThingServer.from_things({"dead": Dead}, journal="memory")

    @asynccontextmanager
    async def lifespan(_app):
        async with dead.started():
            yield

    with (
        pytest.raises(lt.exceptions.ThingStartError, match="'dead' could not start: OSError"),
        TestClient(FastAPI(lifespan=lifespan)),
    ):
        pass


def test_a_socket_is_told_that_the_thing_is_not_open(server, running_server):
    app = FastAPI()
    app.mount("/lab", server.app)
    port = running_server(app).port
    with connect(f"ws://127.0.0.1:{port}/lab/ws", proxy=None) as socket:
        for name in ("position", "speed"):
            members = {"thingID": "stage", "operation": "readproperty", "name": name}
            socket.send(json.dumps({"messageType": "request", **members}))
        answers = "".join(socket.recv(timeout=30) for _ in "12")
    assert "Thing 'stage' is not open" in answers
    assert '"value":1.0' in answers
    assert ran == []
