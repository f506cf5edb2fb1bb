"""What an actor may use is bounded by its role: places, streams, keys; and guessing costs."""

from __future__ import annotations

import logging
import socket

import httpx2
import pytest
from fastapi import HTTPException
from starlette.testclient import TestClient

import labthings_fastapi as lt
from labthings_fastapi.security.credential_file import CredentialFile
from labthings_fastapi.security.credentials import new_password, new_token
from labthings_fastapi.security.guesses import FREE_GUESSES
from labthings_fastapi.server.access.checks import _in_time as in_time


class Stage(lt.Thing):
    """A stage."""

    @lt.action
    def move(self, distance: float = 1.0) -> float:
        return distance

    @lt.action
    def wait(self) -> None:
        lt.cancellable_sleep(60)

    @lt.property
    def focus(self) -> float:
        return 0.0

    @focus.setter
    def _set_focus(self, value: float) -> None:
        raise ValueError("It moved, and then it met the limit switch.")

    @lt.endpoint("post", "home")
    def home(self, far: bool = False) -> str:
        raise HTTPException(409 if far else 404, "It moved, and then it found no switch.")


@pytest.fixture
def file(tmp_path):
    return CredentialFile(tmp_path / "settings" / "credentials.json")


@pytest.fixture
def token(file):
    def make(name, role, **things):
        credential, text = new_token(name, role, things)
        file.add(credential)
        return {"Authorization": f"Bearer {text}"}

    return make


@pytest.fixture
def alice(token):
    return token("alice", "operator")


@pytest.fixture
def victor(token):
    return token("victor", "viewer", camera="operator")


@pytest.fixture
def bob(token, file):
    file.add(new_password("bobs-password", "correct horse", "operator"))
    return token("bob", "operator")


@pytest.fixture
def server(tmp_path, alice, bob, victor):
    return lt.ThingServer.from_things(
        {"stage": Stage, "camera": Stage},
        settings_folder=str(tmp_path / "settings"),
        max_concurrent_runs=4,
        max_queued_runs=8,
        max_connections=12,
    )


@pytest.fixture
def client(port):
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        yield client


def test_an_operator_of_one_thing_cannot_take_all_places_of_the_queue(
    client, alice, victor, assert_problem
):
    for _ in range(3):  # a quarter of 4 at once, and of 8 that wait
        assert client.post("/camera/wait", headers=victor).status_code == 201
    problem = assert_problem(client.post("/camera/wait", headers=victor), 503)
    assert "'victor'" in problem["detail"]
    moved = client.post("/stage/move", headers={**alice, "Prefer": "wait=30"})
    assert moved.json()["status"] == "completed"
    for _ in range(9):
        assert client.post("/stage/wait", headers=alice).status_code == 201


def test_an_operator_of_one_thing_has_a_share_of_the_streams(
    client, alice, victor, subscribe, assert_problem
):
    streams = [subscribe("/events", **victor) for _ in range(3)]  # a quarter of 12
    problem = assert_problem(client.get("/events", headers=victor), 503)
    assert "'victor'" in problem["detail"]
    more = [subscribe("/events", **alice) for _ in range(4)]
    assert {each.response.status for each in [*streams, *more]} == {200}
    for each in streams:
        each.close()
    while client.get("/camera/", headers=victor).status_code == 503:
        pass
    assert client.get("/camera/", headers=victor).status_code == 200


def test_a_key_belongs_to_its_actor(client, alice, bob):
    alice, bob = ({**each, "Idempotency-Key": "1"} for each in (alice, bob))
    first = client.post("/stage/move", json={"distance": 1}, headers=alice)
    other = client.post("/stage/move", json={"distance": 2}, headers=bob)
    assert (first.status_code, other.status_code) == (201, 201)
    assert first.headers["location"] != other.headers["location"]
    again = client.post("/stage/move", json={"distance": 1}, headers=alice)
    assert again.headers["location"] == first.headers["location"]
    refused = client.post("/stage/move", json={"distance": 3}, headers=alice)
    assert refused.status_code == 422
    assert "The key '1' was" in refused.json()["detail"]


@pytest.mark.parametrize(("query", "status"), [("", 404), ("?far=true", 409)])
def test_an_endpoint_that_was_reached_is_audited_whatever_it_answers(
    client, server, alice, query, status
):
    assert client.post(f"/stage/home{query}", headers=alice).status_code == status
    for future in server._audit.write():
        future.result(30)
    query = {"kind": "mutation", "actor": "alice"}
    found = client.get("/journal", params=query, headers=alice).json()
    [record] = found["records"]
    assert (record["thing"], record["action"], record["status"]) == ("stage", "home", "error")


@pytest.mark.parametrize("path", ["focus", "properties"])
def test_a_setter_that_was_reached_is_audited_although_it_refuses(client, server, alice, path):
    body = 1.0 if path == "focus" else {"focus": 1.0}
    assert client.put(f"/stage/{path}", json=body, headers=alice).status_code == 422
    for wrong in ("far", [1]):  # refused before any code of the Thing
        assert client.put("/stage/focus", json=wrong, headers=alice).status_code == 422
    for future in server._audit.write():
        future.result(30)
    query = {"kind": "mutation", "actor": "alice"}
    found = client.get("/journal", params=query, headers=alice).json()
    [record] = found["records"]
    assert (record["thing"], record["action"], record["status"]) == ("stage", path, "error")
    assert (record["request"]["status"], record["request"]["count"]) == (422, 1)


@pytest.fixture
def far(server):
    """Make clients that have an address, in this process."""
    with TestClient(server.app, base_url="http://127.0.0.1"):

        def make(address):
            return TestClient(server.app, "http://127.0.0.1", client=(address, 1))

        yield make


def test_guessing_costs_the_guesser_and_not_others(far, alice, caplog, assert_problem):
    guesser, other = far("192.0.2.1"), far("192.0.2.2")
    with caplog.at_level(logging.WARNING, "labthings_fastapi.security"):
        for _ in range(FREE_GUESSES):
            assert guesser.get("/health", headers={"Authorization": "Bearer no"}).status_code == 401
        for _ in range(20):
            refused = guesser.get("/health", headers={"Authorization": "Bearer no"})
            assert_problem(refused, 429)
            assert int(refused.headers["retry-after"]) >= 1
            right = {"name": "bobs-password", "password": "correct horse"}
            assert guesser.post("/session", json=right).status_code == 429
    assert [record.getMessage() for record in caplog.records] == [
        "A token or password from 192.0.2.1 was refused (1 since the last such line)."
    ]
    assert guesser.get("/health", headers=alice).status_code == 200
    assert other.post("/session", json=right).status_code == 204


@pytest.mark.parametrize("declared", [True, False])
def test_the_body_of_a_login_has_a_time_also_in_chunks(port, monkeypatch, declared):
    monkeypatch.setattr("labthings_fastapi.server.access.checks._in_time", hurried)
    framing = b"Content-Length: 100\r\n\r\n" if declared else b"Transfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(
            b"POST /session HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\n" + framing
        )
        answer = b""
        while part := client.recv(65536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 408 ")


def hurried(receive, seconds):
    assert seconds == 10
    return in_time(receive, 0.1)
