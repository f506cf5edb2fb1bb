"""The results of runs as tables: CSV, lines of JSON, streams of Arrow, and JSON."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import http.client
import io
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pytest
from fastapi.testclient import TestClient
from pydantic import BaseModel

import labthings_fastapi as lt
from labthings_fastapi.actions import results as results_module
from labthings_fastapi.actions import routes
from labthings_fastapi.actions.result_tables import ResultsLostError, ResultsTable

WAIT = {"Prefer": "wait=30"}
CSV, NDJSON = "text/csv", "application/x-ndjson"
ARROW = "application/vnd.apache.arrow.stream"


class Place(BaseModel):
    x: float
    y: float


class Point(BaseModel):
    index: int
    place: Place
    time: datetime
    value: float | None = None
    good: bool = True
    label: str = "a, b"
    trace: list[float] = []


NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Scanner(lt.Thing):
    """Yields rows; some wait until they are told to go on."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.go_on = threading.Semaphore(0)

    @lt.action
    def scan(self, n: int = 3) -> Iterator[Point]:
        for index in range(n):
            value = float("nan") if index == 1 else None if index == 2 else 0.5
            yield Point(
                index=index, place=Place(x=index, y=-1), time=NOON, value=value, trace=[1.0, 2.0]
            )

    @lt.action
    def slow(self, n: int = 3) -> Iterator[Point]:
        for point in self.scan(n=n):
            yield point
            self.go_on.acquire(timeout=60)

    @lt.action
    def untyped(self) -> Iterator[Any]:
        yield {"a": 1, "b": {"c": "x"}}
        self.go_on.acquire(timeout=60)
        yield {"a": 2.5, "d": [1]}

    @lt.action
    def numbers(self) -> Iterator[float]:
        yield from (0.5, 1.5)

    @lt.action
    def pairs(self) -> Iterator[tuple[int, str]]:
        yield (1, "one")

    @lt.action
    def listed(self) -> list[Place]:
        return [Place(x=1, y=2)]

    @lt.action
    def nothing(self) -> None:
        pass

    @lt.action
    def fails(self) -> Iterator[int]:
        yield 1
        raise RuntimeError("lamp")

    @lt.action
    def images(self) -> Iterator[np.ndarray]:
        yield np.zeros((200, 200))


def make_server(folder: Path) -> lt.ThingServer:
    return lt.ThingServer.from_things({"scanner": Scanner}, settings_folder=folder)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with make_server(tmp_path).test_client() as client:
        yield client


def run(client: TestClient, action: str, **input: Any) -> str:
    id: str = client.post(f"/scanner/{action}", json=input, headers=WAIT).json()["id"]
    return f"/action_invocations/{id}/results"


def rows_of(answer: Any) -> list[list[str]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith(CSV)
    return list(csv.reader(io.StringIO(answer.text)))


def arrow_of(answer: Any) -> Any:
    assert answer.status_code == 200, answer.text
    return pa.ipc.open_stream(answer.content).read_all()


def test_columns_come_from_the_hint_and_nested_ones_have_dots(client: TestClient) -> None:
    head, *rows = rows_of(client.get(run(client, "scan"), headers={"Accept": CSV}))
    assert head == ["index", "place.x", "place.y", "time", "value", "good", "label", "trace"]
    at = "2026-05-01T12:00:00Z"
    assert rows[0] == ["0", "0.0", "-1.0", at, "0.5", "true", "a, b", "[1.0,2.0]"]
    assert [row[4] for row in rows] == ["0.5", "NaN", ""]


def test_a_run_without_rows_still_has_its_head(client: TestClient) -> None:
    url = run(client, "scan", n=0)
    assert rows_of(client.get(url, headers={"Accept": CSV}))[0][0] == "index"
    assert arrow_of(client.get(url, headers={"Accept": ARROW})).num_rows == 0
    assert client.get(url).json() == []
    assert client.get(url, headers={"Accept": NDJSON}).content == b""


def test_arrow_has_typed_columns(client: TestClient) -> None:
    table = arrow_of(client.get(run(client, "scan"), headers={"Accept": ARROW}))
    types = {field.name: str(field.type) for field in table.schema}
    assert types == {
        "index": "int64",
        "place.x": "double",
        "place.y": "double",
        "time": "timestamp[us, tz=UTC]",
        "value": "double",
        "good": "bool",
        "label": "string",
        "trace": "string",
    }
    rows = table.to_pylist()
    assert rows[0]["time"] == NOON
    assert np.isnan(rows[1]["value"])
    assert rows[2]["value"] is None


def test_lines_of_json_and_json_are_the_values_themselves(client: TestClient) -> None:
    url = run(client, "scan")
    lines = client.get(url, headers={"Accept": NDJSON})
    assert lines.headers["content-type"] == NDJSON
    values = [json.loads(line) for line in lines.text.splitlines()]
    assert values == client.get(url).json() == client.get(url, headers={"Accept": "*/*"}).json()
    assert values[1]["place"] == {"x": 1.0, "y": -1.0}


def test_after_skips(client: TestClient) -> None:
    url = run(client, "scan")
    assert [each["index"] for each in client.get(f"{url}?after=2").json()] == [2]
    assert client.get(f"{url}?after=9").json() == []
    rows = rows_of(client.get(f"{url}?after=1", headers={"Accept": CSV}))
    assert [row[0] for row in rows] == ["index", "1", "2"]
    assert client.get(f"{url}?after=-1").status_code == 422


@pytest.mark.parametrize(
    ("action", "table"),
    [
        ("numbers", [["value"], ["0.5"], ["1.5"]]),
        ("pairs", [["0", "1"], ["1", "one"]]),
        ("listed", [["x", "y"], ["1.0", "2.0"]]),
        ("fails", [["value"], ["1"]]),
    ],
)
def test_other_values_are_tables_too(client: TestClient, action: str, table: Any) -> None:
    assert rows_of(client.get(run(client, action), headers={"Accept": CSV})) == table


def test_values_without_a_hint_lose_nothing(tmp_path: Path) -> None:
    server = make_server(tmp_path)
    with server.test_client() as client:
        server.things["scanner"].go_on.release()  # type: ignore[attr-defined]
        url = run(client, "untyped")
        head, *rows = rows_of(client.get(url, headers={"Accept": CSV}))
        assert (head, rows) == (["a", "b.c", "d"], [["1", "x", ""], ["2.5", "", "[1]"]])
        table = arrow_of(client.get(url, headers={"Accept": ARROW}))
        assert table["a"].to_pylist() == [1.0, 2.5]


def test_what_is_no_table_is_refused(client: TestClient, assert_problem: Any) -> None:
    assert_problem(client.get(run(client, "nothing")), 409)
    problem = assert_problem(client.get(run(client, "scan"), headers={"Accept": "image/png"}), 406)
    assert CSV in problem["detail"]
    missing = "/action_invocations/3d654bf1-6a5e-4d15-8f3e-0b1c2d3e4f50/results"
    assert_problem(client.get(missing), 404)


def test_without_pyarrow_the_extra_is_named(
    client: TestClient, assert_problem: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "has_arrow", lambda: False)
    problem = assert_problem(client.get(run(client, "scan"), headers={"Accept": ARROW}), 406)
    assert "extra `tables`" in problem["detail"]


def test_what_is_no_longer_kept_is_counted(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = (None, None, None, 4)
    monkeypatch.setattr(results_module.InvocationResults.__init__, "__defaults__", defaults)
    url = run(client, "scan", n=10)
    for accept in ("application/json", CSV, NDJSON, ARROW):
        answer = client.get(url, headers={"Accept": accept})
        assert answer.headers["labthings-results-dropped"] == "6"
    assert client.get(f"{url}?after=5").headers["labthings-results-dropped"] == "1"
    assert client.get(f"{url}?after=8").headers["labthings-results-dropped"] == "0"
    assert [each["index"] for each in client.get(f"{url}?after=8").json()] == [8, 9]


def test_a_recorded_run_has_its_table_after_a_restart(tmp_path: Path) -> None:
    with make_server(tmp_path).test_client() as client:
        url = run(client, "scan")
        head, *rows = rows_of(client.get(url, headers={"Accept": CSV}))
    with make_server(tmp_path).test_client() as client:
        assert rows_of(client.get(url, headers={"Accept": CSV})) == [head, *rows]
        assert arrow_of(client.get(url, headers={"Accept": ARROW})).num_rows == 3


def test_large_arrays_are_lists_in_json(client: TestClient) -> None:
    url = run(client, "images")
    assert np.array(client.get(url).json()).shape == (1, 200, 200)
    accept = {"Accept": "application/json, application/x-npy;q=0.1"}
    assert client.get(url, headers=accept).json()[0]["labthings:shape"] == [200, 200]


Start = Callable[[str, str], Any]


@pytest.fixture
def live(tmp_path: Path, running_server: Any) -> Iterator[tuple[Any, Start]]:
    """Return the Thing, and a function that starts an action and reads its table."""
    server = make_server(tmp_path)
    port = running_server(server.app).port
    with contextlib.ExitStack() as stack:

        def start(action: str, accept: str) -> Any:
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
                connection.request("POST", f"/scanner/{action}")
                id = json.loads(connection.getresponse().read())["id"]
            reading = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            stack.callback(reading.close)
            url = f"/action_invocations/{id}/results"
            reading.request("GET", url, headers={"Accept": accept})
            return stack.enter_context(reading.getresponse())

        yield server.things["scanner"], start


def line(answer: Any) -> str:
    text: str = answer.readline().decode().strip()
    return text


@pytest.mark.parametrize("accept", [CSV, NDJSON])
def test_rows_arrive_while_the_run_goes_on(live: tuple[Any, Start], accept: str) -> None:
    scanner, start = live
    answer = start("slow", accept)
    if accept == CSV:
        assert line(answer).startswith("index,place.x")
    lines = [line(answer)]
    for _ in range(2):  # each is sent before the next is made
        scanner.go_on.release()
        lines.append(line(answer))
    scanner.go_on.release()
    assert line(answer) == ""
    assert len({*lines}) == 3
    assert all(lines)


def test_members_that_come_later_have_a_column_of_their_own(live: tuple[Any, Start]) -> None:
    scanner, start = live
    answer = start("untyped", CSV)
    assert [line(answer), line(answer)] == ["a,b.c,others", "1,x,"]
    scanner.go_on.release()
    assert next(csv.reader([line(answer)])) == ["2.5", "", '{"d":[1]}']


def test_arrow_arrives_while_the_run_goes_on(live: tuple[Any, Start]) -> None:
    scanner, start = live
    stream = pa.ipc.open_stream(start("slow", ARROW))
    assert stream.read_next_batch()["index"].to_pylist() == [0]
    scanner.go_on.release(3)
    assert stream.read_all()["index"].to_pylist() == [1, 2]


def test_a_reader_that_is_too_slow_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = (None, None, None, 4)
    monkeypatch.setattr(results_module.InvocationResults.__init__, "__defaults__", defaults)
    server = make_server(tmp_path)
    scanner: Any = server.things["scanner"]

    async def read(id: UUID) -> None:
        table = ResultsTable(server.action_manager.get_invocation(id))
        assert await table.load()
        batches = table.batches(server.action_manager.broker, 0)
        await anext(batches)
        scanner.go_on.release(20)
        await asyncio.to_thread(ended, id)
        await anext(batches)

    with server.test_client() as client:

        def ended(id: UUID) -> None:
            url = f"/action_invocations/{id}"
            assert client.get(url, headers=WAIT).json()["status"] == "completed"

        id = UUID(client.post("/scanner/slow", json={"n": 20}).json()["id"])
        with pytest.raises(ResultsLostError, match="were dropped"):
            asyncio.run(read(id))


def test_after_the_end_and_before_the_first_value_a_table_ends_at_once(client: TestClient) -> None:
    url = run(client, "fails")
    assert client.get(f"{url}?after=5", headers={"Accept": NDJSON}).content == b""
