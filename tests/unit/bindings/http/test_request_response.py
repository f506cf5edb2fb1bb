"""One request and its response."""

from __future__ import annotations

import asyncio

import pytest

from labthings_fastapi.bindings.http.request_response import (
    DEFAULT_MAX_BODY_BYTES,
    ClientGoneError,
    HttpResponse,
)
from labthings_fastapi.exceptions import BodyTooLargeError, UnsupportedMediaTypeError

JSON = (b"content-type", b"application/json")


class Wire:
    """A fake server: provides messages, and keeps those that are sent."""

    def __init__(self, *messages, headers=(JSON,), **scope):
        self.messages = list(messages)
        self.sent = []
        self.scope = {"type": "http", "method": "PUT", "headers": list(headers), **scope}
        self.response = HttpResponse(self.scope, self.receive, self.send, "/stage/speed")

    async def receive(self):
        return self.messages.pop(0)

    async def send(self, message):
        self.sent.append(message)

    def body(self):
        return asyncio.run(self.response.body())


def part(body, more=False):
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_body_comes_in_parts():
    assert Wire(part(b"[1,", more=True), part(b"2]")).body() == b"[1,2]"


def test_a_body_with_too_large_a_length_is_refused_before_it_is_read():
    wire = Wire(
        part(b"1"), headers=[JSON, (b"content-length", b"%d" % (DEFAULT_MAX_BODY_BYTES + 1))]
    )
    with pytest.raises(BodyTooLargeError, match=str(DEFAULT_MAX_BODY_BYTES)):
        wire.body()
    assert len(wire.messages) == 1


def test_a_body_without_a_length_is_refused_at_the_limit():
    chunk = b" " * (DEFAULT_MAX_BODY_BYTES // 2)
    wire = Wire(*(part(chunk, more=True) for _ in range(10)))
    with pytest.raises(BodyTooLargeError):
        wire.body()
    assert len(wire.messages) == 7


def test_a_body_of_just_the_limit_is_read():
    assert len(Wire(part(b" " * DEFAULT_MAX_BODY_BYTES)).body()) == DEFAULT_MAX_BODY_BYTES


def test_a_length_that_is_no_number_is_not_believed():
    assert Wire(part(b"1"), headers=[JSON, (b"content-length", "²".encode("latin-1"))]).body()


def test_a_client_that_goes_away_is_noticed():
    with pytest.raises(ClientGoneError):
        Wire(part(b"1", more=True), {"type": "http.disconnect"}).body()


@pytest.mark.parametrize("media_type", [None, b"text/plain", b"", b"text/json", b"image/svg+xml"])
def test_a_body_must_have_a_json_content_type(media_type):
    headers = [] if media_type is None else [(b"content-type", media_type)]
    with pytest.raises(UnsupportedMediaTypeError):
        Wire(part(b"1"), headers=headers).body()


def test_no_body_needs_no_content_type():
    assert Wire(part(b""), headers=[]).body() == b""


@pytest.mark.parametrize(
    ("scope", "origin"),
    [
        ({"headers": [(b"host", b"lab:5000")]}, "http://lab:5000"),
        ({"headers": [(b"host", b"lab")], "scheme": "https", "root_path": "/x/"}, "https://lab/x"),
        ({"headers": [], "server": ("::1", 80)}, "http://::1:80"),
        ({"headers": [], "server": ("/run/lab.sock", None)}, "http:///run/lab.sock"),
        ({"headers": []}, "http://localhost"),
    ],
)
def test_urls_begin_as_the_client_reached_the_server(scope, origin):
    assert Wire(**scope).response.base_url == origin


def test_a_response_has_its_length_and_type():
    wire = Wire()
    asyncio.run(wire.response.send(200, b"1.5", headers={"Vary": "Accept"}))
    start, body = wire.sent
    assert dict(start["headers"]) == {
        b"content-length": b"3",
        b"content-type": b"application/json",
        b"vary": b"Accept",
    }
    assert body["body"] == b"1.5"


def test_no_content_has_neither():
    wire = Wire()
    asyncio.run(wire.response.send(204))
    assert wire.sent[0]["headers"] == []


def test_head_gets_the_headers_only():
    wire = Wire(method="HEAD")
    asyncio.run(wire.response.send(200, b"1.5"))
    assert dict(wire.sent[0]["headers"])[b"content-length"] == b"3"
    assert wire.sent[1]["body"] == b""
