"""What a run leaves incomplete, or does against a request, is in every view of it."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Generator, Iterator

import pytest

import labthings_fastapi as lt
from labthings_fastapi.actions.results import KEPT_RESULTS

MORE = KEPT_RESULTS + 2000


class Scanner(lt.Thing):
    def __init__(self) -> None:
        super().__init__()
        self.began, self.asked = threading.Event(), threading.Event()

    @lt.action
    def scan(self, points: int) -> Iterator[int]:
        yield from range(points)

    @lt.action
    def scan_and_fail(self, points: int) -> Generator[int, None, str]:
        yield from range(points)
        raise OSError("no light")

    @lt.action
    async def scan_async_and_fail(self, points: int) -> AsyncIterator[int]:
        for point in range(points):
            yield point
        raise OSError("no light")

    @lt.action
    def scan_for_ever(self) -> Iterator[int]:
        yield from range(3)
        self.began.set()
        lt.cancellable_sleep(60)

    @lt.action
    def stubborn(self) -> str:
        self.began.set()
        self.asked.wait(30)
        return "done"

    @lt.action
    def swallowing(self) -> str:
        self.began.set()
        try:
            lt.cancellable_sleep(60)
        except BaseException:  # noqa: BLE001 - what such code does
            return "went on"
        return "was not asked"

    @lt.action
    def lose_a_plain_thread(self) -> str:
        thread = threading.Thread(target=self.readout, name="camera readout")
        thread.start()
        thread.join()
        return "scanned"

    def readout(self) -> None:
        raise OSError("camera buffer overflow")


@pytest.fixture
def client(tmp_path):
    server = lt.ThingServer.from_things({"s": Scanner}, settings_folder=tmp_path)
    with server.test_client() as client:
        client.scanner = server.things["s"]
        yield client


def views(client, run):
    """Return the run in LabThings words, in W3C words, in listings, as an event, in the journal."""
    id, action = run["id"], run["action"]
    events = client.get(f"/action_invocations/{id}/events").text
    return [
        client.get(f"/action_invocations/{id}").json(),
        client.get(f"{action}/{id}").json(),
        client.get("/action_invocations").json()[-1],
        client.get(action).json()[-1],
        client.get(f"/journal/{id}").json(),
        client.get("/journal").json()["records"][0],
        events,
    ]


def assert_told(client, run, name, value):
    *bodies, events = views(client, run)
    assert [body.get(name) for body in bodies] == [value] * 6
    text = str(value).lower() if isinstance(value, bool) else str(value)
    assert f'"{name}":{text}' in events


def test_results_that_are_no_longer_kept_are_counted_in_every_view_and_the_log(client):
    answer = client.post("/s/scan", json={"points": MORE}, headers={"Prefer": "wait=60"})
    run = answer.json()
    assert run["output"] == list(range(2000, MORE))
    assert run["resultsDropped"] == 2000
    assert_told(client, run, "resultsDropped", 2000)
    (line,) = run["log"]
    assert line["levelname"] == "WARNING"
    assert "yielded 12000 values" in line["message"]
    assert "the 2000 before them" in line["message"]


def test_a_run_that_kept_everything_says_nothing(client):
    run = client.post("/s/scan", json={"points": 3}, headers={"Prefer": "wait=30"}).json()
    assert "resultsDropped" not in run
    assert "partial" not in run
    assert run["log"] == []


@pytest.mark.parametrize("name", ["scan_and_fail", "scan_async_and_fail"])
def test_the_values_of_a_failed_run_are_its_output_and_partial(client, name):
    run = client.post(f"/s/{name}", json={"points": 3}, headers={"Prefer": "wait=30"}).json()
    assert (run["status"], run["output"]) == ("failed", [0, 1, 2])
    assert_told(client, run, "partial", True)
    assert client.get(f"/journal/{run['id']}").json()["output"] == [0, 1, 2]
    answer = client.get(f"/action_invocations/{run['id']}/output")
    assert (answer.status_code, answer.json()) == (200, [0, 1, 2])


def test_a_failed_run_without_values_has_no_output(client):
    run = client.post("/s/scan_and_fail", json={"points": 0}, headers={"Prefer": "wait=30"}).json()
    assert "output" not in run
    assert client.get(f"/action_invocations/{run['id']}/output").status_code == 409


def test_the_values_of_a_cancelled_run_are_its_output_and_partial(client):
    run = client.post("/s/scan_for_ever").json()
    assert client.scanner.began.wait(30)
    client.delete(run["href"])
    run = client.get(run["href"], headers={"Prefer": "wait=30"}).json()
    assert (run["status"], run["output"]) == ("failed", [0, 1, 2])
    assert_told(client, run, "partial", True)
    assert_told(client, run, "cancelRequested", True)


@pytest.mark.parametrize("name", ["stubborn", "swallowing"])
def test_a_cancel_that_was_asked_and_not_obeyed_is_in_every_view_and_the_log(client, name):
    run = client.post(f"/s/{name}").json()
    assert client.scanner.began.wait(30)
    assert client.delete(run["href"]).status_code == 204
    client.scanner.asked.set()
    run = client.get(run["href"], headers={"Prefer": "wait=30"}).json()
    assert run["status"] == "completed"
    assert run["output"] in {"done", "went on"}
    assert "asked it to stop" in run["phaseDetail"]
    assert_told(client, run, "cancelRequested", True)
    assert any("was asked to stop" in line["message"] for line in run["log"])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_exception_in_a_plain_thread_is_in_the_log_of_the_server(client, caplog):
    run = client.post("/s/lose_a_plain_thread", headers={"Prefer": "wait=30"}).json()
    assert run["status"] == "completed"
    assert "'camera readout' ended with OSError: camera buffer overflow" in caplog.text
