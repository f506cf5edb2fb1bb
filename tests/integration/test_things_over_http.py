"""Things on a running server: described, added, found by name; and user code that blocks."""

from __future__ import annotations

import asyncio
import threading
from uuid import uuid4

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel

import labthings_fastapi as lt
from labthings_fastapi.exceptions import ThingNameError, ThingStartError

PROBLEM = "application/problem+json"


class Roi(BaseModel):
    width: int = 1


class Stage(lt.Thing):
    """A stage that moves."""

    speed: float = lt.property(default=1.0, gt=0)
    roi: Roi = lt.property(default=Roi())

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.calls = []

    def __enter__(self):
        self.calls.append("enter")
        return self

    def __exit__(self, *_):
        self.calls.append("exit")

    @lt.property
    def where(self) -> float:
        return 0.5

    @lt.action
    def move(self, x: float, roi: Roi = Roi()) -> float:  # noqa: B008
        return x

    @lt.action(synchronous=True)
    def look(self) -> Roi:
        return Roi()

    @lt.endpoint("get", "picture/{n}")
    def picture(self, n: int) -> Roi:
        return Roi(width=n)


class Unpowered(lt.Thing):
    def __enter__(self):
        raise OSError("no power")

    def __exit__(self, *_):
        pass


@pytest.fixture(params=["", "/api/v1"], ids=["bare", "prefixed"])
def prefix(request):
    return request.param


@pytest.fixture
def server(prefix):
    things = {"stage": Stage, "other": Stage}
    return lt.ThingServer.from_things(things, api_prefix=prefix)


@pytest.fixture
def client(server):
    with server.test_client() as client:
        yield client


def test_every_thing_is_described_as_td_json(client, prefix):
    listed = client.get(f"{prefix}/things/").json()
    assert listed == {name: f"http://testserver{prefix}/{name}/" for name in ("stage", "other")}
    for name, url in listed.items():
        answer = client.get(url)
        assert answer.headers["content-type"] == "application/td+json"
        description = answer.json()
        assert set(description["properties"]) == {"speed", "roi", "where"}
        assert set(description["actions"]) == {"move", "look"}
        head = client.head(url)
        assert (head.status_code, head.content) == (200, b"")
        assert client.get(f"{prefix}/thing_descriptions/").json()[name] == description


def test_what_a_description_points_to_answers(client, prefix):
    description = client.get(f"{prefix}/stage/").json()
    assert client.get(description["properties"]["where"]["forms"][0]["href"]).json() == 0.5
    started = client.post(description["actions"]["move"]["forms"][0]["href"], json={"x": 2})
    assert started.headers["location"].startswith(f"http://testserver{prefix}/stage/move/")
    assert client.get(started.headers["location"]).status_code == 200
    assert client.get(started.json()["links"][0]["href"]).status_code == 200


def test_the_error_for_an_unknown_path_lists_the_things(client, prefix, assert_problem):
    assert "speed" in assert_problem(client.get(f"{prefix}/stage/sped"), 404)["detail"]
    problem = assert_problem(client.get(f"{prefix}/stagee/"), 404)
    assert f"{prefix}/stage/" in problem["detail"]
    assert problem["instance"] == f"{prefix}/stagee/"
    assert_problem(client.put("/nowhere", json=1), 404)


@pytest.mark.parametrize("method", ["POST", "DELETE", "PATCH", "OPTIONS"])
def test_a_thing_itself_can_only_be_read(client, prefix, assert_problem, method):
    answer = client.request(method, f"{prefix}/stage/")
    assert_problem(answer, 405)
    assert answer.headers["allow"] == "GET, HEAD"


def test_a_missing_last_slash_leads_to_the_thing_all_the_same(client, prefix):
    answer = client.get(f"{prefix}/stage?x=1", follow_redirects=False)
    assert answer.status_code == 307
    assert answer.headers["location"].endswith(f"{prefix}/stage/?x=1")
    assert client.get(f"{prefix}/stage").json()["title"] == "Stage"
    assert client.get(f"{prefix}/stage/speed/").status_code == 404


@pytest.mark.parametrize(
    "path", ["/", "/things/", "/health", "/thing_descriptions/", "/stage/", "/stage/picture/3"]
)
def test_wherever_there_is_get_there_is_head(client, prefix, path):
    whole, head = client.get(prefix + path), client.head(prefix + path)
    assert (whole.status_code, head.status_code, head.content) == (200, 200, b"")
    assert head.headers["content-type"] == whole.headers["content-type"]


def test_a_path_with_several_routes_names_the_methods_of_all(client, prefix, assert_problem):
    answer = client.put(f"{prefix}/action_invocations/{uuid4()}", json=1)
    assert "It supports: DELETE, GET, HEAD." in assert_problem(answer, 405)["detail"]
    assert answer.headers["allow"] == "DELETE, GET, HEAD"


def test_behind_a_proxy_the_error_for_an_unknown_path_names_the_thing(server, prefix):
    with server.test_client(root_path="/proxy") as client:
        problem = client.get(f"/proxy{prefix}/stage/sped").json()
        assert problem["detail"].startswith("Thing 'stage' has nothing at 'sped'.")
        assert problem["instance"] == f"/proxy{prefix}/stage/sped"
        moved = client.get(f"/proxy{prefix}/stage", follow_redirects=False)
        assert moved.headers["location"].endswith(f"/proxy{prefix}/stage/")


def test_the_servers_own_resources_refuse_in_the_same_words(client, prefix, assert_problem):
    answer = client.post(f"{prefix}/health")
    assert_problem(answer, 405)
    assert answer.headers["allow"] == "GET, HEAD"
    assert_problem(client.get(f"{prefix}/action_invocations/no-id"), 422)


# --- Things that are added --------------------------------------------------------------------


def test_a_thing_is_added_before_the_server_runs(prefix):
    server = lt.ThingServer({"api_prefix": prefix})
    stage = server.add_thing(Stage(), "/a/b/")
    assert server.path_for_thing("a/b") == f"{prefix}/a/b/"
    with server.test_client() as client:
        assert stage.calls == ["enter"]
        assert client.get(f"{prefix}/a/b/speed").json() == 1.0
        assert client.get(f"{prefix}/a/b/").json()["title"] == "Stage"
        assert client.post(f"{prefix}/a/b/look").json() == {"width": 1}
    assert stage.calls == ["enter", "exit"]


def test_a_thing_is_added_while_the_server_runs(server, client, prefix):
    before = client.get("/openapi.json").json()["paths"]
    stage = server.add_thing(Stage(), "/late")
    assert stage.calls == ["enter"]
    assert client.get(f"{prefix}/late/where").json() == 0.5
    assert client.get(f"{prefix}/late/picture/3").json() == {"width": 3}
    assert client.get(f"{prefix}/things/").json()["late"] == f"http://testserver{prefix}/late/"
    assert client.get(f"{prefix}/health").json()["things"]["late"]["state"] == "open"
    after = client.get("/openapi.json").json()["paths"]
    assert f"{prefix}/late/move" in set(after) - set(before)


def test_a_thing_added_late_is_closed_with_the_others(server, prefix):
    with server.test_client():
        stage = server.add_thing(Stage(), "late")
    assert stage.calls == ["enter", "exit"]


@pytest.mark.parametrize("path", ["/stage/", "/things/", "/a b/", "", "/a//b/", "/a/../b/"])
def test_a_path_that_cannot_be_is_refused(server, path):
    with pytest.raises(ThingNameError):
        server.add_thing(Stage(), path)


def test_a_thing_that_cannot_start_is_not_added(server, client, prefix, assert_problem):
    with pytest.raises(ThingStartError, match="no power"):
        server.add_thing(Unpowered(), "/laser/")
    assert_problem(client.get(f"{prefix}/laser/"), 404)
    assert "laser" not in server.things


def test_the_things_can_be_gone_through_while_one_is_added(server):
    names = []
    for name in server.things:
        server.add_thing(Stage(), f"/beside-{name}/")
        names.append(name)
    assert names == ["stage", "other"]
    assert len(server.things) == 4


def test_a_root_path_is_no_part_of_the_things_path(server, prefix):
    with server.test_client(root_path="/proxy") as client:
        answer = client.get(f"/proxy{prefix}/stage/speed")
        assert answer.json() == 1.0
        listed = client.get(f"/proxy{prefix}/things/").json()
        assert listed["stage"] == f"http://testserver/proxy{prefix}/stage/"


# --- OpenAPI ----------------------------------------------------------------------------------


def test_the_openapi_document_is_valid_and_holds_every_affordance(client, prefix):
    document = client.get("/openapi.json").json()
    OpenAPIV31SpecValidator(document).validate()
    paths = document["paths"]
    for thing in ("stage", "other"):
        base = f"{prefix}/{thing}/"
        assert set(paths[base]) == {"get"}
        assert set(paths[f"{base}speed"]) == {"get", "put"}
        assert set(paths[f"{base}where"]) == {"get"}
        assert set(paths[f"{base}move"]) == {"get", "post"}
        assert set(paths[f"{base}move/{{id}}"]) == {"get", "delete"}
        assert set(paths[f"{base}properties"]) == {"get", "put"}
        assert set(paths[f"{base}actions"]) == {"get"}
        assert set(paths[f"{base}picture/{{n}}"]) == {"get"}


def test_the_openapi_document_is_at_the_url_of_the_index_and_at_that_of_fastapi(client, prefix):
    url = client.get(f"{prefix}/").json()["openapi"]
    assert url == f"http://testserver{prefix}/openapi.json"
    assert client.get(url).json() == client.get("/openapi.json").json()
    assert "/openapi.json" not in client.get(url).json()["paths"]


def test_every_operation_has_an_id_of_its_own(client):
    operations = [
        operation["operationId"]
        for item in client.get("/openapi.json").json()["paths"].values()
        for operation in item.values()
    ]
    assert len(operations) == len(set(operations))


def test_every_error_in_the_document_is_a_problem(client, prefix):
    """The response of `/health` is no problem: it has its usual members, and is not ready."""
    document = client.get("/openapi.json").json()
    described = document["components"]["responses"]

    def media_types(answer):
        return set(described.get(answer.get("$ref", "").rpartition("/")[2], answer)["content"])

    errors = [
        (path, method, code, media_types(answer))
        for path, item in document["paths"].items()
        for method, operation in item.items()
        for code, answer in operation["responses"].items()
        if int(code) >= 400 and path != f"{prefix}/health"
    ]
    assert errors
    assert [found for found in errors if found[3] != {PROBLEM}] == []


def test_openapi_documents_reset_and_all_responses(client, prefix):
    document = client.get("/openapi.json").json()
    assert set(document["paths"][f"{prefix}/stage/speed/reset"]) == {"post"}
    assert f"{prefix}/stage/where/reset" not in document["paths"]
    put = document["paths"][f"{prefix}/stage/speed"]["put"]["responses"]
    anywhere = {"400", "401", "403", "413", "421", "429", "431", "500", "503"}
    assert set(put) == anywhere | {"204", "409", "415", "422", "507"}
    for item in document["paths"].values():
        for operation in item.values():
            assert anywhere <= set(operation["responses"])
    described = document["components"]["responses"]
    assert "Retry-After" in described["Problem503"]["headers"]


# --- user code that blocks --------------------------------------------------------------------


class Blocking(lt.Thing):
    quick: int = lt.property(default=7)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.go_on = threading.Event()
        self.began = threading.Semaphore(0)
        self.running = threading.Event()

    @lt.property
    def slow(self) -> int:
        self.began.release()
        self.go_on.wait(60)
        return 1

    @lt.action
    def wait(self) -> None:
        self.running.set()
        lt.cancellable_sleep(60)


class App:
    """Calls an ASGI app as a server does, many requests at once on one event loop."""

    def __init__(self, app):
        self._app = app

    async def __call__(self, method, path):
        sent = []

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"localhost")],
            "server": ("localhost", 80),
            "client": ("testclient", 1),
        }
        await self._app(scope, receive, send)
        headers = dict(sent[0]["headers"])
        return sent[0]["status"], headers, b"".join(m.get("body", b"") for m in sent[1:])


def test_reads_that_block_delay_nothing_that_the_server_answers_by_itself():
    """60 reads are blocked until the end of the test, so the responses did not wait for them."""
    server = lt.ThingServer.from_things({"stuck": Blocking, "fine": Blocking})
    stuck, fine = server.things["stuck"], server.things["fine"]

    async def scenario():
        call = App(server.app)
        run = server.action_manager.invoke_action(Blocking.wait, stuck)
        assert stuck.running.wait(30)
        reads = [asyncio.create_task(call("GET", "/stuck/slow")) for _ in range(60)]
        assert await asyncio.to_thread(stuck.began.acquire, timeout=30)
        href = f"/stuck/wait/{run.id}"
        assert (await call("GET", href))[0] == 200
        assert (await call("GET", f"/action_invocations/{run.id}"))[0] == 200
        assert (await call("GET", "/health"))[0] in {200, 503}
        assert (await call("GET", "/stuck/actions"))[0] == 200
        assert (await call("GET", "/stuck/quick"))[2] == b"7"
        assert (await call("GET", "/stuck/"))[0] == 200
        assert (await call("DELETE", href))[0] == 204
        fine.go_on.set()
        assert (await call("GET", "/fine/slow"))[2] == b"1"
        assert not any(read.done() for read in reads)
        assert not stuck.began.acquire(blocking=False)  # one reading, however many ask
        stuck.go_on.set()
        assert [status for status, _, _ in await asyncio.gather(*reads)] == [200] * 60
        assert await asyncio.to_thread(run.wait, 30)

    asyncio.run(scenario())
