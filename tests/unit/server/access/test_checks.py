"""The checks of access, without a server."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from labthings_fastapi.security.roles import Actor
from labthings_fastapi.server.access.checks import (
    AccessChecks,
    AccessRequest,
    check_repeated_headers,
    check_role,
)
from labthings_fastapi.server.config_model import ThingServerConfig

HOSTS = [(b"host", b"localhost:5000")], [(b"host", b"evil.example")], []
EXTRA = (
    *([], [(b"host", b"other")], [(b"origin", b"http://evil.example")]),
    *([(b"sec-fetch-site", b"cross-site")], [(b"x-forwarded-for", b"192.0.2.7")]),
    *([(b"content-length", b"99999999999")], [(b"content-length", b"12")]),
    *([(b"content-length", b"nonsense")], [(b"transfer-encoding", b"chunked")]),
)
CLIENTS = "127.0.0.1", "192.0.2.7", "testclient"
KINDS = ("http", "GET"), ("http", "POST"), ("http", "OPTIONS"), ("websocket", None)


@pytest.fixture
def make_checks(tmp_path):
    def make(**options):
        return AccessChecks(ThingServerConfig(settings_folder=tmp_path, **options))

    return make


def request_of(headers, client="127.0.0.1", kind="http", method="GET", path="/stage/speed"):
    scope = {
        "type": kind,
        "http_version": "1.1",
        "scheme": "http",
        "path": path,
        "headers": headers,
        "client": (client, 50000),
    }
    if kind == "http":
        scope["method"] = method
    return AccessRequest(scope)


@pytest.mark.parametrize("insecure", [False, True])
def test_no_check_refuses_a_request_that_passes_at_once(make_checks, insecure):
    checks = make_checks(security={"insecure": insecure})

    async def refused():
        passed, wrong = 0, []
        for host, extra, client, (kind, method) in itertools.product(HOSTS, EXTRA, CLIENTS, KINDS):
            request = request_of([*host, *extra], client, kind, method)
            if checks.pass_at_once(request):
                passed += 1
                if await checks.first_problem(request) is not None:
                    wrong.append((host, extra, client, kind, method))
        return passed, wrong

    passed, wrong = asyncio.run(refused())
    assert passed > 0
    assert wrong == []


@pytest.mark.parametrize("name", [b"host", b"authorization", b"content-length"])
def test_a_header_that_must_be_single_is_refused_twice(name):
    problem = check_repeated_headers(request_of([(name, b"1"), (name, b"1")]))
    assert problem is not None
    assert name.decode() in problem.detail


def test_other_headers_may_be_repeated():
    assert check_repeated_headers(request_of([(b"prefer", b"wait=1"), (b"prefer", b"x")])) is None


def test_a_role_may_hold_for_one_thing_only():
    request = request_of([], method="PUT")
    request.actor = Actor("Ada", "viewer", {"stage": "operator"})
    assert check_role(request, "stage") is None
    problem = check_role(request, "laser")
    assert problem is not None
    assert problem.status == 403


def test_a_server_without_authentication_is_for_its_own_computer(make_checks):
    problem = make_checks().check_exposure(request_of([], "192.0.2.7"))
    assert problem is not None
    assert "192.0.2.7" in problem.detail
    checks = make_checks(security={"insecure": True})
    assert checks.check_exposure(request_of([], "192.0.2.7")) is None
