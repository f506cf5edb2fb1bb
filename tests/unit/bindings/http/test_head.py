"""HEAD for an app whose routes know GET only."""

from __future__ import annotations

import asyncio

import pytest
from fastapi import BackgroundTasks, FastAPI, Response
from fastapi.responses import StreamingResponse

from labthings_fastapi.bindings.http.head import answer_head


@pytest.fixture
def app():
    """An app that notes what it did."""
    made = FastAPI()
    made.state.done = []

    @made.get("/value")
    def value(later: BackgroundTasks) -> int:
        later.add_task(made.state.done.append, "background")
        return 12345

    @made.get("/for-ever")
    async def for_ever() -> StreamingResponse:
        async def parts():
            try:
                while True:
                    yield b"part"
                    await asyncio.sleep(0)
            finally:
                made.state.done.append("closed")

        return StreamingResponse(parts(), media_type="image/jpeg")

    @made.head("/own")
    def own() -> Response:
        return Response(status_code=204, headers={"x-own": "yes"})

    @made.post("/own")
    def post() -> None: ...

    @made.post("/only-post")
    def only_post() -> None: ...

    @made.get("/broken")
    def broken() -> int:
        raise ZeroDivisionError

    return made


def head(app, path):
    """Ask, and return status, headers and all bodies that were sent."""
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        await asyncio.Event().wait()

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "HEAD",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
        "root_path": "",
        "scheme": "http",
        "server": ("127.0.0.1", 80),
    }
    asyncio.run(asyncio.wait_for(answer_head(app, scope, receive, send), 30))
    start, *rest = sent
    assert [message["type"] for message in rest] == ["http.response.body"]
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    return start["status"], headers, rest[0].get("body", b"")


def test_it_is_the_head_of_what_get_would_answer(app):
    status, headers, body = head(app, "/value")
    assert (status, body) == (200, b"")
    assert (headers["content-type"], headers["content-length"]) == ("application/json", "5")
    assert app.state.done == ["background"]


def test_a_stream_without_an_end_is_stopped_after_its_head(app):
    status, headers, body = head(app, "/for-ever")
    assert (status, headers["content-type"], body) == (200, "image/jpeg", b"")
    assert app.state.done == ["closed"]


def test_a_route_with_a_head_of_its_own_answers_itself(app):
    status, headers, _ = head(app, "/own")
    assert (status, headers["x-own"]) == (204, "yes")


@pytest.mark.parametrize(("path", "status"), [("/only-post", 405), ("/nowhere", 404)])
def test_where_there_is_no_get_there_is_no_head(app, path, status):
    assert head(app, path)[0] == status


def test_what_get_raises_is_raised(app):
    with pytest.raises(ZeroDivisionError):
        head(app, "/broken")
