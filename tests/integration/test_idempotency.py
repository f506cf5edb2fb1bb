"""`Idempotency-Key`: a request that is sent again starts no second run."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import labthings_fastapi as lt
from labthings_fastapi.dependencies.invocation import InvocationID


class Stage(lt.Thing):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.moves = []
        self.gate = threading.Event()

    @lt.action
    def move(self, x: int = 0, y: int = 0) -> int:
        self.moves.append(x)
        return x

    @lt.action
    def injected(self, id: InvocationID, x: int = 0) -> str:
        self.moves.append(x)
        return str(id)

    @lt.action(synchronous=True)
    def now(self, x: int = 0) -> int:
        self.moves.append(x)
        return x

    @lt.action(concurrency="reject")
    def hold(self) -> None:
        self.moves.append("hold")
        self.gate.wait(30)

    @lt.action(stop=True)
    def stop(self) -> None:
        self.moves.append("stop")


@pytest.fixture
def serve(thing_server):
    return lambda: thing_server({"stage": Stage})


def key(text="k1"):
    return {"Idempotency-Key": text}


@pytest.mark.parametrize("action", ["move", "injected"])
def test_the_same_request_gives_back_the_same_run(serve, ended, action):
    running = serve()
    client, stage = running.client, running.server.things["stage"]
    first = client.post(f"/stage/{action}", json={"x": 1}, headers=key())
    second = client.post(f"/stage/{action}", content=b'{ "x":1 }', headers=first.request.headers)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] == second.json()["id"]
    assert first.headers["location"] == second.headers["location"]
    run = ended(client, second.json()["href"])
    assert stage.moves == [1]
    assert run["output"] == (run["id"] if action == "injected" else 1)


def test_the_order_of_members_makes_no_other_input(serve):
    client = serve().client
    results = [
        client.post("/stage/move", json=body, headers=key()).json()["id"]
        for body in ({"x": 1, "y": 2}, {"y": 2, "x": 1})
    ]
    assert results[0] == results[1]


@pytest.mark.parametrize("action", ["move", "injected"])
def test_other_input_with_the_same_key_is_refused(serve, assert_problem, action):
    client = serve().client
    assert client.post(f"/stage/{action}", json={"x": 1}, headers=key()).status_code == 201
    answer = client.post(f"/stage/{action}", json={"x": 2}, headers=key())
    assert assert_problem(answer, 422)["type"].endswith(":idempotency-key")


def test_a_key_belongs_to_one_action(serve):
    running = serve()
    running.server.things["stage"].gate.set()  # so that the end need not wait for `hold`
    ids = [
        running.client.post(f"/stage/{name}", headers=key()).json()["id"]
        for name in ("move", "hold")
    ]
    assert ids[0] != ids[1]


def test_without_a_key_each_request_is_a_run(serve):
    client = serve().client
    results = [client.post("/stage/move", headers=key(text)).json()["id"] for text in ("a", "b")]
    results += [client.post("/stage/move").json()["id"] for _ in range(2)]
    assert len(set(results)) == 4


@pytest.mark.parametrize("text", ["", "k" * 256])
def test_an_odd_key_is_refused(serve, assert_problem, text):
    assert_problem(serve().client.post("/stage/move", headers=key(text)), 400)


def test_input_that_is_not_valid_uses_up_no_key(serve):
    client = serve().client
    assert client.post("/stage/move", json={"x": "far"}, headers=key()).status_code == 422
    assert client.post("/stage/move", json={"x": 1}, headers=key()).status_code == 201


def test_many_requests_at_once_start_one_run(serve, ended):
    running = serve()

    def post(_number):
        return running.client.post("/stage/move", json={"x": 1}, headers=key()).json()["id"]

    with ThreadPoolExecutor(16) as threads:
        results = set(threads.map(post, range(64)))
    assert len(results) == 1
    ended(running.client, f"/stage/move/{results.pop()}")
    assert running.server.things["stage"].moves == [1]


def test_a_synchronous_action_answers_with_the_same_output(serve):
    running = serve()
    for _ in range(2):
        assert running.client.post("/stage/now", json={"x": 3}, headers=key()).json() == 3
    assert running.server.things["stage"].moves == [3]


def test_a_refused_request_may_be_sent_again(serve, ended, assert_problem):
    running = serve()
    client, stage = running.client, running.server.things["stage"]
    holding = client.post("/stage/hold").json()
    assert_problem(client.post("/stage/hold", headers=key()), 409)
    stage.gate.set()
    ended(client, holding["href"])
    again = client.post("/stage/hold", headers=key())
    assert again.status_code == 201
    assert ended(client, again.json()["href"])["status"] == "completed"


def test_an_emergency_stop_needs_no_journal_for_its_key(serve):
    running = serve()
    results = [running.client.post("/stage/stop", headers=key()) for _ in range(2)]
    assert [answer.status_code for answer in results] == [201, 201]
    assert results[0].json()["id"] != results[1].json()["id"]


@pytest.mark.parametrize("action", ["move", "injected", "now"])
def test_a_key_outlives_a_restart(tmp_path, action):
    def life():
        return lt.ThingServer.from_things({"stage": Stage}, settings_folder=tmp_path / "settings")

    first, second = life(), life()
    url = f"/stage/{action}"
    prefer = {"Prefer": "wait=30", **key()}
    with first.test_client() as client:
        before = client.post(url, json={"x": 1}, headers=prefer)
    with second.test_client() as client:
        after = client.post(url, json={"x": 1}, headers=prefer)
        assert client.post(url, json={"x": 2}, headers=prefer).status_code == 422
    assert after.status_code == before.status_code
    assert after.json() == before.json()
    assert (first.things["stage"].moves, second.things["stage"].moves) == ([1], [])
