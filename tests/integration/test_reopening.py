"""A Thing that failed or was unplugged is opened again, without a restart of the server."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import tty

import pytest

import labthings_fastapi as lt
from labthings_fastapi.exceptions import (
    ActionBusyError,
    AffordanceDefinitionError,
    ServerNotRunningError,
    ThingNotFoundError,
    ThingStartError,
)

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pseudo terminals need POSIX")


class Cable:
    """A serial line that can be unplugged: a pseudo terminal, whose other end sends sevens."""

    def __init__(self):
        self.path = None
        self._instrument = self._computer = -1

    def plug(self):
        self._instrument, self._computer = os.openpty()
        tty.setraw(self._computer)
        os.write(self._instrument, b"7" * 100)
        self.path = os.ttyname(self._computer)

    def unplug(self):
        os.close(self._computer)
        os.close(self._instrument)


class Stage(lt.Thing):
    """A stage at a serial line."""

    cable: Cable
    speed: int = lt.setting(default=5)
    calls: list

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.calls, self.applied = [], None
        self.began, self.exit_error = threading.Event(), None

    def __enter__(self):
        self.calls.append("enter")
        self.line = os.open(self.cable.path, os.O_RDWR | os.O_NOCTTY)

    def __exit__(self, *_):
        self.calls.append("exit")
        os.close(self.line)
        if self.exit_error is not None:
            raise self.exit_error

    @lt.property(observable=True)
    def position(self) -> int:
        answer = os.read(self.line, 1)
        if not answer:
            raise OSError("the line was closed")
        return int(answer)

    @lt.setting
    def current(self) -> int:
        return self.applied or 0

    @current.setter
    def _set_current(self, value: int) -> None:
        self.applied = value

    @lt.action
    def wait(self) -> None:
        self.began.set()
        lt.cancellable_sleep(60)


class Focus(lt.Thing):
    """Uses the stage in its actions."""

    stage: Stage = lt.thing_slot()

    @lt.action
    def focus(self) -> None:
        self.stage.wait()

    @lt.action
    def keep(self) -> None:
        with lt.hold(self.stage):
            self.stage.began.set()
            lt.cancellable_sleep(60)


@pytest.fixture
def cable():
    cable = Cable()
    cable.plug()
    Stage.cable = cable
    return cable


@pytest.fixture
def server(tmp_path, cable):
    return lt.ThingServer.from_things(
        {"stage": Stage, "focus": Focus}, settings_folder=tmp_path / "settings"
    )


@pytest.fixture
def client(server):
    with server.test_client() as client:
        yield client


def test_an_instrument_that_was_unplugged_works_again(server, client, cable):
    assert client.get("/stage/position").json() == 7
    cable.unplug()
    assert client.get("/stage/position").status_code == 500
    broken = client.get("/health").json()["things"]["stage"]
    assert broken["state"] == "failing"
    assert broken["error"].startswith("Property 'position' of Thing 'stage': OSError")
    assert broken["since"]
    cable.plug()
    answer = client.post("/stage/reopen")
    assert (answer.status_code, answer.content) == (204, b"")
    assert server.things["stage"].calls == ["enter", "exit", "enter"]
    # What could not be read is read again, so the health is true at once.
    assert client.get("/health").json()["things"]["stage"] == {"class": "Stage", "state": "open"}
    assert client.get("/stage/position").json() == 7


def test_an_opening_that_fails_is_503_with_the_reason_and_can_be_repeated(
    client, cable, assert_problem
):
    cable.unplug()
    cable.path = "/dev/no-such-line"
    for _ in range(2):
        problem = assert_problem(client.post("/stage/reopen"), 503)
        assert "'stage' could not start: FileNotFoundError" in problem["detail"]
        stage = client.get("/health").json()["things"]["stage"]
        assert stage["state"] == "failing"
        assert "/dev/no-such-line" in stage["error"]
    assert_problem(client.get("/stage/position"), 503)
    assert client.get("/stage/speed").json() == 5
    assert client.put("/stage/speed", json=6).status_code == 204
    cable.plug()
    assert client.post("/stage/reopen").status_code == 204
    assert client.get("/stage/position").json() == 7


def test_settings_are_applied_again(server, client):
    stage = server.things["stage"]
    assert client.put("/stage/current", json=40).status_code == 204
    stage.applied = None
    assert client.post("/stage/reopen").status_code == 204
    assert stage.applied == 40


def test_an_exit_that_fails_is_logged_and_the_thing_is_opened(server, client, caplog):
    server.things["stage"].exit_error = OSError("it will not close")
    assert client.post("/stage/reopen").status_code == 204
    assert "it will not close" in caplog.text
    assert server.things["stage"].calls == ["enter", "exit", "enter"]
    server.things["stage"].exit_error = None


@pytest.mark.parametrize("action", ["stage/wait", "focus/focus", "focus/keep"])
def test_a_thing_that_an_invocation_uses_is_not_opened_again(
    action, server, client, assert_problem, ended
):
    stage = server.things["stage"]
    run = client.post(f"/{action}").json()["href"]
    assert stage.began.wait(30)
    problem = assert_problem(client.post("/stage/reopen"), 409)
    assert action in problem["detail"].replace(".", "/")
    with pytest.raises(ActionBusyError):
        server.reopen("stage")
    assert stage.calls == ["enter"]
    assert client.get("/stage/position").json() == 7
    assert client.delete(run).status_code == 204
    ended(client, run)
    assert client.post("/stage/reopen").status_code == 204


def test_it_can_be_done_from_python(server, client, cable):
    server.reopen("stage")
    assert server.things["stage"].calls == ["enter", "exit", "enter"]
    with pytest.raises(ThingNotFoundError, match="The Things are: stage, focus"):
        server.reopen("camera")
    cable.path = "/dev/no-such-line"
    with pytest.raises(ThingStartError, match="'stage' could not start"):
        server.reopen("stage")


def test_only_a_server_that_runs_opens_things(server):
    with pytest.raises(ServerNotRunningError, match="the server does not run"):
        server.reopen("stage")


def test_the_event_loop_of_the_server_cannot_wait_for_it(server, client):
    @server.app.get("/again")
    async def again():
        with pytest.raises(RuntimeError, match=r"asyncio\.to_thread"):
            server.reopen("stage")
        await asyncio.to_thread(server.reopen, "stage")

    assert client.get("/again").status_code == 200
    assert server.things["stage"].calls == ["enter", "exit", "enter"]


def test_a_stage_that_was_opened_again_is_still_closed_after_those_that_use_it(tmp_path):
    closed = []

    class Base(lt.Thing):
        def __enter__(self):
            pass

        def __exit__(self, *_):
            closed.append(self.name)

    class Upper(Base):
        lower: Base = lt.thing_slot("lower")

    server = lt.ThingServer.from_things({"upper": Upper, "lower": Base}, journal="memory")
    with server.test_client() as client:
        assert client.post("/lower/reopen").status_code == 204
    assert closed == ["lower", "upper", "lower"]


def test_an_affordance_of_that_name_keeps_its_path_with_one_warning(caplog):
    class Valve(lt.Thing):
        entered = 0

        def __enter__(self):
            self.entered += 1

        def __exit__(self, *_):
            pass

        @lt.action(synchronous=True)
        def reopen(self) -> str:
            return "the valve is open"

    class Door(lt.Thing):
        @lt.endpoint("post", "reopen")
        def open_it(self) -> str:
            return "the door is open"

    things = {"valve": Valve, "door": Door}
    with lt.ThingServer.from_things(things, journal="memory").test_client() as client:
        assert client.post("/valve/reopen").json() == "the valve is open"
        assert client.post("/door/reopen").json() == "the door is open"
    warnings = [each for each in caplog.records if "server.reopen(" in each.getMessage()]
    assert [each.name.rpartition(".")[2] for each in warnings] == ["valve", "door"]
    assert {each.levelno for each in warnings} == {logging.WARNING}


def test_a_thing_with_a_thread_of_its_own_is_opened_again_in_that_thread():
    threads = []

    class Own(lt.Thing, thread="own"):
        def __enter__(self):
            threads.append(threading.current_thread())

        def __exit__(self, *_):
            threads.append(threading.current_thread())

    with lt.ThingServer.from_things({"own": Own}, journal="memory").test_client() as client:
        assert client.post("/own/reopen").status_code == 204
    assert len(threads) == 4
    assert len(set(threads)) == 1


def test_a_thing_that_needs_one_that_is_not_open_says_so(cable):
    class Needs(lt.Thing):
        stage: Stage = lt.thing_slot()

        def __enter__(self):
            pass

        def __exit__(self, *_):
            pass

    cable.path, path = "/dev/no-such-line", cable.path
    things = {"stage": Stage, "needs": Needs}
    server = lt.ThingServer.from_things(things, journal="memory", tolerant=True)
    with server.test_client() as client:
        answer = client.post("/needs/reopen")
        assert answer.status_code == 503
        assert "it needs 'stage'" in answer.json()["detail"]
        cable.path = path
        assert client.post("/stage/reopen").status_code == 204
        # What waited for it is opened as well.
        things = client.get("/health").json()["things"]
        assert {name: each["state"] for name, each in things.items()} == {
            "stage": "open",
            "needs": "open",
        }


class Patient:
    """Sleeps as long as a test wants, and notes how long it was asked to."""

    def __init__(self):
        self.pauses = []
        self._turns = asyncio.Queue()
        self._asleep = asyncio.Queue()

    async def __call__(self, seconds):
        self.pauses.append(seconds)
        self._asleep.put_nowait(None)
        await self._turns.get()

    async def let_pass(self):
        """Let one pause end, and wait for the next."""
        self._turns.put_nowait(None)
        await self._asleep.get()


@pytest.fixture
def auto(tmp_path, cable):
    """Return a server whose stage is opened again by itself, and its pauses."""
    server = lt.ThingServer.from_things(
        {"stage": {"cls": Stage, "reopen": "auto"}}, settings_folder=tmp_path / "settings"
    )
    return server


def run(server, steps):
    """Run steps in the lifespan of a server, which are told when a pause of it ends."""

    async def main():
        patient = Patient()
        server._reopening._sleep = patient
        async with server.started():
            await patient._asleep.get()
            await steps(patient)
        return patient.pauses

    return asyncio.run(main())


def test_a_thing_that_opens_itself_again_does_so_after_a_failed_reading(auto, cable):
    stage = auto.things["stage"]

    async def steps(patient):
        await patient.let_pass()
        assert stage.calls == ["enter"]  # all is well
        cable.unplug()
        reading = auto._interactions.of(stage).each_property["position"]
        with pytest.raises(Exception, match="OSError"):
            await reading.read()
        for _ in range(2):  # it is not there yet
            await patient.let_pass()
        cable.plug()
        await patient.let_pass()
        assert stage.calls[-1] == "enter"
        assert await reading.read() == b"7"
        await patient.let_pass()

    assert run(auto, steps) == [1.0, 1.0, 2.0, 4.0, 4.0, 1.0]


def test_it_also_starts_without_the_thing_and_the_pauses_grow_to_a_minute(auto, cable):
    path, cable.path = cable.path, "/dev/no-such-line"

    async def steps(patient):
        assert auto._health()["things"]["stage"]["state"] == "failing"
        for _ in range(8):
            await patient.let_pass()
        cable.path = path
        await patient.let_pass()
        assert auto._health()["things"]["stage"]["state"] == "open"

    assert run(auto, steps) == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0, 60.0]


def test_the_class_says_it_and_the_configuration_wins(cable):
    class Auto(Stage, reopen="auto"):
        pass

    class Inherits(Auto):
        pass

    things = {"a": Inherits, "b": {"cls": Auto, "reopen": "manual"}, "c": Stage}
    server = lt.ThingServer.from_things(things, journal="memory")
    kinds = {name: thing._labthings_reopen for name, thing in server.things.items()}
    assert kinds == {"a": "auto", "b": "manual", "c": "manual"}


def test_another_word_is_refused_with_the_class():
    with pytest.raises(AffordanceDefinitionError, match="reopen='always' is not valid"):

        class Wrong(lt.Thing, reopen="always"):
            pass


def test_a_reopening_that_is_stuck_keeps_no_other_thing_from_being_closed():
    again, go_on, closed = threading.Event(), threading.Event(), []

    class Stuck(lt.Thing):
        opened = 0

        def __enter__(self):
            self.opened += 1
            if self.opened == 2:
                again.set()
                go_on.wait(30)

        def __exit__(self, *_):
            closed.append(self.name)

    class Lamp(lt.Thing):
        def __enter__(self):
            pass

        def __exit__(self, *_):
            closed.append(self.name)

    server = lt.ThingServer.from_things({"stuck": Stuck, "lamp": Lamp}, journal="memory")

    async def main():
        async with server.started():
            stuck = server.things["stuck"]
            reopening = asyncio.create_task(server._reopening.reopen(stuck))
            assert await asyncio.to_thread(again.wait, 30)
            with pytest.raises(ActionBusyError, match="being opened again already"):
                await server._reopening.reopen(stuck)
            await server._stop(1.0)
            assert closed == ["stuck", "lamp"]
        go_on.set()
        await asyncio.wait({reopening})

    asyncio.run(main())
