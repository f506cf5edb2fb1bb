"""Actions and endpoints in which FastAPI injects something."""

from __future__ import annotations

import logging
import sys
import threading
import uuid
from typing import Annotated

import pytest
from fastapi import Depends, HTTPException, Request
from pydantic import BaseModel

import labthings_fastapi as lt
from labthings_fastapi.dependencies.invocation import CancelHook, InvocationID, InvocationLogger

SAMPLE = uuid.uuid4()


def sample() -> uuid.UUID:
    """A user's own id, which is not the id of a run."""
    return SAMPLE


def user(request: Request) -> str:
    return request.headers.get("x-user", "nobody")


def leave() -> int:
    sys.exit(1)


def refuse() -> int:
    raise HTTPException(403, "Not on a Sunday.")


class Roi(BaseModel):
    width: int = 1


class Camera(lt.Thing):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.began = threading.Event()
        self.endpoint_thread = None

    @lt.action
    def identify(self, id: InvocationID, cancel: CancelHook) -> str:
        assert cancel.id == id
        return str(id)

    @lt.action
    def wait(self, cancel: CancelHook) -> None:
        self.began.set()
        cancel.sleep(60)

    @lt.action
    def note(self, log: InvocationLogger, text: str = "hello") -> None:
        thread = threading.Thread(target=log.warning, args=(text,))
        thread.start()
        thread.join()

    @lt.action
    def greet(self, guest: Annotated[str, Depends(user)], times: int, roi: Roi = Roi()) -> str:  # noqa: B008
        return " ".join([guest] * times)

    @lt.action
    def label(self, sample: Annotated[uuid.UUID, Depends(sample)]) -> str:
        return str(sample)

    @lt.action
    def leaving(self, n: Annotated[int, Depends(leave)]) -> int:
        return n

    @lt.action
    def refused(self, n: int = Depends(refuse)) -> int:
        return n

    @lt.endpoint("get")
    def frame(self, n: int = 1) -> dict[str, int]:
        self.endpoint_thread = threading.current_thread()
        return {"n": n}

    @lt.endpoint("post", "frames/{n}")
    async def store(self, n: int, roi: Roi) -> int:
        return n + roi.width

    @lt.endpoint("get", "exit")
    def leave_by_endpoint(self) -> None:
        sys.exit(1)

    @lt.endpoint("get", "exit_async")
    async def leave_by_async_endpoint(self) -> None:
        sys.exit(1)

    @lt.endpoint("get")
    def broken(self) -> None:
        raise OSError("no light")


@pytest.fixture
def server():
    return lt.ThingServer.from_things({"left": Camera, "right": Camera})


@pytest.fixture
def client(server):
    with server.test_client() as client:
        yield client


def test_the_id_that_is_injected_is_the_id_of_the_run(client, ended):
    answer = client.post("/left/identify")
    assert answer.status_code == 201
    id = answer.json()["id"]
    assert answer.headers["location"] == f"http://testserver/left/identify/{id}"
    assert ended(client, f"/left/identify/{id}")["output"] == id


def test_a_cancel_reaches_the_hook(client, server, ended):
    href = client.post("/left/wait").json()["href"]
    assert server.things["left"].began.wait(30)
    assert client.delete(href).status_code == 204
    assert "cancel" in ended(client, href)["error"]["type"]


def test_the_logger_writes_into_the_run_from_any_thread(client, ended):
    run = ended(client, client.post("/left/note", json={"text": "dark"}).json()["href"])
    assert [record["message"] for record in run["log"]] == ["dark"]


def test_a_users_own_dependency_is_injected_and_is_no_input(client, ended):
    answer = client.post("/left/greet", json={"times": 2}, headers={"X-User": "Ada"})
    run = ended(client, answer.json()["href"])
    assert (run["output"], run["input"]) == ("Ada Ada", {"times": 2, "roi": {"width": 1}})


def test_a_users_own_uuid_is_not_taken_for_the_id_of_the_run(client, ended):
    ids = set()
    for _ in range(2):
        run = ended(client, client.post("/left/label").json()["href"])
        assert run["output"] == str(SAMPLE)
        ids.add(run["id"])
    assert len(ids) == 2
    assert str(SAMPLE) not in ids


def test_a_body_is_judged_as_for_any_other_action(client, assert_problem):
    json = {"Content-Type": "application/json"}
    problem = assert_problem(client.post("/left/greet", json={"times": "x"}), 422)
    assert problem["errors"][0]["loc"] == ["times"]
    assert "'greet'" in problem["detail"]
    assert_problem(client.post("/left/greet"), 422)
    assert_problem(client.post("/left/greet", json={"times": 1, "guest": "me"}), 422)
    assert_problem(client.post("/left/greet", content=b"{", headers=json), 400)
    assert_problem(client.post("/left/greet", content=b'{"times":1}'), 415)
    large = b'{"times":1' + b" " * (16 * 1024 * 1024) + b"}"
    assert_problem(client.post("/left/greet", content=large, headers=json), 413)
    assert client.post("/left/identify", content=b"null", headers=json).status_code == 201
    assert client.get("/left/greet").json() == []


def test_a_dependency_may_refuse(client, assert_problem):
    problem = assert_problem(client.post("/left/refused"), 403)
    assert problem["detail"] == "Not on a Sunday."


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/left/leaving", "SystemExit"),
        ("GET", "/left/exit", "SystemExit"),
        ("GET", "/left/exit_async", "SystemExit"),
        ("GET", "/left/broken", "OSError: no light"),
    ],
)
def test_code_that_fails_or_leaves_is_a_problem_and_one_line_in_the_log(
    client, assert_problem, caplog, method, path, expected
):
    with caplog.at_level(logging.INFO, "labthings_fastapi"):
        problem = assert_problem(client.request(method, path), 500)
    assert expected in problem["detail"]
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.name for record in errors] == ["labthings_fastapi.things.left"]
    assert client.get("/health").status_code == 200


def test_the_other_methods_of_such_an_action_are_ours(client, assert_problem):
    assert client.get("/left/identify").json() == []
    answer = client.put("/left/identify", json=1)
    assert_problem(answer, 405)
    assert answer.headers["allow"] == "GET, HEAD, POST"


def test_endpoints_are_fastapi_routes_of_each_thing(client, server, assert_problem):
    assert client.get("/left/frame", params={"n": 3}).json() == {"n": 3}
    assert server.things["left"].endpoint_thread.name.startswith("labthings-worker")
    assert server.things["right"].endpoint_thread is None
    assert client.post("/right/frames/2", json={"width": 5}).json() == 7
    problem = assert_problem(client.get("/left/frame", params={"n": "x"}), 422)
    assert problem["errors"][0]["loc"] == ["query", "n"]
    answer = client.put("/left/frame", json=1)
    assert_problem(answer, 405)
    assert answer.headers["allow"] == "GET, HEAD"


def test_real_routes_have_names_for_url_for(server):
    assert server.app.url_path_for("left.frame") == "/left/frame"
    assert server.app.url_path_for("right.identify") == "/right/identify"
