"""Things are opened and closed: in which order, by which threads, and when it fails."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading

import pytest

import labthings_fastapi as lt
from labthings_fastapi.concurrency.bounded_executor import Workers
from labthings_fastapi.exceptions import ThingStartError
from labthings_fastapi.server.thing_lifecycle import ThingLifecycle

calls: list[tuple[str, str, str]] = []


@pytest.fixture(autouse=True)
def fresh_calls():
    calls.clear()


def note(what, thing):
    calls.append((what, thing.name, threading.current_thread().name))


def order():
    return [f"{what} {name}" for what, name, _ in calls]


class Recorded(lt.Thing):
    def __enter__(self):
        note("enter", self)
        return self

    def __exit__(self, *_):
        note("exit", self)


class Camera(Recorded):
    stage: Recorded = lt.thing_slot("stage")


class AsyncNamed(lt.Thing):
    async def __aenter__(self):
        await asyncio.sleep(0)
        note("enter", self)

    async def __aexit__(self, *_):
        note("exit", self)


class AsyncDef(lt.Thing):
    async def __enter__(self):
        await asyncio.sleep(0)
        note("enter", self)

    async def __exit__(self, *_):
        note("exit", self)


class Failing(Recorded):
    stage: Recorded = lt.thing_slot("stage")

    def __enter__(self):
        raise OSError("no power")


class WriteStallTimer(Failing):
    def __enter__(self):
        sys.exit(1)


class FailingExit(Recorded):
    stage: Recorded = lt.thing_slot("stage")

    def __exit__(self, *_):
        super().__exit__()
        raise OSError("it will not close")


class LeavingExit(FailingExit):
    def __exit__(self, *_):
        note("exit", self)
        sys.exit(1)


def test_things_open_in_the_order_of_their_slots_and_close_in_reverse():
    server = lt.ThingServer.from_things({"cam": Camera, "stage": Recorded})
    with server.test_client() as client:
        assert order() == ["enter stage", "enter cam"]
        assert client.get("/health").json()["things"]["cam"]["state"] == "open"
    assert order() == ["enter stage", "enter cam", "exit cam", "exit stage"]
    assert server._health()["things"]["cam"]["state"] == "closed"


class Autofocus(Recorded):
    cam: Camera = lt.thing_slot()
    lamp: Recorded = lt.thing_slot("lamp")


def test_a_thing_that_needs_two_others_opens_after_both_and_closes_before_both():
    things = {"focus": Autofocus, "cam": Camera, "lamp": Recorded, "stage": Recorded}
    with lt.ThingServer.from_things(things).test_client():
        opened = [call.removeprefix("enter ") for call in order()]
    closed = [call.removeprefix("exit ") for call in order()[len(opened) :]]
    assert opened == ["stage", "cam", "lamp", "focus"]
    assert closed == opened[::-1]


def test_it_may_be_repeated():
    server = lt.ThingServer.from_things({"stage": Recorded})
    for _ in range(2):
        with server.test_client() as client:
            assert client.get("/health").json()["status"] == "running"
    assert order() == ["enter stage", "exit stage"] * 2


def test_both_run_on_worker_threads():
    with lt.ThingServer.from_things({"stage": Recorded}).test_client():
        pass
    assert len(calls) == 2
    assert all(thread.startswith("labthings-worker") for _, _, thread in calls)


@pytest.mark.parametrize("cls", [AsyncNamed, AsyncDef])
def test_both_may_be_async_and_then_run_on_a_loop_of_the_thing(cls):
    with lt.ThingServer.from_things({"stage": cls}).test_client():
        pass
    assert [(what, thread) for what, _, thread in calls] == [
        ("enter", "labthings-loop-stage"),
        ("exit", "labthings-loop-stage"),
    ]


@pytest.mark.parametrize(
    ("cls", "expected"), [(Failing, "OSError: no power"), (WriteStallTimer, "SystemExit: 1")]
)
def test_a_thing_that_cannot_start_is_named_and_the_others_are_closed_again(cls, expected, caplog):
    server = lt.ThingServer.from_things({"bad": cls, "stage": Recorded, "last": Recorded})
    with (
        caplog.at_level(logging.ERROR, "labthings_fastapi"),
        pytest.raises(ThingStartError, match=f"'bad' could not start: {expected}") as caught,
        server.test_client(),
    ):
        pass
    assert caught.value.thing == "bad"
    assert order() == ["enter stage", "exit stage"]
    assert [record.name for record in caplog.records] == ["labthings_fastapi.things.bad"]
    states = {name: entry["state"] for name, entry in server._health()["things"].items()}
    assert states == {"bad": "failing", "stage": "closed", "last": "closed"}


@pytest.mark.parametrize("cls", [FailingExit, LeavingExit])
def test_a_thing_that_fails_to_close_stops_no_other(cls, caplog):
    with (
        caplog.at_level(logging.ERROR, "labthings_fastapi"),
        lt.ThingServer.from_things({"bad": cls, "stage": Recorded}).test_client(),
    ):
        pass
    assert order()[-2:] == ["exit bad", "exit stage"]
    assert [record.name for record in caplog.records] == ["labthings_fastapi.things.bad"]


@pytest.mark.parametrize("error", [OSError("the network has gone"), SystemExit(1)])
def test_a_log_handler_that_raises_leaves_no_thing_open(let_logging_fail, error):
    let_logging_fail("labthings_fastapi.things", error)
    with lt.ThingServer.from_things({"stage": Recorded, "bad": FailingExit}).test_client():
        pass
    assert order()[-2:] == ["exit bad", "exit stage"]


class Slow(lt.Thing):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.began = threading.Event()

    def __exit__(self, *_):
        note("exit", self)

    def __enter__(self):
        return self

    @lt.action
    def wait(self) -> None:
        self.began.set()
        try:
            lt.cancellable_sleep(60)
        finally:
            note("stopped", self)


def test_runs_are_cancelled_before_their_thing_is_closed():
    server = lt.ThingServer.from_things({"slow": Slow})
    with server.test_client() as client:
        id = client.post("/slow/wait").json()["id"]
        assert server.things["slow"].began.wait(30)
    assert order() == ["stopped slow", "exit slow"]
    (run,) = server.action_manager.invocations
    assert (str(run.id), run.status.value) == (id, "cancelled")


class Queueing(lt.Thing):
    @lt.action(concurrency="queue", group="motion")
    def move(self):
        note("move", self)
        lt.cancellable_sleep(60)


def test_no_run_that_waits_in_line_begins_because_the_server_stops():
    server = lt.ThingServer.from_things({"stage": Queueing})
    with server.test_client() as client:
        for _ in range(100):
            assert client.post("/stage/move").status_code == 201
    assert order() == ["move stage"]
    assert {run.status.value for run in server.action_manager.invocations} == {"cancelled"}


class Bringing(Recorded):
    """Adds another Thing while the server starts."""

    server: lt.ThingServer

    def __enter__(self):
        adding = threading.Thread(target=self.server.add_thing, args=(Recorded(), "/late/"))
        adding.start()
        adding.join(30)
        return super().__enter__()


def test_a_thing_that_is_added_while_others_open_is_opened_before_the_server_runs():
    server = lt.ThingServer.from_things({"bringing": Bringing})
    server.things["bringing"].server = server
    with server.test_client() as client:
        assert order() == ["enter bringing", "enter late"]
        states = {
            name: each["state"] for name, each in client.get("/health").json()["things"].items()
        }
        assert states == {"bringing": "open", "late": "open"}
    assert order() == ["enter bringing", "enter late", "exit late", "exit bringing"]


class Alone(lt.Thing):
    def __enter__(self):
        raise OSError("no power")


def test_a_tolerant_server_that_opens_one_more_still_names_the_failed_ones():
    server = lt.ThingServer.from_things({"alone": Alone, "bringing": Bringing}, tolerant=True)
    server.things["bringing"].server = server
    with server.test_client() as client:
        things = client.get("/health").json()["things"]
        states = {name: each["state"] for name, each in things.items()}
        assert states == {"alone": "failing", "bringing": "open", "late": "open"}
        assert "no power" in things["alone"]["error"]


class Patient(Recorded):
    """Takes its time to open."""

    def __init__(self):
        self.inside, self.go_on = threading.Event(), threading.Event()

    def __enter__(self):
        self.inside.set()
        self.go_on.wait(30)
        return super().__enter__()


class PatientButFailing(Patient):
    def __exit__(self, *_):
        super().__exit__()
        sys.exit("it will not close")


@pytest.mark.parametrize("cls", [Patient, PatientButFailing])
def test_a_thing_that_opens_while_the_server_stops_is_closed_again(cls, caplog):
    server, patient = lt.ThingServer.from_things({}), cls()
    adding = threading.Thread(target=server.add_thing, args=(patient, "/patient/"))
    with server.test_client():
        adding.start()
        patient.inside.wait(30)
    patient.go_on.set()
    adding.join(30)
    assert order() == ["enter patient", "exit patient"]
    assert ("failed while it was closed" in caplog.text) == (cls is PatientButFailing)
    with server.test_client():
        assert order() == ["enter patient", "exit patient", "enter patient"]


class Never(Recorded):
    """Comes when it is too late."""


def stop_while_one_opens(timeout, is_patient):
    """Close a ThingLifecycle while its second Thing opens; if patient, let that end first."""

    async def main():
        lifecycle, patient = ThingLifecycle(Workers("test-worker")), Patient()
        opening = asyncio.create_task(lifecycle.open([Recorded(), patient, Never()]))
        await asyncio.to_thread(patient.inside.wait, 30)
        closing = asyncio.create_task(lifecycle.close(timeout))
        if not is_patient:
            await closing
        asyncio.get_running_loop().call_soon(patient.go_on.set)  # once the closing has begun
        await opening
        await closing
        await lifecycle.close()

    asyncio.run(main())


@pytest.mark.parametrize("timeout", [None, 60])
def test_a_close_while_a_thing_opens_closes_it_first_and_opens_no_other(timeout):
    stop_while_one_opens(timeout, is_patient=True)
    assert order() == ["enter Recorded", "enter Patient", "exit Patient", "exit Recorded"]


def test_a_thing_that_does_not_get_open_keeps_no_other_from_being_closed(caplog):
    stop_while_one_opens(0.01, is_patient=False)
    assert order() == ["enter Recorded", "exit Recorded", "enter Patient", "exit Patient"]
    assert "did not open within" in caplog.text
