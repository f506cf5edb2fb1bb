"""What every binding keeps, through a real server on a free port of the loopback interface.

A binding joins by adding a client to `CLIENTS`. The clients take all URLs from the forms of the
Thing Description.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

import httpx2
import pytest
import uvicorn
from websockets.sync.client import connect

import labthings_fastapi as lt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from websockets.sync.client import ClientConnection

TIMEOUT = 60.0
PROBLEM = "urn:labthings:problem:"
DRAFT_404 = "https://w3c.github.io/web-thing-protocol/errors#404"
FINAL = {"completed", "failed"}


class Stage(lt.Thing):
    position: float = lt.property(default=0.0, ge=-10, le=10)
    serial: str = lt.property(default="S1", readonly=True)
    secret: int = lt.property(default=1, observable=False)
    arrived: lt.Event[float] = lt.event()

    @lt.property
    def temperature(self) -> float:
        return 21.5

    @lt.property
    def broken(self) -> int:
        raise OSError("no sensor")

    @lt.action
    def move(self, to: float) -> float:
        self.position = to
        self.arrived.emit(to)
        return to

    @lt.action
    def wait(self) -> None:
        lt.cancellable_sleep(TIMEOUT)

    @lt.action(synchronous=True)
    def double(self, number: int) -> int:
        return 2 * number

    @lt.action(synchronous=True)
    def fail(self) -> None:
        raise lt.exceptions.InvocationError("The motor is hot.")


class RefusedError(Exception):
    """The server answered with a problem."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(json.dumps(problem))
        self.problem = problem


class Client(Protocol):
    """A client of one Thing in one protocol."""

    scheme: str

    def read(self, name: str) -> Any:
        """Return the value of a property."""

    def write(self, name: str, value: Any) -> None:
        """Set a property."""

    def invoke(self, name: str, value: Any = None) -> Any:
        """Return the output of a synchronous action, or the id of an invocation."""

    def status(self, name: str, invocation: str) -> dict[str, Any]:
        """Return the status of an invocation."""

    def cancel(self, name: str, invocation: str) -> None:
        """Cancel an invocation."""

    def observe(self, name: str) -> Iterator[Any]:
        """Subscribe to a property, and then yield its values."""

    def subscribe(self, name: str) -> Iterator[Any]:
        """Subscribe to an event, and then yield its data."""

    def close(self) -> None:
        """Close all connections."""


class HttpClient:
    """Requests, and server-sent events."""

    scheme = "http"

    def __init__(self, description: dict[str, Any]) -> None:
        self._description = description
        self._resources = contextlib.ExitStack()
        self._client = self._resources.enter_context(httpx2.Client(timeout=TIMEOUT))

    def _href(self, part: str, name: str, operation: str) -> str:
        affordance = self._description[part].get(name)
        if affordance is None:  # an unknown affordance has no form
            return f"{self._description['base']}{name}"
        return form_of(affordance, operation, self.scheme)["href"]

    def _request(self, method: str, href: str, **options: Any) -> Any:
        response = self._client.request(method, href, **options)
        if response.is_error:
            assert response.headers["content-type"] == "application/problem+json"
            raise RefusedError(response.json())
        return response.json() if response.content else None

    def read(self, name: str) -> Any:
        return self._request("GET", self._href("properties", name, "readproperty"))

    def write(self, name: str, value: Any) -> None:
        affordance = self._description["properties"].get(name, {})
        operation = "readproperty" if affordance.get("readOnly") else "writeproperty"
        self._request("PUT", self._href("properties", name, operation), json=value)

    def invoke(self, name: str, value: Any = None) -> Any:
        result = self._request("POST", self._href("actions", name, "invokeaction"), json=value)
        return result["href"].rpartition("/")[2] if isinstance(result, dict) else result

    def status(self, name: str, invocation: str) -> dict[str, Any]:
        href = self._href("actions", name, "queryaction").replace("{actionID}", invocation)
        status: dict[str, Any] = self._request("GET", href, headers={"Prefer": "wait=5"})
        return status

    def cancel(self, name: str, invocation: str) -> None:
        href = self._href("actions", name, "cancelaction").replace("{actionID}", invocation)
        self._request("DELETE", href)

    def _events(self, href: str) -> Iterator[Any]:
        accept = {"Accept": "text/event-stream"}
        response = self._resources.enter_context(self._client.stream("GET", href, headers=accept))
        if response.is_error:
            raise RefusedError(json.loads(response.read()))
        lines = response.iter_lines()
        return (json.loads(line[6:]) for line in lines if line.startswith("data: "))

    def observe(self, name: str) -> Iterator[Any]:
        return self._events(self._href("properties", name, "readproperty"))

    def subscribe(self, name: str) -> Iterator[Any]:
        forms = self._description["events"][name]["forms"]
        return self._events(next(f["href"] for f in forms if f.get("subprotocol") == "sse"))

    def close(self) -> None:
        self._resources.close()


class SocketClient:
    """The Web Thing Protocol; each subscription has a socket of its own."""

    scheme = "ws"

    def __init__(self, description: dict[str, Any]) -> None:
        self._href = form_of(description, "readallproperties", self.scheme)["href"]
        self._resources = contextlib.ExitStack()
        self._socket = self._connect()

    def _connect(self) -> ClientConnection:
        connection = connect(self._href, proxy=None, open_timeout=TIMEOUT)
        return self._resources.enter_context(connection)

    def _request(
        self, operation: str, on: ClientConnection | None = None, **members: Any
    ) -> dict[str, Any]:
        connection = on or self._socket
        connection.send(json.dumps({"messageType": "request", "operation": operation} | members))
        response: dict[str, Any] = json.loads(connection.recv(TIMEOUT))
        if "error" in response:
            raise RefusedError(response["error"])
        return response

    def read(self, name: str) -> Any:
        return self._request("readproperty", name=name)["value"]

    def write(self, name: str, value: Any) -> None:
        self._request("writeproperty", name=name, value=value)

    def invoke(self, name: str, value: Any = None) -> Any:
        response = self._request("invokeaction", name=name, input=value)
        return response["actionID"] if "actionID" in response else response.get("output")

    def status(self, name: str, invocation: str) -> dict[str, Any]:
        with self._connect() as connection:
            response = self._request(
                "labthings:observeinvocation", connection, name=name, actionID=invocation
            )
            while response["status"]["status"] not in FINAL:
                connection.recv(TIMEOUT)
                response = self._request("queryaction", name=name, actionID=invocation)
        status: dict[str, Any] = response["status"]
        return status

    def cancel(self, name: str, invocation: str) -> None:
        self._request("cancelaction", name=name, actionID=invocation)

    def _notifications(self, operation: str, name: str, member: str) -> Iterator[Any]:
        connection = self._connect()
        self._request(operation, connection, name=name)
        return (json.loads(text)[member] for text in iter(lambda: connection.recv(TIMEOUT), None))

    def observe(self, name: str) -> Iterator[Any]:
        return self._notifications("observeproperty", name, "value")

    def subscribe(self, name: str) -> Iterator[Any]:
        return self._notifications("subscribeevent", name, "data")

    def close(self) -> None:
        self._resources.close()


CLIENTS: dict[str, Callable[[dict[str, Any]], Client]] = {
    "http": HttpClient,
    "websocket": SocketClient,
}


def form_of(affordance: dict[str, Any], operation: str, scheme: str) -> dict[str, Any]:
    """Return the first form of a protocol for an operation."""
    return next(
        form
        for form in affordance["forms"]
        if form["href"].startswith(f"{scheme}:") and operation in operations_of(form)
    )


def operations_of(form: dict[str, Any]) -> list[str]:
    found = form["op"]
    return [found] if isinstance(found, str) else found


class Runner(uvicorn.Server):
    """Reports when the server accepts connections."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


@pytest.fixture
def server(tmp_path: Path) -> lt.ThingServer:
    return lt.ThingServer.from_things({"stage": Stage}, settings_folder=tmp_path / "settings")


@pytest.fixture
def url(server: lt.ThingServer) -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(server.app, log_level="warning", timeout_graceful_shutdown=1)
        runner = Runner(config)
        thread = threading.Thread(target=runner.run, args=([listener],))
        thread.start()
        assert runner.ready.wait(TIMEOUT)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        runner.should_exit = True
        thread.join(TIMEOUT)


@pytest.fixture(params=CLIENTS)
def open_client(request: pytest.FixtureRequest, url: str) -> Iterator[Callable[[str], Client]]:
    with contextlib.ExitStack() as clients:

        def open_client(path: str) -> Client:
            description = httpx2.get(f"{url}{path}", timeout=TIMEOUT).json()
            client = CLIENTS[request.param]({"base": f"{url}{path}"} | description)
            clients.callback(client.close)
            return client

        yield open_client


@pytest.fixture
def client(open_client: Callable[[str], Client]) -> Client:
    return open_client("/stage/")


@pytest.fixture
def description(url: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx2.get(f"{url}/stage/", timeout=TIMEOUT).json()
    return found


def expected_operations(part: str, affordance: dict[str, Any]) -> set[str]:
    if part == "actions":
        queried = set() if affordance["synchronous"] else {"queryaction", "cancelaction"}
        return {"invokeaction"} | queried
    if part == "events":
        return {"subscribeevent", "unsubscribeevent"}
    operations = {"readproperty"}
    if not affordance.get("readOnly"):
        operations.add("writeproperty")
    if affordance.get("observable"):
        operations |= {"observeproperty", "unobserveproperty"}
    return operations


@pytest.mark.parametrize("part", ["properties", "actions", "events"])
def test_each_affordance_has_forms_for_its_operations(
    description: dict[str, Any], client: Client, part: str
) -> None:
    assert description[part]
    for affordance in description[part].values():
        operations = {
            operation
            for form in affordance["forms"]
            if form["href"].startswith(f"{client.scheme}:")
            for operation in operations_of(form)
        }
        assert operations == expected_operations(part, affordance)


@pytest.mark.parametrize(("name", "value"), [("position", 0.0), ("temperature", 21.5)])
def test_reading(client: Client, name: str, value: float) -> None:
    assert client.read(name) == value


def test_writing(client: Client, server: lt.ThingServer) -> None:
    client.write("position", 2.5)
    assert client.read("position") == 2.5
    assert server.things["stage"].position == 2.5  # type: ignore[attr-defined]


def test_a_synchronous_action_returns_its_output(client: Client) -> None:
    assert client.invoke("double", {"number": 21}) == 42


def test_an_action_runs_to_its_end(client: Client, server: lt.ThingServer) -> None:
    invocation = client.invoke("move", {"to": 3})
    status = client.status("move", invocation)
    assert (status["status"], status["output"]) == ("completed", 3.0)
    assert status["href"].endswith(f"/stage/move/{invocation}")
    assert server.things["stage"].position == 3.0  # type: ignore[attr-defined]


def test_cancelling_ends_an_invocation(client: Client) -> None:
    invocation = client.invoke("wait")
    client.cancel("wait", invocation)
    assert client.status("wait", invocation)["status"] == "failed"
    with pytest.raises(RefusedError) as caught:
        client.cancel("wait", invocation)
    assert caught.value.problem["status"] == 409
    assert caught.value.problem["type"] == f"{PROBLEM}already-finished"


def test_observing_gives_the_values_in_order(client: Client, server: lt.ThingServer) -> None:
    values = client.observe("position")
    for position in (1.0, 2.0):
        server.things["stage"].position = position  # type: ignore[attr-defined]
        assert next(values) == position


def test_subscribing_gives_the_data_in_order(client: Client, server: lt.ThingServer) -> None:
    data = client.subscribe("arrived")
    for position in (1.0, 2.0):
        server.things["stage"].arrived.emit(position)  # type: ignore[attr-defined]
    assert [next(data), next(data)] == [1.0, 2.0]


UNKNOWN = str(uuid4())


def problem_of(client: Client, send: Callable[[Client], Any]) -> dict[str, Any]:
    """Return the problem that a request is answered with."""
    with pytest.raises(RefusedError) as caught:
        send(client)
    assert {"title", "detail", "instance"} <= set(caught.value.problem)
    return caught.value.problem


@pytest.mark.parametrize(
    ("send", "status", "problem_type"),
    [
        (lambda client: client.read("broken"), 500, "failure"),
        (lambda client: client.write("position", 11), 422, "validation"),
        (lambda client: client.write("position", "home"), 422, "validation"),
        (lambda client: client.invoke("move", {"to": "home"}), 422, "validation"),
        (lambda client: client.invoke("move", {}), 422, "validation"),
        (lambda client: client.invoke("fail"), 500, "action-failed"),
        (lambda client: client.status("move", UNKNOWN), 404, "invocation-not-found"),
        (lambda client: client.cancel("move", UNKNOWN), 404, "invocation-not-found"),
        (lambda client: client.observe("secret"), 406, "not-observable"),
    ],
)
def test_a_problem_is_the_same_in_every_protocol(
    client: Client, send: Callable[[Client], Any], status: int, problem_type: str
) -> None:
    problem = problem_of(client, send)
    assert (problem["status"], problem["type"]) == (status, f"{PROBLEM}{problem_type}")
    assert client.read("position") == 0.0


@pytest.mark.parametrize(
    ("send", "status", "problem_type"),
    [
        (lambda client: client.read("z"), 404, DRAFT_404),
        (lambda client: client.write("z", 1), 404, DRAFT_404),
        (lambda client: client.invoke("fly"), 404, DRAFT_404),
        (lambda client: client.write("serial", "S2"), 405, f"{PROBLEM}read-only"),
    ],
)
def test_an_unknown_affordance_or_operation_has_the_status_of_http(
    client: Client, send: Callable[[Client], Any], status: int, problem_type: str
) -> None:
    """Over HTTP, the URL or the method is unknown, so the status is enough (RFC 9457, 4.2.1).

    Over a WebSocket, an unknown affordance is one of the five kinds of the Web Thing Protocol.
    """
    problem = problem_of(client, send)
    expected = "about:blank" if client.scheme == "http" else problem_type
    assert (problem["status"], problem["type"]) == (status, expected)
    assert client.read("serial") == "S1"


def test_a_thing_is_exposed_while_the_server_runs(
    client: Client, open_client: Callable[[str], Client], server: lt.ThingServer
) -> None:
    server.add_thing(Stage(), "/late/")
    late = open_client("/late/")
    late.write("position", 5)
    assert (late.read("position"), client.read("position")) == (5.0, 0.0)
