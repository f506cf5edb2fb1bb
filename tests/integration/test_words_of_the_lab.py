"""What the laboratory's own code says reaches its clients as it said it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import HTTPException
from starlette.testclient import TestClient

import labthings_fastapi as lt

PROBLEM = "application/problem+json"


class CoolingError(Exception):
    """Has a status of its own, as exceptions of FastAPI have."""

    status_code = 409


class Camera(lt.Thing):
    @lt.endpoint("get", "state")
    def state(self) -> str:
        raise HTTPException(400, {"code": 7}, headers={"X-Reason": "cold"})

    @lt.property
    def temperature(self) -> float:
        raise CoolingError("still warm")

    @lt.action
    def expose(self) -> None:
        raise HTTPException(404, "no such shutter")


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Any]:
    server = lt.ThingServer.from_things({"camera": Camera}, settings_folder=tmp_path)

    @server.app.get("/lab/refused")
    def refused() -> None:
        raise HTTPException(418, {"tea": True})

    @server.app.get("/lab/number")
    def number(value: int) -> int:
        return value

    @server.app.get("/lab/broken")
    def broken() -> None:
        raise OSError("no disk")

    with server.test_client(raise_server_exceptions=False) as client:
        yield client


def test_a_structured_detail_of_an_endpoint_is_kept_with_its_headers(client: TestClient) -> None:
    answer = client.get("/camera/state")
    assert (answer.status_code, answer.headers["x-reason"]) == (400, "cold")
    assert answer.headers["content-type"] == PROBLEM
    assert answer.json()["detail"] == {"code": 7}


def test_an_exception_gives_its_status_to_the_problem_of_a_property(client: TestClient) -> None:
    answer = client.get("/camera/temperature")
    assert answer.status_code == answer.json()["status"] == 409
    assert "still warm" in answer.json()["detail"]


def test_an_exception_gives_its_status_to_the_error_of_a_run(client: TestClient) -> None:
    started = client.post("/camera/expose", headers={"Prefer": "wait=30"}).json()
    run = client.get(f"/action_invocations/{started['id']}").json()
    assert run["status"] == "error"
    assert run["error"]["status"] == 404
    assert "no such shutter" in run["error"]["detail"]


def test_routes_of_the_lab_answer_errors_as_fastapi_does(client: TestClient) -> None:
    refused = client.get("/lab/refused")
    assert (refused.status_code, refused.json()) == (418, {"detail": {"tea": True}})
    assert refused.headers["content-type"] == "application/json"
    invalid = client.get("/lab/number?value=seven")
    assert invalid.status_code == 422
    assert isinstance(invalid.json()["detail"], list)
    broken = client.get("/lab/broken")
    assert (broken.status_code, broken.text) == (500, "Internal Server Error")
    not_allowed = client.post("/lab/refused")
    assert (not_allowed.status_code, not_allowed.json()) == (405, {"detail": "Method Not Allowed"})


def test_what_is_no_route_of_the_lab_is_a_problem(client: TestClient) -> None:
    for method, path in (("GET", "/nowhere"), ("DELETE", "/things/")):
        answer = client.request(method, path)
        assert answer.headers["content-type"] == PROBLEM
