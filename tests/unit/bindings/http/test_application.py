"""The middleware: what it answers, what it passes on, and what handlers may raise."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from labthings_fastapi.bindings.http.application import ThingsApplication
from labthings_fastapi.bindings.http.request_response import ClientGoneError
from labthings_fastapi.bindings.http.router import Router
from labthings_fastapi.bindings.interaction.failures import ReportedFailure
from labthings_fastapi.exceptions import ReadOnlyPropertyError, TooBusyError
from labthings_fastapi.server.access.authenticated_connections import CredentialRevokedError


class Resource:
    label = "Property 'speed'"
    fallthrough_methods = frozenset({"POST"})

    def __init__(self):
        self.handlers = {"GET": self.get, "PUT": self.get}
        self.raises = None

    async def get(self, response):
        if self.raises is not None:
            raise self.raises
        await response.send(200, response.path.encode())


@pytest.fixture
def resource():
    return Resource()


@pytest.fixture
def call(resource):
    router = Router()
    router.add_thing("stage", "/stage/", {"/stage/speed": resource}, {})
    passed = []

    async def behind(scope, receive, send):
        passed.append(scope)

    def make(method="GET", path="/stage/speed", kind="http", root_path=""):
        sent = []

        async def send(message):
            sent.append(message)

        scope = {
            "type": kind,
            "method": method,
            "path": path,
            "headers": [],
            "root_path": root_path,
        }
        asyncio.run(ThingsApplication(behind, router)(scope, None, send))
        if passed:
            assert sent == []
            return passed.pop()
        if not sent:
            return None
        headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], headers, sent[1]["body"]

    return make


def test_paths_in_the_table_are_answered_here(call):
    assert call()[::2] == (200, b"/stage/speed")


@pytest.mark.parametrize(
    "options",
    [{"path": "/health"}, {"method": "POST"}, {"kind": "websocket"}, {"kind": "lifespan"}],
)
def test_everything_else_is_passed_on(call, options):
    assert isinstance(call(**options), dict)


def test_a_root_path_is_taken_off_at_a_slash_only(call):
    assert call(path="/lab/stage/speed", root_path="/lab")[2] == b"/stage/speed"
    assert call(path="/stage/speed", root_path="/lab")[2] == b"/stage/speed"
    assert isinstance(call(path="/labstage/speed", root_path="/lab"), dict)


def test_a_method_that_is_not_taken_is_refused_with_those_that_are(call):
    status, headers, body = call("DELETE")
    assert (status, headers["allow"]) == (405, "GET, HEAD, POST, PUT")
    assert json.loads(body)["instance"] == "/stage/speed"


def test_a_refusal_from_a_resource_has_the_allowed_methods_too(call, resource):
    resource.raises = ReadOnlyPropertyError("It cannot be written.")
    status, headers, _ = call("PUT")
    assert (status, headers["allow"]) == (405, "GET, HEAD, POST, PUT")


def test_too_much_at_once_has_retry_after(call, resource):
    resource.raises = TooBusyError("Thing 'stage' is busy.")
    status, headers, _ = call()
    assert (status, headers["retry-after"]) == (503, "1")


@pytest.mark.parametrize("error", [ClientGoneError(), CredentialRevokedError("revoked")])
def test_a_client_that_has_gone_or_was_turned_out_gets_no_answer(call, resource, caplog, error):
    resource.raises = error
    assert call() is None
    assert caplog.records == []


@pytest.mark.parametrize(
    ("error", "logged"), [(KeyError("x"), 1), (ReportedFailure("Level", KeyError("x")), 0)]
)
def test_a_failure_is_in_the_log_once(call, resource, caplog, error, logged):
    resource.raises = error
    with caplog.at_level(logging.ERROR):
        status, headers, _ = call()
    assert (status, headers["content-type"]) == (500, "application/problem+json")
    assert len(caplog.records) == logged
