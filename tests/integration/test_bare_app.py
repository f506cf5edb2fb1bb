"""Runs in a user's FastAPI app: no ThingServer, no lifespan, only `attach_to_app`."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse
from fastapi.testclient import TestClient
from starlette.exceptions import HTTPException

from labthings_fastapi.actions import ActionManager, Invocation
from labthings_fastapi.actions.context import get_invocation_directory
from labthings_fastapi.actions.invocation_model import InvocationModel
from labthings_fastapi.actions.progress import progress
from labthings_fastapi.client.sse import EventParser
from labthings_fastapi.decorators import action
from labthings_fastapi.dependencies.invocation import (
    CancelHook,
    InvocationID,
    InvocationLogger,
)
from labthings_fastapi.exceptions import InvocationError
from labthings_fastapi.outputs.blob import Blob
from labthings_fastapi.thing import Thing

if TYPE_CHECKING:
    from pathlib import Path

    from labthings_fastapi.client.sse import ServerSentEvent

PROBLEM = "application/problem+json"
PATH = "/action_invocations"


class PNGBlob(Blob):
    """A picture."""

    media_type = "image/png"


class Microscope(Thing):
    """An instrument in a user's app."""

    def __init__(self) -> None:
        """Wait for the test where the instrument would wait for the sample."""
        super().__init__()
        self.entered = threading.Event()
        self.gate = threading.Event()

    @action
    def give(self, value: Any = None) -> Any:
        """Give back what was given."""
        return value

    @action
    def hold(self) -> str:
        """Wait for the test."""
        self.entered.set()
        self.gate.wait(60)
        return "held"

    @action
    def sleep(self, logger: InvocationLogger, cancel: CancelHook) -> None:
        """Sleep until cancelled."""
        logger.info("sleeping")
        self.entered.set()
        cancel.sleep(60)

    @action
    def fail(self) -> None:
        """Fail."""
        raise InvocationError("no sample")

    @action
    def snap(self) -> PNGBlob:
        """Take a picture."""
        return PNGBlob.from_bytes(b"\x89PNG")

    @action
    def record(self) -> None:
        """Leave a file."""
        (get_invocation_directory() / "data ü.csv").write_text("1,2")

    @action
    def scan(self, n: int) -> Iterator[int]:
        """Yield, report and log, once the test has opened the gate."""
        self.entered.set()
        self.gate.wait(60)
        for number in range(n):
            self.logger.info("point %d", number)
            progress(number + 1, n)
            yield number


class Lab:
    """An app with handlers of its own, a manager and a Thing."""

    def __init__(self, **options: Any) -> None:
        """Attach the manager, as the documentation shows."""
        self.app = FastAPI(**options)
        self.manager = ActionManager()
        self.thing = Microscope()
        self._add_own_routes()
        self.handlers = dict(self.app.exception_handlers)
        self.manager.attach_to_app(self.app)

    def _add_own_routes(self) -> None:
        app, manager, thing = self.app, self.manager, self.thing

        @app.exception_handler(HTTPException)
        async def own_http(_request: Request, error: HTTPException) -> PlainTextResponse:
            return PlainTextResponse(f"own: {error.detail}", error.status_code)

        @app.exception_handler(RequestValidationError)
        async def own_validation(
            _request: Request, _error: RequestValidationError
        ) -> PlainTextResponse:
            return PlainTextResponse("own: invalid", 499)

        @app.get("/own/{number}")
        def own(number: int) -> int:
            raise HTTPException(418, "teapot")

        @app.post("/sleep", response_model=InvocationModel, status_code=201)
        def sleep(
            request: Request, id: InvocationID, cancel: CancelHook, logger: InvocationLogger
        ) -> Any:
            run = manager.invoke_action(
                Microscope.sleep,
                thing,
                id=id,
                dependencies={"logger": logger, "cancel": cancel},
                cancel_hook=cancel,
            )
            return run.response(request)

        @app.post("/give", response_model=InvocationModel, status_code=201)
        def give(request: Request, value: Any = None) -> Any:
            given = Microscope.give.input_model(value=value)
            return manager.invoke_action(Microscope.give, thing, input=given).response(request)

    def invoke(self, name: str, **given: Any) -> Invocation:
        """Start a run."""
        descriptor = self.thing.actions[name]
        return self.manager.invoke_action(
            descriptor, self.thing, input=descriptor.input_model(**given)
        )

    def ended(self, name: str, **given: Any) -> Invocation:
        """Let a run end."""
        run = self.invoke(name, **given)
        run.join(30)
        assert not run.is_alive()
        return run

    def holding(self) -> Invocation:
        """Give a run in progress."""
        run = self.invoke("hold")
        assert self.thing.entered.wait(30)
        return run


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Give an app whose gate is open when the test is over."""
    made = Lab()
    yield made
    made.thing.gate.set()


@pytest.fixture
def client(lab: Lab) -> TestClient:
    """Give a client; not used as a context manager, so no lifespan runs."""
    return TestClient(lab.app)


def refused(answer: Any, status: int, path: str) -> dict[str, Any]:
    """Check that an answer is a problem."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert problem["instance"] == path
    assert {"type", "title", "detail"} <= problem.keys()
    return problem


# --- one run ------------------------------------------------------------------------------


def test_a_run_is_shown_in_full(lab: Lab, client: TestClient) -> None:
    run = lab.ended("give", value=[1, "two"])
    answer = client.get(f"{PATH}/{run.id}")
    assert answer.status_code == 200
    found = answer.json()
    href = f"http://testserver{PATH}/{run.id}"
    assert (found["id"], found["href"], found["status"]) == (str(run.id), href, "completed")
    assert (found["input"], found["output"]) == ({"value": [1, "two"]}, [1, "two"])
    assert (found["error"], found["progress"], found["phase"]) == (None, None, "finished")
    links = {link["rel"]: link["href"] for link in found["links"]}
    assert links["self"] == href
    assert links["output"] == f"{href}/output"
    assert InvocationModel.model_validate(found).timeCompleted is not None


def test_the_response_object_is_equal_to_the_resource(client: TestClient) -> None:
    posted = client.post("/give", params={"value": "x"}).json()
    shown = client.get(posted["href"], headers={"Prefer": "wait=30"}).json()
    assert shown["href"] == posted["href"]
    assert shown["output"] == "x"
    assert shown["action"] == posted["action"]


def test_a_run_in_progress_has_no_output_yet(lab: Lab, client: TestClient) -> None:
    run = lab.holding()
    found = client.get(f"{PATH}/{run.id}").json()
    assert (found["status"], found["output"], found["timeCompleted"]) == ("running", None, None)


def test_prefer_wait_waits_for_the_end(lab: Lab, client: TestClient) -> None:
    run = lab.holding()
    threading.Timer(0.05, lab.thing.gate.set).start()
    answer = client.get(f"{PATH}/{run.id}", headers={"Prefer": "wait=30"})
    assert answer.json()["status"] == "completed"
    assert answer.headers["preference-applied"] == "wait=30"


def test_prefer_wait_gives_up_in_time(lab: Lab, client: TestClient) -> None:
    run = lab.holding()
    answer = client.get(f"{PATH}/{run.id}", headers={"Prefer": "wait=0"})
    assert answer.json()["status"] == "running"
    assert answer.headers["preference-applied"] == "wait=0"
    assert "preference-applied" not in client.get(f"{PATH}/{run.id}").headers


def test_a_bare_wait_means_the_actions_own_time(lab: Lab, client: TestClient) -> None:
    run = lab.ended("give")
    answer = client.get(f"{PATH}/{run.id}", headers={"Prefer": "wait"})
    assert answer.headers["preference-applied"] == "wait=1"


def test_preferences_may_come_in_several_headers(lab: Lab, client: TestClient) -> None:
    run = lab.ended("give")
    answer = client.get(
        f"{PATH}/{run.id}", headers=[("Prefer", "respond-async"), ("Prefer", "wait=3")]
    )
    assert answer.headers["preference-applied"] == "wait=3"


@pytest.mark.parametrize("tail", ["", "/output", "/files", "/files/x", "/events"])
def test_an_unknown_run_is_404_and_a_malformed_id_422(client: TestClient, tail: str) -> None:
    id = uuid.uuid4()
    problem = refused(client.get(f"{PATH}/{id}{tail}"), 404, f"{PATH}/{id}{tail}")
    assert str(id) in problem["detail"]
    problem = refused(client.get(f"{PATH}/odd{tail}"), 422, f"{PATH}/odd{tail}")
    assert problem["errors"][0]["loc"] == ["path", "id"]


def test_a_request_that_waits_for_an_unknown_run_is_answered_at_once(client: TestClient) -> None:
    answer = client.get(f"{PATH}/{uuid.uuid4()}", headers={"Prefer": "wait=60"})
    assert answer.status_code == 404


# --- its output ---------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, False, "", [], None, {}, 0.0, 5, {"a": [1]}])
def test_the_bare_output_also_when_it_is_falsy(lab: Lab, client: TestClient, value: Any) -> None:
    answer = client.get(f"{PATH}/{lab.ended('give', value=value).id}/output")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(answer.content) == value


def test_a_binary_output_comes_as_its_own_media_type(lab: Lab, client: TestClient) -> None:
    run = lab.ended("snap")
    answer = client.get(f"{PATH}/{run.id}/output")
    assert (answer.headers["content-type"], answer.content) == ("image/png", b"\x89PNG")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert client.get(f"{PATH}/{run.id}").json()["output"]["media_type"] == "image/png"


def test_before_the_end_the_output_is_503(lab: Lab, client: TestClient) -> None:
    run = lab.holding()
    answer = client.get(f"{PATH}/{run.id}/output")
    refused(answer, 503, f"{PATH}/{run.id}/output")
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize("name", ["fail", "hold"])
def test_a_run_that_ended_without_an_output_is_409(lab: Lab, client: TestClient, name: str) -> None:
    run = Invocation(lab.thing.actions[name], lab.thing)
    lab.manager.append_invocation(run)
    if name == "hold":
        run.cancel()
    run.start()
    run.join(30)
    problem = refused(client.get(f"{PATH}/{run.id}/output"), 409, f"{PATH}/{run.id}/output")
    assert run.status.value in problem["detail"]


def test_the_error_of_a_run_is_a_problem(lab: Lab, client: TestClient) -> None:
    found = client.get(f"{PATH}/{lab.ended('fail').id}").json()
    assert found["status"] == "error"
    assert found["error"]["detail"] == "no sample"
    assert [line["levelname"] for line in found["log"]] == ["ERROR"]


# --- cancelling ---------------------------------------------------------------------------


def test_a_run_is_cancelled_over_http(lab: Lab, client: TestClient) -> None:
    href = client.post("/sleep").json()["href"]
    assert lab.thing.entered.wait(30)
    answer = client.delete(href)
    assert (answer.status_code, answer.content) == (204, b"")
    found = client.get(href, headers={"Prefer": "wait=30"}).json()
    assert found["status"] == "cancelled"
    assert found["error"]["type"].endswith("cancelled")
    assert found["log"][0]["message"] == "sleeping"
    path = f"{PATH}/{found['id']}"
    refused(client.delete(href), 409, path)


def test_a_cancel_shows_in_the_phase_at_once(lab: Lab, client: TestClient) -> None:
    run = lab.holding()
    for _ in range(2):
        assert client.delete(f"{PATH}/{run.id}").status_code == 204
    found = client.get(f"{PATH}/{run.id}").json()
    assert (found["status"], found["phase"]) == ("running", "cancelling")


def test_what_is_unknown_or_malformed_cannot_be_cancelled(client: TestClient) -> None:
    id = uuid.uuid4()
    refused(client.delete(f"{PATH}/{id}"), 404, f"{PATH}/{id}")
    refused(client.delete(f"{PATH}/odd"), 422, f"{PATH}/odd")


# --- listing ------------------------------------------------------------------------------


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [run["id"] for run in answer.json()]


def test_a_listing_is_of_summaries_newest_last(lab: Lab, client: TestClient) -> None:
    assert client.get(PATH).json() == []
    runs = [lab.ended("give", value=number) for number in range(3)]
    answer = client.get(PATH)
    assert ids(answer) == [str(run.id) for run in runs]
    for summary in answer.json():
        assert not {"input", "output", "log", "error"} & summary.keys()
        assert {"status", "id", "action", "href", "timeRequested", "links"} <= summary.keys()


def test_a_listing_is_filtered(lab: Lab, client: TestClient) -> None:
    given, failed = lab.ended("give"), lab.ended("fail")
    name = lab.thing.name
    assert ids(client.get(PATH, params={"action": "give"})) == [str(given.id)]
    assert ids(client.get(PATH, params={"status": "error"})) == [str(failed.id)]
    assert ids(client.get(PATH, params={"thing": name, "action": "fail"})) == [str(failed.id)]
    assert ids(client.get(PATH, params={"thing": "other"})) == []
    assert ids(client.get(PATH, params={"action": "give", "status": "error"})) == []


def test_a_listing_is_paged(lab: Lab, client: TestClient) -> None:
    runs = [str(lab.ended("give").id) for _ in range(5)]
    assert ids(client.get(PATH, params={"limit": 2})) == runs[3:]
    assert ids(client.get(PATH, params={"limit": 2, "before": runs[3]})) == runs[1:3]
    assert ids(client.get(PATH, params={"before": runs[1]})) == runs[:1]


@pytest.mark.parametrize(
    ("query", "status"),
    [("limit=0", 422), ("limit=x", 422), ("status=odd", 422), ("before=odd", 422)],
)
def test_a_list_that_cannot_be_made_is_a_problem_with_the_reason(
    client: TestClient, query: str, status: int
) -> None:
    refused(client.get(f"{PATH}?{query}"), status, PATH)


def test_earlier_than_an_unknown_run_is_404(client: TestClient) -> None:
    refused(client.get(PATH, params={"before": str(uuid.uuid4())}), 404, PATH)


def test_one_broken_run_breaks_no_response(lab: Lab, client: TestClient) -> None:
    circular: list[Any] = []
    circular.append(circular)
    poisoned = []
    for value in ("\ud800", circular, object(), {"\ud800": 1}):
        run = Invocation(lab.thing.actions["give"], lab.thing, dependencies={"value": value})
        lab.manager.append_invocation(run)
        run.start()
        run.join(30)
        poisoned.append(str(run.id))
    assert ids(client.get(PATH)) == poisoned
    for id in poisoned:
        found = client.get(f"{PATH}/{id}")
        assert (found.status_code, found.json()["status"]) == (200, "error")


# --- files --------------------------------------------------------------------------------


def test_files_are_listed_and_downloaded(lab: Lab, client: TestClient) -> None:
    run = lab.ended("record")
    (file,) = client.get(f"{PATH}/{run.id}/files").json()
    assert (file["name"], file["size"], file["media_type"]) == ("data ü.csv", 3, "text/csv")
    answer = client.get(file["href"])
    assert answer.text == "1,2"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_file_that_is_not_there_is_404(lab: Lab, client: TestClient, tmp_path: Path) -> None:
    run = lab.ended("record")
    (tmp_path / "secret").write_text("secret")
    path = f"{PATH}/{run.id}/files/nothing"
    assert "nothing" in refused(client.get(path), 404, path)["detail"]
    for name in ("..%2Fsecret", "%2e%2e", "%00"):
        assert client.get(f"{PATH}/{run.id}/files/{name}").status_code == 404
    assert client.get(f"{PATH}/{lab.ended('give').id}/files").json() == []


# --- the host app -------------------------------------------------------------------------


def test_the_host_apps_own_errors_stay_as_they_are(lab: Lab, client: TestClient) -> None:
    assert lab.app.exception_handlers == lab.handlers
    assert client.get("/own/1").text == "own: teapot"
    answer = client.get("/own/x")
    assert (answer.status_code, answer.text) == (499, "own: invalid")
    assert client.get("/nowhere").text == "own: Not Found"


def test_an_app_without_handlers_keeps_fastapis() -> None:
    app = FastAPI()
    before = dict(app.exception_handlers)
    ActionManager().attach_to_app(app)
    assert app.exception_handlers == before
    answer = TestClient(app).get("/nowhere")
    assert answer.json() == {"detail": "Not Found"}


def test_the_routes_are_described(lab: Lab, client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert {path for path in paths if path.startswith(PATH)} == {
        PATH,
        f"{PATH}/{{id}}",
        f"{PATH}/{{id}}/output",
        f"{PATH}/{{id}}/results",
        f"{PATH}/{{id}}/files",
        f"{PATH}/{{id}}/files.zip",
        f"{PATH}/{{id}}/files/{{filename}}",
        f"{PATH}/{{id}}/events",
        f"{PATH}/{{id}}/pin",
    }
    assert lab.app.url_path_for("action_invocation", id="x") == f"{PATH}/x"


def test_hrefs_contain_the_root_path_and_the_path_of_the_mount(lab: Lab) -> None:
    run = lab.ended("give")
    outer = FastAPI()
    outer.mount("/lab", lab.app)
    found = TestClient(outer).get(f"/lab{PATH}/{run.id}").json()
    assert found["href"] == f"http://testserver/lab{PATH}/{run.id}"
    proxied = TestClient(lab.app, root_path="/proxy").get(f"{PATH}/{run.id}").json()
    assert proxied["href"] == f"http://testserver/proxy{PATH}/{run.id}"


def test_two_apps_have_their_own_runs(client: TestClient) -> None:
    other = Lab()
    run = other.ended("give")
    assert client.get(PATH).json() == []
    assert ids(TestClient(other.app).get(PATH)) == [str(run.id)]


# --- events -------------------------------------------------------------------------------


def events_of(chunks: Iterator[bytes]) -> Iterator[ServerSentEvent]:
    parser = EventParser()
    for chunk in chunks:
        yield from parser.feed(chunk)


def test_the_events_of_a_finished_run_contain_its_end_and_stop(
    lab: Lab, client: TestClient
) -> None:
    run = lab.ended("give")
    answer = client.get(f"{PATH}/{run.id}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    (event,) = events_of(iter([answer.content]))
    assert event.event == "status"
    assert json.loads(event.data)["status"] == "completed"


def test_missed_events_are_sent_again(lab: Lab, client: TestClient) -> None:
    lab.thing.gate.set()
    start = lab.manager.broker.position
    run = lab.ended("scan", n=3)
    answer = client.get(f"{PATH}/{run.id}/events", headers={"Last-Event-ID": start})
    events = list(events_of(iter([answer.content])))
    assert [event.event for event in events].count("result") == 3
    assert json.loads(events[-1].data)["status"] == "completed"
    again = client.get(f"{PATH}/{run.id}/events", headers={"Last-Event-ID": events[2].id})
    assert [event.id for event in events_of(iter([again.content]))] == [
        event.id for event in events[3:]
    ]


def test_an_id_of_another_life_of_the_server_is_a_gap(lab: Lab, client: TestClient) -> None:
    run = lab.ended("give")
    answer = client.get(f"{PATH}/{run.id}/events", headers={"Last-Event-ID": "other-5"})
    events = list(events_of(iter([answer.content])))
    assert events[0].event == "gap"
    assert json.loads(events[-1].data)["status"] == "completed"


# --- a real server ------------------------------------------------------------------------


class HttpClient:
    """A client of the app behind a real server."""

    def __init__(self, port: int) -> None:
        self.port = port

    def request(self, method: str, path: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        """Ask once."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read(), dict(answer.getheaders())
        finally:
            connection.close()

    def stream(self, path: str) -> Iterator[ServerSentEvent]:
        """Read events as they come."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            assert answer.status == 200
            yield from events_of(iter(answer.read1, b""))
        finally:
            connection.close()


@pytest.fixture
def server(lab: Lab, running_server: Any) -> HttpClient:
    return HttpClient(running_server(lab.app, lifespan="off").port)


def test_over_a_real_connection(lab: Lab, server: HttpClient) -> None:
    """Invoke, watch, wait, cancel and fetch, as a client on the network does."""
    run = lab.invoke("scan", n=3)
    path = f"{PATH}/{run.id}"
    assert lab.thing.entered.wait(30)
    assert server.request("GET", f"{path}/output")[0] == 503

    events = server.stream(f"{path}/events")
    first = next(events)
    assert json.loads(first.data)["status"] == "running"
    lab.thing.gate.set()
    later = list(events)
    kinds = [event.event for event in later]
    assert [json.loads(event.data)["value"] for event in later if event.event == "result"] == [
        0,
        1,
        2,
    ]
    assert kinds.count("log") == 3
    assert "progress" in kinds
    assert kinds[-1] == "status"
    assert json.loads(later[-1].data)["status"] == "completed"
    assert all(event.id for event in later)

    status, body, headers = server.request("GET", path, Prefer="wait=30")
    assert (status, json.loads(body)["output"]) == (200, [0, 1, 2])
    assert headers["preference-applied"] == "wait=30"
    href = json.loads(body)["href"]
    assert href == f"http://127.0.0.1:{server.port}{path}"
    assert server.request("GET", f"{path}/output")[:2] == (200, b"[0,1,2]")
    status, body, headers = server.request("DELETE", path)
    assert (status, headers["content-type"]) == (409, PROBLEM)
    assert server.request("GET", f"{PATH}/odd")[0] == 422
    assert len(json.loads(server.request("GET", PATH)[1])) == 1


def test_a_subscriber_that_goes_away_leaves_nothing_behind(lab: Lab, server: HttpClient) -> None:
    run = lab.holding()
    events = server.stream(f"{PATH}/{run.id}/events")
    assert next(events).event == "status"
    events.close()  # type: ignore[attr-defined]
    lab.thing.gate.set()
    assert run.wait(30)
    assert server.request("GET", f"{PATH}/{run.id}/output")[:2] == (200, b'"held"')


def test_status_and_cancel_never_wait_for_runs(lab: Lab, server: HttpClient) -> None:
    """Fifty clients that wait for a run hold no thread that others would need."""
    run = lab.holding()

    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        text = f"GET {PATH}/{run.id} HTTP/1.0\r\nHost: x\r\nPrefer: wait=60\r\n\r\n"
        writer.write(text.encode())
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer

    async def main() -> list[bytes]:
        waiting = [asyncio.create_task(ask()) for _ in range(50)]
        for _ in range(3):
            status, _, _ = await asyncio.to_thread(server.request, "GET", PATH)
            assert status == 200
        assert not any(task.done() for task in waiting)
        status, _, _ = await asyncio.to_thread(server.request, "DELETE", f"{PATH}/{run.id}")
        assert status == 204
        lab.thing.gate.set()
        return await asyncio.gather(*waiting)

    answers = asyncio.run(main())
    assert len(answers) == 50
    assert all(b'"status":"completed"' in answer for answer in answers)
