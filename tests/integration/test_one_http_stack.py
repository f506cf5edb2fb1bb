"""Middleware, instrumentation and an outer app see every request to a Thing."""

from __future__ import annotations

import types

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

import labthings_fastapi as lt


class Stage(lt.Thing):
    speed: float = lt.property(default=1.0)

    @lt.action
    def move(self) -> None:
        """Return at once."""

    @lt.endpoint("get", "photo")
    def photo(self) -> str:
        return "photo"


@pytest.fixture
def server(tmp_path):
    return lt.ThingServer.from_things({"stage": Stage}, settings_folder=tmp_path / "settings")


class Witness:
    """ASGI middleware that keeps the method and path of each request, and the app in its scope."""

    def __init__(self, app, seen):
        self.app = app
        self.seen = seen

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            self.seen.append((scope["method"], scope["path"], scope["app"]))
        elif scope["type"] == "websocket":
            self.seen.append(("websocket", scope["path"], scope["app"]))
        await self.app(scope, receive, send)


def use_everything(client):
    """Make one request of each kind, and return what a witness should have seen."""
    client.get("/stage/speed")
    client.put("/stage/speed", json=2.0)
    run = client.post("/stage/move").json()
    client.delete(f"/action_invocations/{run['id']}")
    client.head("/stage/photo")
    client.get("/health")
    client.get("/nothing")
    with client.websocket_connect("/stage/ws", subprotocols=["webthingprotocol"]):
        pass
    return [
        ("GET", "/stage/speed"),
        ("PUT", "/stage/speed"),
        ("POST", "/stage/move"),
        ("DELETE", f"/action_invocations/{run['id']}"),
        ("HEAD", "/stage/photo"),
        ("GET", "/health"),
        ("GET", "/nothing"),
        ("websocket", "/stage/ws"),
    ]


def test_middleware_of_the_user_sees_every_request(server):
    seen = []
    server.app.add_middleware(Witness, seen=seen)
    with server.test_client() as client:
        expected = use_everything(client)
    assert [each[:2] for each in seen] == expected


def test_instrumentation_that_wraps_the_middleware_stack_sees_every_request(server):
    # opentelemetry-instrumentation-fastapi replaces this method of the app, after its creation.
    seen = []
    original = server.app.build_middleware_stack
    server.app.build_middleware_stack = types.MethodType(
        lambda _app: Witness(original(), seen), server.app
    )
    with server.test_client() as client:
        expected = use_everything(client)
    assert [each[:2] for each in seen] == expected
    assert all(each[2] is server.app for each in seen)  # with which it looks for the route


@pytest.fixture
def mounted(server):
    """A client of an outer app in which the server's app is mounted at `/lab`."""
    outer = FastAPI(lifespan=lambda _outer: server.app.router.lifespan_context(server.app))
    outer.mount("/lab", server.app)
    with TestClient(outer) as client:
        yield client


def test_every_url_of_the_index_of_a_mounted_app_leads_somewhere(mounted):
    index = mounted.get("/lab/").json()
    assert index["things"] == {"stage": "http://testserver/lab/stage/"}
    for url in (*index["things"].values(), index["openapi"], index["docs"], index["invocations"]):
        assert mounted.get(url).status_code == 200, url


def test_the_list_of_things_of_a_mounted_app_leads_to_them(mounted):
    things = mounted.get("/lab/things/").json()
    assert mounted.get(things["stage"]).json()["base"] == "http://testserver/lab/"
    descriptions = mounted.get("/lab/thing_descriptions/").json()
    assert descriptions["stage"]["base"] == "http://testserver/lab/"


def test_redirects_and_hrefs_of_a_mounted_app_stay_below_it(mounted):
    assert mounted.get("/lab/stage?a=1", follow_redirects=False).headers["location"] == (
        "http://testserver/lab/stage/?a=1"
    )
    run = mounted.post("/lab/stage/move")
    assert run.headers["location"].startswith("http://testserver/lab/stage/move/")
    id = run.json()["id"]
    shown = mounted.get(f"/lab/action_invocations/{id}").json()
    assert mounted.get(shown["href"]).json()["id"] == id
