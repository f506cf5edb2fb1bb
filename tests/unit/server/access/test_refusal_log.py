"""A refused host or origin leaves one line a minute, which names the setting for it."""

from __future__ import annotations

import logging

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

import labthings_fastapi as lt
from labthings_fastapi.server.access.refusal_log import MOST, SECONDS, RefusalLog


class Lamp(lt.Thing):
    level: int = lt.property(default=1)


def client_of(**config):
    server = lt.ThingServer.from_things({"lamp": Lamp}, journal="memory", **config)
    return TestClient(server.app, client=("127.0.0.1", 5555), base_url="http://localhost")


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, "labthings_fastapi.security")
    return lambda: [record.getMessage() for record in caplog.records]


def test_a_refused_host_is_named_with_its_setting(lines):
    client = client_of()
    for _ in range(3):
        assert client.get("/lamp/level", headers={"Host": "scope.lab"}).status_code == 421
    (line,) = lines()
    assert "'scope.lab'" in line
    assert "127.0.0.1" in line
    assert "`allowed_hosts`" in line


def test_a_refused_origin_is_named_with_its_setting(lines):
    client = client_of()
    foreign = {"Origin": "http://page.lab"}
    for _ in range(3):
        assert client.put("/lamp/level", json=2, headers=foreign).status_code == 403
    foreign["Host"] = "localhost"
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/lamp/ws", headers=foreign):
        pass
    (line,) = lines()
    assert "'http://page.lab'" in line
    assert "`cors_origins`" in line


def test_so_is_one_that_asks_before_it_sends(lines):
    client = client_of(cors_origins=["http://other.lab"])
    headers = {"Origin": "http://page.lab", "Access-Control-Request-Method": "PUT"}
    assert client.options("/lamp/level", headers=headers).status_code == 400
    (line,) = lines()
    assert "'http://page.lab'" in line
    headers["Origin"] = "http://other.lab"
    assert client.options("/lamp/level", headers=headers).status_code == 200
    assert len(lines()) == 1


def test_each_is_named_again_after_a_minute_and_only_a_few_at_all(lines):
    now = [0.0]
    log = RefusalLog(lambda: now[0])
    for number in range(1000):
        log.host(f"host-{number}", "10.0.0.1")
        log.origin(f"http://page-{number}", "10.0.0.1")
    assert len(lines()) == 2 * MOST
    now[0] = SECONDS - 0.1
    log.host("host-0", "10.0.0.1")
    assert len(lines()) == 2 * MOST
    now[0] = SECONDS
    log.host("host-0", "10.0.0.1")
    assert len(lines()) == 2 * MOST + 1


def test_what_a_client_sends_forges_no_line_and_is_not_long(lines):
    RefusalLog().host("a\r\nWARNING forged" + "x" * 70_000, None)
    (line,) = lines()
    assert "\n" not in line
    assert len(line) < 400
