"""The Python client against real servers: the blocking one and the asynchronous one alike."""

from __future__ import annotations

import asyncio
import inspect
import json
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

import labthings_fastapi as lt
from labthings_fastapi.client.connection import Connection, ServerAddress
from labthings_fastapi.client.listing import things_of_directory
from labthings_fastapi.client.protocol import describe
from labthings_fastapi.exceptions import (
    ClientError,
    ClientPropertyError,
    FailedToInvokeActionError,
    ForeignAddressError,
    InvocationCancelledError,
    RefusedError,
    ServerActionError,
    ServerUnreachableError,
    WaitTimeoutError,
)
from labthings_fastapi.security.credential_file import CredentialFile
from labthings_fastapi.security.credentials import new_token


class Mode(Enum):
    COARSE = "coarse"
    FINE = "fine"


class Place(BaseModel):
    x: float
    when: datetime


class Stage(lt.Thing):
    """A stage for clients."""

    speed: float = lt.property(default=1.0, gt=0, le=50, unit="mm/s")
    """Speed of all axes."""
    mode: Mode = lt.property(default=Mode.COARSE)
    trail: list[float] = lt.property(default_factory=lambda: [1.0, 2.0], readonly=True)
    place: Place = lt.property(
        default=Place(x=1.5, when=datetime(2026, 5, 1, tzinfo=UTC)), readonly=True
    )
    start: int = lt.property(default=7)
    overheated: float = lt.event()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.moving = threading.Event()
        self.moves = 0

    @lt.property
    def broken(self) -> float:
        raise OSError("no answer from the bridge")

    @lt.action
    def move(self, distance: float, axis: str = "x") -> float:
        """Move along an axis.

        Args:
            distance: how far (mm)
            axis: which one
        """
        self.moves += 1
        self.logger.info("moving along %s", axis)
        return distance * 2

    @lt.action
    def travel(self) -> None:
        """Move until somebody stops it."""
        self.moving.set()
        lt.cancellable_sleep(600)

    @lt.action
    def scan(self, rows: int) -> Iterator[int]:
        for row in range(rows):
            lt.progress(row + 1, rows)
            yield row * row

    @lt.action
    def fail(self) -> None:
        self.logger.info("the last line")
        raise ValueError("axis x: end switch")

    @lt.action(synchronous=True)
    def jam(self) -> None:
        self.logger.info("the last line")
        raise ValueError("axis y: end switch")

    @lt.action
    def heat(self, to: float) -> None:
        self.overheated.emit(to)


@pytest.fixture
def server() -> lt.ThingServer:
    return lt.ThingServer.from_things({"stage": Stage})


@pytest.fixture
def url(server: lt.ThingServer, running_server: Any) -> str:
    return f"{running_server(server).url}/stage/"


@pytest.fixture
def stage(url: str) -> Iterator[Any]:
    with lt.ThingClient.from_url(url) as client:
        yield client


class Blocking:
    """The blocking client, in the words that the tests use for both."""

    def __init__(self, url: str) -> None:
        self.client = lt.ThingClient.from_url(url)

    def get(self, name: str) -> Any:
        return getattr(self.client, name)

    def set(self, name: str, value: Any) -> None:
        self.client.set_property(name, value)

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return getattr(self.client, name)(*args, **kwargs)

    def results(self, name: str, **kwargs: Any) -> list[Any]:
        return list(self.client.start_.__getattr__(name)(**kwargs).results())

    def cancelled(self, name: str) -> tuple[bool, bool, str]:
        run = self.client.start_.__getattr__(name)()
        return run.cancel(), run.wait(30), run.status

    def close(self) -> None:
        self.client.close()


class Awaiting:
    """The asynchronous client, in the same words."""

    def __init__(self, url: str) -> None:
        self.runner = asyncio.Runner()
        self.client = self.runner.run(lt.AsyncThingClient.from_url(url))

    def get(self, name: str) -> Any:
        async def read() -> Any:
            return await getattr(self.client, name)

        return self.runner.run(read())

    def set(self, name: str, value: Any) -> None:
        self.runner.run(self.client.set_property(name, value))

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return self.runner.run(getattr(self.client, name)(*args, **kwargs))

    def results(self, name: str, **kwargs: Any) -> list[Any]:
        async def collect() -> list[Any]:
            run = await self.client.start_.__getattr__(name)(**kwargs)
            return [value async for value in run.results()]

        return self.runner.run(collect())

    def cancelled(self, name: str) -> tuple[bool, bool, str]:
        async def cancel() -> tuple[bool, bool, str]:
            run = await self.client.start_.__getattr__(name)()
            return await run.cancel(), await run.wait(30), run.status

        return self.runner.run(cancel())

    def close(self) -> None:
        self.runner.run(self.client.close())
        self.runner.close()


@pytest.fixture(params=[Blocking, Awaiting])
def either(request: pytest.FixtureRequest, url: str) -> Iterator[Any]:
    client = request.param(url)
    yield client
    client.close()


# --- the same for both ----------------------------------------------------------------------


def test_properties_are_read_and_written(either: Any) -> None:
    assert either.get("speed") == 1.0
    either.set("speed", 3)
    assert either.get("speed") == 3.0
    assert either.get("trail") == [1.0, 2.0]
    assert either.get("mode") == "coarse"


def test_numpy_values_are_sent_as_numbers(either: Any) -> None:
    either.set("speed", np.float32(2.5))
    assert either.get("speed") == 2.5
    assert either.call("move", np.float64(3)) == 6.0


def test_a_refused_value_is_an_error_that_names_property_and_limit(either: Any) -> None:
    with pytest.raises(ClientPropertyError, match=r"Failed to set property speed: .*50"):
        either.set("speed", 51)
    assert either.get("speed") == 1.0


def test_a_read_only_property_is_refused_without_a_request(either: Any) -> None:
    with pytest.raises(ClientPropertyError, match="This property may not be set"):
        either.set("trail", [])


def test_a_failed_reading_says_why(either: Any) -> None:
    with pytest.raises(ClientPropertyError, match=r"property broken: .*no answer from the bridge"):
        either.get("broken")


def test_an_unknown_property_names_those_that_there_are(either: Any) -> None:
    with pytest.raises(ClientPropertyError, match=r"no property called 'sped'\. It has: .*speed"):
        either.set("sped", 1)


def test_actions_take_arguments_as_python_functions_do(either: Any) -> None:
    assert either.call("move", 3) == 6.0
    assert either.call("move", distance=1.5) == 3.0
    assert either.call("move", 2, "y") == 4.0
    with pytest.raises(TypeError, match="at most 2 positional"):
        either.call("move", 1, "x", 2)
    with pytest.raises(TypeError, match="multiple values for argument 'distance'"):
        either.call("move", 1, distance=2)


def test_an_action_that_is_refused_names_the_argument(either: Any) -> None:
    with pytest.raises(FailedToInvokeActionError, match=r"invoking action move: 'distance' - "):
        either.call("move", "far")
    with pytest.raises(FailedToInvokeActionError, match=r"'speed' - "):
        either.call("move", 1, speed=2)


@pytest.mark.parametrize(("action", "axis"), [("fail", "x"), ("jam", "y")])
def test_an_action_that_fails_tells_the_error_the_log_and_the_traceback(
    either: Any, action: str, axis: str
) -> None:
    """Also a synchronous one, whose failure is the answer to the request that starts it."""
    with pytest.raises(ServerActionError) as caught:
        either.call(action)
    text = str(caught.value)
    assert f"Action {action} (ID: " in text
    assert f"axis {axis}: end switch" in text
    assert "SERVER TRACEBACK START:" in text
    assert caught.value.invocation_id is not None
    assert caught.value.invocation_id in text
    assert "INFO: the last line" in caught.value.log
    assert caught.value.problem["status"] == 500


def test_all_results_arrive_in_order_also_those_from_before(either: Any) -> None:
    assert either.results("scan", rows=50) == [row * row for row in range(50)]


def test_results_of_a_run_that_ended_before_are_complete(stage: Any) -> None:
    run = stage.start_.scan(rows=20)
    assert run.wait(30)
    assert list(run.results()) == [row * row for row in range(20)]
    assert run.results_missed == 0


def test_a_cancelled_run_says_so(either: Any) -> None:
    assert either.cancelled("travel") == (True, True, "cancelled")


# --- the blocking client --------------------------------------------------------------------


def test_methods_have_the_signature_and_the_text_of_the_action(stage: Any) -> None:
    signature = inspect.signature(stage.move)
    assert str(signature) == "(distance: float, axis: str = 'x') -> float"
    assert stage.move.__name__ == "move"
    assert "how far (mm)" in stage.move.__doc__
    assert "in mm/s" in type(stage).speed.__doc__
    assert "≤ 50" in type(stage).speed.__doc__


def test_the_things_own_name_wins_and_the_clients_gets_an_underscore(stage: Any) -> None:
    assert stage.start == 7  # a property of the Thing
    assert stage.start_.move(1).result() == 2.0
    assert "`start` is `start_`" in type(stage).__doc__


def test_a_misspelt_assignment_is_an_error_and_no_new_attribute(stage: Any) -> None:
    with pytest.raises(AttributeError, match="Did you mean 'speed'"):
        stage.sped = 3


def test_repr_says_what_it_is(stage: Any) -> None:
    assert "speed" in repr(stage)
    assert "move" in repr(stage)
    assert "<td><code>move</code></td>" in stage._repr_html_()


def test_a_handle_tells_the_state_and_waits(stage: Any, server: lt.ThingServer) -> None:
    run = stage.start_.travel()
    assert server.things["stage"].moving.wait(30)  # type: ignore[attr-defined]
    assert (run.status, run.phase) == ("running", "running")
    assert run.wait(0.01) is False
    with pytest.raises(WaitTimeoutError, match=rf"ID: {run.id}.* has not ended after 0.01 s"):
        run.result(0.01)
    assert run.cancel()
    with pytest.raises(InvocationCancelledError):
        run.result(30)
    assert run.cancel() is False
    assert any("was cancelled" in line for line in run.logs())


def test_a_run_is_found_again_by_its_id(stage: Any, url: str) -> None:
    id = stage.start_.move(4).id
    with lt.ThingClient.from_url(url) as other:
        assert other.attach(id).result(30) == 8.0
        with pytest.raises(ClientError, match="knows no run with id 00000000"):
            other.attach("00000000-0000-4000-8000-000000000000")


def test_values_and_events_arrive_until_the_subscription_is_closed(stage: Any) -> None:
    arrived: queue.Queue[Any] = queue.Queue()
    with stage.observe("speed", arrived.put), stage.subscribe("overheated", arrived.put):
        for speed in range(2, 40):  # until it follows
            stage.speed = speed
            try:
                assert arrived.get(timeout=0.5) >= 2.0
                break
            except queue.Empty:
                continue
        else:
            pytest.fail("no value arrived")
        while True:
            stage.heat(81.5)
            try:
                if arrived.get(timeout=0.5) == 81.5:
                    break
            except queue.Empty:
                continue


def test_nothing_is_missed_once_a_subscription_has_begun(stage: Any) -> None:
    """The connection is open when `observe` and `subscribe` return."""
    for _ in range(5):
        seen: queue.Queue[Any] = queue.Queue()
        with stage.subscribe("overheated", seen.put):
            stage.heat(71.5)
            assert seen.get(timeout=30) == 71.5
        with stage.observe("speed", seen.put):
            stage.speed = 3.0
            assert seen.get(timeout=30) == 3.0


def test_a_subscription_that_is_refused_says_so_at_once(stage: Any) -> None:
    for form in stage._protocol.description.members["events"]["overheated"]["forms"]:
        form["href"] = form["href"].replace("overheated", "overheeted")
    with pytest.raises(ClientError, match="cannot be followed"):
        stage.subscribe("overheated", print)


def test_things_of_a_directory_are_read_page_by_page(running_server: Any) -> None:
    server = lt.ThingServer.from_things({f"stage{number}": Stage for number in range(5)})
    place = running_server(server).url
    connection = Connection(ServerAddress(place, None, True))
    directory = connection.run(describe(f"{place}/.well-known/wot"))
    for form in directory.members["properties"]["things"]["forms"]:
        form["href"] = f"{form['href'].partition('{')[0]}?limit=2"
    found = connection.run(things_of_directory(directory))
    connection.close()
    assert len({each.id for each in found.values()}) == len(found) == 5


def test_the_client_of_a_test_works_with_a_path(server: lt.ThingServer) -> None:
    with server.test_client() as test_client:
        client = lt.ThingClient.from_url("/stage/", client=test_client)
        assert client.speed == 1.0
        assert client.move(2) == 4.0
        assert client.client is test_client


def test_connect_gives_values_as_python_has_them(url: str) -> None:
    with lt.connect(url.removesuffix("stage/")) as bench:
        assert list(bench) == ["stage"]
        stage = bench.stage
        assert stage is bench["stage"]
        assert isinstance(stage.trail, np.ndarray)
        assert stage.trail.tolist() == [1.0, 2.0]
        assert stage.place.x == 1.5
        assert stage.place.when == datetime(2026, 5, 1, tzinfo=UTC)
        assert json.loads(json.dumps(stage.place, default=str))["x"] == 1.5
        with pytest.raises(AttributeError, match=r"no Thing called 'camera'\. It has: stage"):
            _ = bench.camera


def test_nobody_there_is_said_with_the_address() -> None:
    with pytest.raises(ServerUnreachableError, match=r"http://127\.0\.0\.1:9"):
        lt.ThingClient.from_url("http://127.0.0.1:9/stage/")
    with pytest.raises(ClientError, match="is no address of a server"):
        lt.ThingClient.from_url("stage")


# --- Ctrl-C, restarts, and servers that are not what they seem ------------------------------

INTERRUPTED = """
import sys
import labthings_fastapi as lt

stage = lt.ThingClient.from_url(sys.argv[1], progress=False)
try:
    stage.travel()
except KeyboardInterrupt as interrupt:
    print("interrupted", *interrupt.__notes__, flush=True)
"""


def test_ctrl_c_stops_the_run_before_it_is_raised(
    url: str, server: lt.ThingServer, tmp_path: Path
) -> None:
    thing: Any = server.things["stage"]
    client = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, url], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    try:
        assert thing.moving.wait(45)
        client.send_signal(signal.SIGINT)
        output, _ = client.communicate(timeout=45)
    finally:
        client.kill()
        client.wait()
    (run,) = server.action_manager.list_invocations(type(thing).travel, thing)
    assert run.status.value == "cancelled"
    assert f"Action travel (ID: {run.id}) was cancelled, and has stopped." in output


class Impostor(BaseHTTPRequestHandler):
    """A server whose description and answers lead elsewhere."""

    elsewhere = ""
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        form = {"href": f"{self.elsewhere}/steal", "op": "readproperty"}
        description = {
            "title": "impostor",
            "properties": {"value": {"forms": [form]}},
            "actions": {"go": {"forms": [{"href": "/go", "op": "invokeaction"}]}},
        }
        self._send(200, json.dumps(description).encode())

    def do_POST(self) -> None:
        self.asked.append(self.path)
        status = {"status": "running", "id": "1", "href": f"{self.elsewhere}/steal"}
        self._send(201, json.dumps(status).encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def impostors() -> Iterator[tuple[str, list[str]]]:
    """Two servers; the first refers to the second, whose requests are listed."""
    asked: list[str] = []
    other_handler = type("Other", (Impostor,), {"asked": asked})
    other = ThreadingHTTPServer(("127.0.0.1", 0), other_handler)
    elsewhere = f"http://127.0.0.1:{other.server_address[1]}"
    handler = type("First", (Impostor,), {"asked": [], "elsewhere": elsewhere})
    first = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threads = [threading.Thread(target=each.serve_forever) for each in (first, other)]
    for thread in threads:
        thread.start()
    yield f"http://127.0.0.1:{first.server_address[1]}/", asked
    for each in (first, other):
        each.shutdown()
        each.server_close()
    for thread in threads:
        thread.join(30)


def test_nothing_is_sent_to_another_server_than_the_one_that_was_named(
    impostors: tuple[str, list[str]],
) -> None:
    url, asked = impostors
    with lt.ThingClient.from_url(url, token="secret") as client:
        with pytest.raises(ForeignAddressError, match="is another server"):
            _ = client.value
        with pytest.raises(ForeignAddressError):
            client.go()
    assert asked == []


def test_a_server_that_wants_a_token_says_how_to_give_one(
    running_server: Any, tmp_path: Path
) -> None:
    credential, token = new_token("alice", "operator", {})
    CredentialFile(tmp_path / "settings" / "credentials.json").add(credential)
    server = lt.ThingServer.from_things({"stage": Stage}, settings_folder=tmp_path / "settings")
    url = f"{running_server(server).url}/stage/"
    with pytest.raises(RefusedError, match="LABTHINGS_TOKEN"):
        lt.ThingClient.from_url(url)
    with lt.ThingClient.from_url(url, token=token) as client:
        assert client.move(2) == 4.0
