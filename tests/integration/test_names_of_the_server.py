"""A Thing may have the name of a resource of the server, which then has a second place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import labthings_fastapi as lt
from labthings_fastapi.exceptions import ServerConfigurationError
from labthings_fastapi.thing_description.paths import SHARED_THINGS

NAMES = sorted(SHARED_THINGS)


class Lamp(lt.Thing):
    things: int = lt.property(default=7)

    @lt.action
    def picture(self) -> lt.blob.Blob:
        return lt.blob.Blob.from_bytes(b"pixels")


@pytest.fixture(params=["", "/api"])
def prefix(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def client(tmp_path: Path, prefix: str) -> Iterator[Any]:
    things = dict.fromkeys(NAMES, Lamp)
    server = lt.ThingServer({"things": things, "settings_folder": tmp_path, "api_prefix": prefix})
    with server.test_client() as client:
        yield client


@pytest.mark.parametrize("name", NAMES)
def test_the_thing_is_at_its_path(client: Any, prefix: str, name: str) -> None:
    assert client.get(f"{prefix}/{name}/").json()["title"] == "Lamp"
    assert client.get(f"{prefix}/{name}/things").json() == 7
    assert client.put(f"{prefix}/{name}/things", json=8).status_code == 204


@pytest.mark.parametrize(
    ("path", "member"), [("health", "status"), ("journal", "records"), ("directory/things", None)]
)
def test_what_it_hides_is_at_the_second_place(
    client: Any, prefix: str, path: str, member: str | None
) -> None:
    answer = client.get(f"{prefix}/.labthings/{path}")
    assert answer.status_code == 200
    found = answer.json()
    assert isinstance(found, list) if member is None else member in found
    if member is None:
        assert len(found) == len(NAMES)


def test_the_web_page_is_at_the_second_place(client: Any, prefix: str) -> None:
    answer = client.get(f"{prefix}/.labthings/ui/", headers={"Accept": "text/html"})
    assert answer.status_code == 200
    assert "text/html" in answer.headers["content-type"]


def test_a_blob_is_found_although_a_thing_has_that_name(client: Any, prefix: str) -> None:
    started = client.post(f"{prefix}/blob/picture", headers={"Prefer": "wait=30"})
    assert client.get(started.json()["output"]["href"]).content == b"pixels"


def test_no_thing_is_at_the_second_place(client: Any, prefix: str) -> None:
    assert client.get(f"{prefix}/.labthings/health/things").status_code == 404
    assert client.get(f"{prefix}/.labthings/lamp/").status_code == 404


def test_one_warning_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lt.ThingServer({"things": {"events": Lamp}, "settings_folder": tmp_path})
    said = [each.getMessage() for each in caplog.records if "/.labthings/events" in each.message]
    assert len(said) == 1


@pytest.mark.parametrize("name", ["things", "thing_descriptions", "action_invocations", "cls"])
def test_names_that_older_releases_had_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ServerConfigurationError, match=f"things.{name}: the name is used"):
        lt.ThingServer({"things": {name: Lamp}, "settings_folder": tmp_path})


def test_routes_of_the_app_list_every_path(tmp_path: Path, prefix: str) -> None:
    server = lt.ThingServer(
        {"things": {"lamp": Lamp}, "settings_folder": tmp_path, "api_prefix": prefix}
    )
    found = {route.path: route for route in server.app.routes}
    expected = {
        *("/things/", "/thing_descriptions/", "/lamp/", "/lamp/things", "/lamp/picture"),
        *("/action_invocations", "/action_invocations/{id}", "/action_invocations/{id}/output"),
        "/blob/{blob_id}",
    }
    assert {f"{prefix}{path}" for path in expected} <= found.keys()
    at_the_root = {"/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc"}
    assert at_the_root <= found.keys()
    with server.test_client() as client:
        for path in at_the_root:
            assert client.get(path).status_code == 200
        assert client.get("/openapi.json").json()["paths"]
    if prefix:
        others = {path for path in found if not path.startswith(prefix)}
        assert others == {*at_the_root, "/docs/{digest}/{name}"}


with pytest.warns(UserWarning, match=r"Old\.events: this property hides"):

    class Old(lt.Thing):
        """Uses names that older releases did not."""

        events: list[str] = lt.property(default=["warm"])

        heated: None = lt.event()

        @lt.endpoint("get", "properties")
        def all_of_them(self) -> str:
            return "mine"

        @lt.endpoint("get", "ws")
        def socket_page(self) -> str:
            return "a page"


def test_a_thing_may_use_paths_of_the_server_below_its_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = lt.ThingServer({"things": {"old": Old, "lamp": Lamp}, "settings_folder": tmp_path})
    for name in ("events", "properties", "ws"):
        said = [each for each in caplog.records if f"/old/{name} itself" in each.getMessage()]
        assert len(said) == 1
    with server.test_client() as client:
        assert client.get("/old/events").json() == ["warm"]
        assert client.put("/old/events", json=["cold"]).status_code == 204
        assert client.get("/old/properties").json() == "mine"
        assert client.get("/old/ws").json() == "a page"
        assert client.get("/lamp/properties").json() == {"things": 7}
        operations = {
            form["op"]
            for form in client.get("/old/").json().get("forms", [])
            if isinstance(form["op"], str)
        }
        assert not operations & {"readallproperties", "writemultipleproperties"}
        with client.websocket_connect("/old/ws") as socket:
            socket.send_json({"messageType": "request", "operation": "readallproperties"})
            assert socket.receive_json()["values"] == {"events": ["cold"]}
        paths = client.get("/openapi.json").json()["paths"]
        assert "put" in paths["/old/events"]
