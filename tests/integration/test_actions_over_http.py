"""Actions of a running server: invoked, watched, cancelled; in both vocabularies."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated
from uuid import uuid4

import pytest
from pydantic import AfterValidator, BaseModel, field_serializer

import labthings_fastapi as lt

seen_by_models: list[threading.Thread] = []


def note_thread(value):
    seen_by_models.append(threading.current_thread())
    return value


class Recipe(BaseModel):
    steps: Annotated[int, AfterValidator(note_thread)] = 1

    @field_serializer("steps")
    def write(self, value: int) -> int:
        return note_thread(value)


def leave(value: int) -> int:
    sys.exit(value)


class Stage(lt.Thing):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.began = threading.Event()
        self.threads = []

    @lt.action
    def add(self, a: int, b: int = 2) -> int:
        self.threads.append(threading.current_thread())
        return a + b

    @lt.action
    async def add_async(self, a: int = 1) -> int:
        self.threads.append(threading.current_thread())
        return a + 1

    @lt.action
    def count(self, n: int = 3) -> Iterator[int]:
        yield from range(n)

    @lt.action
    def nothing(self) -> None:
        return None

    @lt.action(synchronous=True)
    def now(self, a: float = 1) -> float:
        return a

    @lt.action(synchronous=True)
    def now_nothing(self) -> None:
        return None

    @lt.action(synchronous=True)
    def now_failing(self) -> None:
        raise OSError("no answer")

    @lt.action
    def fail(self) -> None:
        raise OSError("no answer")

    @lt.action
    def leave(self) -> None:
        sys.exit(3)

    @lt.action
    def wait(self) -> None:
        self.began.set()
        lt.cancellable_sleep(60)

    @lt.action
    def cook(self, recipe: Recipe) -> int:
        return recipe.steps

    @lt.action
    def poisoned(self, n: Annotated[int, AfterValidator(leave)] = 1) -> None: ...

    @lt.action
    def messgerät_θ(self) -> int:  # noqa: PLC2401 - physicists write Greek
        return 5


@pytest.fixture
def server():
    return lt.ThingServer.from_things({"stage": Stage, "other": Stage})


@pytest.fixture
def client(server):
    with server.test_client() as client:
        yield client


def test_a_run_is_shown_in_w3c_words_below_its_action(client, ended):
    answer = client.post("/stage/add", json={"a": 1})
    assert answer.status_code == 201
    started = answer.json()
    assert answer.headers["location"] == started["href"]
    assert started["href"] == f"http://testserver/stage/add/{started['id']}"
    assert started["status"] in {"pending", "running", "completed"}
    assert None not in started.values()
    run = ended(client, started["href"])
    assert (run["status"], run["output"], run["input"]) == ("completed", 3, {"a": 1, "b": 2})
    assert run["links"][0] == {
        "rel": "self",
        "href": f"http://testserver/action_invocations/{run['id']}",
    }
    for name in ("timeRequested", "timeEnded", "timeStarted", "timeCompleted"):
        assert datetime.fromisoformat(run[name]).utcoffset() == timedelta(0)
    assert "error" not in run


def test_the_same_run_is_shown_in_labthings_words_beside_it(client, ended):
    id = client.post("/stage/fail").json()["id"]
    w3c = ended(client, f"/stage/fail/{id}")
    ours = client.get(f"/action_invocations/{id}").json()
    assert (w3c["status"], ours["status"]) == ("failed", "error")
    assert w3c["error"] == ours["error"]
    assert "OSError: no answer" in w3c["error"]["detail"]
    assert (ours["action"], ours["output"]) == ("/stage/fail", None)
    assert "output" not in w3c
    assert w3c["timeEnded"] == ours["timeCompleted"]


@pytest.mark.parametrize(
    ("action", "output"), [("add_async", 2), ("count", [0, 1, 2]), ("now", None)]
)
def test_async_methods_and_generators_are_actions_too(client, ended, action, output):
    answer = client.post(f"/stage/{action}", json={})
    if output is None:
        assert (answer.status_code, answer.text) == (200, "1.0")
    else:
        assert ended(client, answer.json()["href"])["output"] == output


@pytest.mark.parametrize("content", [b"", b"null", b"{}", b" \n"])
def test_an_empty_input_may_be_written_in_any_way(client, ended, content):
    headers = {"Content-Type": "application/json"} if content else {}
    answer = client.post("/stage/count", content=content, headers=headers)
    assert answer.status_code == 201
    assert ended(client, answer.json()["href"])["output"] == [0, 1, 2]


def test_a_synchronous_action_answers_with_its_bare_output(client, assert_problem):
    answer = client.post("/stage/now", json={"a": "NaN"})
    assert (answer.status_code, answer.json()) == (200, "NaN")
    answer = client.post("/stage/now_nothing")
    assert (answer.status_code, answer.content) == (204, b"")
    problem = assert_problem(client.post("/stage/now_failing"), 500)
    assert problem["instance"] == "/stage/now_failing"
    assert "no answer" in problem["detail"]
    assert client.get(problem["href"]).json()["status"] == "failed"


def test_a_bad_input_starts_no_run(client, assert_problem):
    json = {"Content-Type": "application/json"}
    problem = assert_problem(client.post("/stage/add", json={"a": "x", "c": 1}), 422)
    assert [error["loc"] for error in problem["errors"]] == [["a"], ["c"]]
    assert_problem(client.post("/stage/add"), 422)
    assert_problem(client.post("/stage/add", json=[1]), 422)
    assert_problem(client.post("/stage/add", content=b"{", headers=json), 400)
    assert_problem(client.post("/stage/add", content=b'{"a":1}'), 415)
    assert client.get("/stage/add").json() == []


def test_a_run_is_cancelled_in_the_middle(client, server, ended, assert_problem):
    href = client.post("/stage/wait").json()["href"]
    assert server.things["stage"].began.wait(30)
    assert client.get(href).json()["status"] == "running"
    assert client.delete(href).status_code == 204
    run = ended(client, href)
    assert run["status"] == "failed"
    assert "cancel" in run["error"]["type"]
    assert client.get(f"/action_invocations/{run['id']}").json()["status"] == "cancelled"
    problem = assert_problem(client.delete(href), 409)
    assert "cancelled" in problem["detail"]


def test_an_action_that_leaves_ends_in_error_and_the_server_stays(client, ended):
    run = ended(client, client.post("/stage/leave").json()["href"])
    assert run["status"] == "failed"
    assert "SystemExit" in run["error"]["detail"]
    assert client.get("/health").status_code == 200


def test_input_code_of_a_user_runs_on_a_worker_and_cannot_end_the_server(
    client, ended, assert_problem
):
    seen_by_models.clear()
    answer = client.post("/stage/cook", json={"recipe": {"steps": 4}})
    assert ended(client, answer.json()["href"])["output"] == 4
    assert seen_by_models
    assert all(
        thread.name.startswith("labthings-worker") or thread.name == "stage.cook"
        for thread in seen_by_models
    )
    assert_problem(client.post("/stage/poisoned", json={"n": 1}), 500)
    assert client.get("/health").status_code == 200


def test_code_of_actions_runs_on_threads_of_its_own(client, server, ended):
    for action in ("add", "add_async"):
        ended(client, client.post(f"/stage/{action}", json={"a": 1}).json()["href"])
    run, loop = server.things["stage"].threads
    assert run.name == "stage.add"
    assert loop.name == "labthings-loop-stage"


def test_two_things_of_one_class_have_runs_of_their_own(client, ended, assert_problem):
    href = client.post("/stage/add", json={"a": 1}).json()["href"]
    id = ended(client, href)["id"]
    assert [run["id"] for run in client.get("/stage/add").json()] == [id]
    assert client.get("/other/add").json() == []
    assert_problem(client.get(f"/other/add/{id}"), 404)
    assert_problem(client.get(f"/stage/count/{id}"), 404)
    assert client.get("/other/actions").json()["add"] == []


def test_runs_are_listed_newest_first_by_action(client, ended):
    ids = [client.post("/stage/add", json={"a": n}).json()["id"] for n in range(3)]
    for id in ids:
        ended(client, f"/stage/add/{id}")
    listed = client.get("/stage/actions").json()
    assert [run["id"] for run in listed["add"]] == ids[::-1]
    assert {run["status"] for run in listed["add"]} == {"completed"}
    assert listed["count"] == []
    summaries = client.get("/stage/add").json()
    assert [run["id"] for run in summaries] == ids
    assert not {"input", "output", "log", "error"} & set(summaries[0])


def test_runs_that_do_not_exist_are_not_found(client, assert_problem):
    for path in (f"/stage/add/{uuid4()}", "/stage/add/nonsense", "/stage/add/"):
        assert_problem(client.get(path), 404)
        assert_problem(client.delete(path), 404)


def test_an_unknown_input_is_refused_and_the_known_ones_are_listed(client, assert_problem):
    answer = client.put("/stage/add", json=1)
    assert_problem(answer, 405)
    assert answer.headers["allow"] == "GET, HEAD, POST"
    answer = client.post(f"/stage/add/{uuid4()}")
    assert_problem(answer, 405)
    assert answer.headers["allow"] == "DELETE, GET, HEAD"


def test_prefer_wait_answers_when_the_run_has_ended(client):
    answer = client.post("/stage/add", json={"a": 1}, headers={"Prefer": "wait=30"})
    assert (answer.status_code, answer.json()["status"]) == (201, "completed")
    assert answer.headers["preference-applied"].startswith("wait")


def test_names_may_have_letters_that_urls_write_in_another_way(client, ended):
    answer = client.post("/stage/messgerät_θ")
    assert answer.status_code == 201
    href = answer.headers["location"]
    assert href.isascii()
    assert answer.json()["href"] == href
    assert ended(client, href)["output"] == 5
