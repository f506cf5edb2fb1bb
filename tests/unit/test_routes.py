"""Errors of our routes are problems, in whatever app they are."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from labthings_fastapi.exceptions import TooBusyError
from labthings_fastapi.routes import ProblemRoute


class Body(BaseModel):
    """A body."""

    number: int


@pytest.fixture
def client() -> TestClient:
    """Give a client of an app with one room of ours."""
    router = APIRouter(route_class=ProblemRoute)

    @router.get("/status/{status}")
    def fail(status: int) -> None:
        raise HTTPException(status, "because", {"X-Why": "test"})

    @router.get("/object")
    def odd() -> None:
        raise HTTPException(400, {"a": 1})  # type: ignore[arg-type]

    @router.get("/busy")
    def busy() -> None:
        raise TooBusyError("not now")

    @router.get("/bug")
    def bug() -> None:
        raise ZeroDivisionError

    @router.post("/body")
    def body(given: Body) -> int:
        return given.number

    app = FastAPI()
    app.include_router(router)
    return TestClient(app, raise_server_exceptions=False)


def problem(answer: Any) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["status"] == answer.status_code
    return found


@pytest.mark.parametrize("status", [400, 404, 418, 499, 503])
def test_an_http_exception_keeps_its_status_text_and_headers(
    client: TestClient, status: int
) -> None:
    answer = client.get(f"/status/{status}")
    found = problem(answer)
    assert (found["status"], found["detail"], found["type"]) == (status, "because", "about:blank")
    assert answer.headers["x-why"] == "test"


def test_a_detail_that_is_no_text_is_kept_as_it_is(client: TestClient) -> None:
    assert problem(client.get("/object"))["detail"] == {"a": 1}


def test_our_own_errors_have_their_own_type(client: TestClient) -> None:
    answer = client.get("/busy")
    assert problem(answer)["type"].endswith("too-busy")
    assert answer.headers["retry-after"] == "1"


def test_a_mistake_of_the_client_is_listed(client: TestClient) -> None:
    answer = client.post("/body", json={"number": "five"})
    assert answer.status_code == 422
    assert problem(answer)["errors"][0]["loc"] == ["body", "number"]


def test_a_body_that_is_no_json_is_400(client: TestClient) -> None:
    answer = client.post("/body", content="{", headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert "not valid JSON" in problem(answer)["detail"]


def test_a_bug_is_left_to_the_app(client: TestClient) -> None:
    answer = client.get("/bug")
    assert answer.status_code == 500
    assert answer.text == "Internal Server Error"


def test_what_is_right_is_left_alone(client: TestClient) -> None:
    assert client.post("/body", json={"number": 5}).json() == 5
