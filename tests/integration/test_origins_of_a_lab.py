"""Pages of other origins that a laboratory allows, in the configuration or by its middleware."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.middleware.cors import CORSMiddleware
from starlette.testclient import TestClient

import labthings_fastapi as lt
from labthings_fastapi.security.credential_file import CredentialFile
from labthings_fastapi.security.credentials import new_token

ELSEWHERE = "https://app.example"


class Lamp(lt.Thing):
    level: int = lt.property(default=1)


def make(folder: Path, **config: Any) -> lt.ThingServer:
    return lt.ThingServer({"things": {"lamp": Lamp}, "settings_folder": folder, **config})


def write(client: TestClient, origin: str) -> int:
    answer = client.put("/lamp/level", json=2, headers={"Origin": origin})
    return answer.status_code


def preflight(client: TestClient, origin: str) -> int:
    headers = {"Origin": origin, "Access-Control-Request-Method": "PUT"}
    return client.options("/lamp/level", headers=headers).status_code


@pytest.mark.parametrize(
    ("options", "allowed", "refused"),
    [
        ({"allow_origins": [ELSEWHERE]}, [ELSEWHERE], ["https://evil.example", "null"]),
        ({"allow_origins": ["null"]}, ["null"], [ELSEWHERE]),
        ({"allow_origin_regex": r"https://.*\.example"}, [ELSEWHERE], ["https://app.example.org"]),
        ({"allow_origins": ["*"]}, [ELSEWHERE, "null"], []),
    ],
)
def test_what_a_middleware_of_the_lab_allows_may_write(
    tmp_path: Path, options: dict[str, Any], allowed: list[str], refused: list[str]
) -> None:
    server = make(tmp_path)
    server.app.add_middleware(CORSMiddleware, allow_methods=["*"], **options)
    with server.test_client() as client:
        for origin in allowed:
            assert (preflight(client, origin), write(client, origin)) == (200, 204)
        for origin in refused:
            assert write(client, origin) == 403


def test_its_preflight_requests_need_no_token_and_its_writes_do(tmp_path: Path) -> None:
    file = CredentialFile(tmp_path / "credentials.json")
    file.add(new_token("anna", "operator")[0])
    server = make(tmp_path, security="required")
    server.app.add_middleware(CORSMiddleware, allow_origins=[ELSEWHERE], allow_methods=["PUT"])
    with server.test_client() as client:
        assert preflight(client, ELSEWHERE) == 200
        assert write(client, ELSEWHERE) == 401
        assert preflight(client, "https://evil.example") == 403


def test_it_holds_without_a_lifespan_too(tmp_path: Path) -> None:
    server = make(tmp_path)
    server.app.add_middleware(CORSMiddleware, allow_origins=[ELSEWHERE], allow_methods=["PUT"])
    client = TestClient(server.app)
    assert preflight(client, ELSEWHERE) == 200


@pytest.mark.parametrize("by_middleware", [False, True])
def test_a_warning_says_that_every_page_may_write(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, by_middleware: bool
) -> None:
    server = make(tmp_path, **({} if by_middleware else {"cors_origins": ["*"]}))
    if by_middleware:
        server.app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"])
    with server.test_client() as client:
        assert (preflight(client, ELSEWHERE), write(client, ELSEWHERE)) == (200, 204)
    said = [each for each in caplog.records if "Every web page" in each.getMessage()]
    assert len(said) == 1


def test_a_refusal_names_both_ways(tmp_path: Path) -> None:
    with make(tmp_path).test_client() as client:
        answer = client.put("/lamp/level", json=2, headers={"Origin": ELSEWHERE})
    assert answer.status_code == 403
    for way in ("`cors_origins`", "`CORSMiddleware`"):
        assert way in answer.json()["detail"]
