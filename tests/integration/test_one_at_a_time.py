"""Things that do one thing at a time: exclusive, with a thread of their own, or kept by one."""

from __future__ import annotations

import concurrent.futures
import contextlib
import contextvars
import http.client
import json
import logging
import os
import sqlite3
import threading

import pytest

import labthings_fastapi as lt
from labthings_fastapi.bindings.interaction import properties as client_reads
from labthings_fastapi.exceptions import ActionBusyError, AffordanceDefinitionError

pty = pytest.importorskip("pty", reason="there are no pseudo-terminals on Windows")
tty = pytest.importorskip("tty")


# --- exclusive ----------------------------------------------------------------------------


class Instrument:
    """A device at the far end of a serial line: it answers each question with a line."""

    def __init__(self):
        self._far, near = pty.openpty()
        tty.setraw(self._far)
        tty.setraw(near)
        self.port = os.ttyname(near)
        self._near = near
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()

    def _answer(self):
        with os.fdopen(self._far, "rb+", buffering=0) as line:
            rest = b""
            while data := line.read(64):
                *questions, rest = (rest + data).split(b"\n")
                for question in questions:
                    if question == b"end":
                        return
                    line.write(b"answer to " + question + b"\n")

    def end(self):
        os.write(self._near, b"end\n")
        self._thread.join(30)
        os.close(self._near)


class Meter(lt.Thing, exclusive=True):
    """Writes a question to one line and reads the answer from it, as most drivers do."""

    limit: float = lt.property(default=1.0)

    def __init__(self, port, **kwargs):
        super().__init__(**kwargs)
        self._line = open(port, "rb+", buffering=0)  # noqa: SIM115 - closed in `__exit__`

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._line.close()

    def ask(self, what):
        self._line.write(what.encode() + b"\n")
        return self._line.readline().decode().strip()

    @lt.property
    def volts(self) -> str:
        return self.ask("volts")

    @lt.property
    def amps(self) -> str:
        return self.ask("amps")

    @amps.setter
    def _set_amps(self, value: str):
        assert self.ask(f"set {value}") == f"answer to set {value}"

    @lt.property(observable=0.005)
    def ohms(self) -> str:
        return self.ask("ohms")

    @lt.action
    def measure(self) -> list[str]:
        return [self.ask("watts"), self.volts, self.ask("watts"), self.amps]

    @lt.endpoint("get", "raw")
    def raw(self) -> str:
        return self.ask("raw")


class Watcher(lt.Thing):
    """Uses the meter from code of its own, beside the clients."""

    meter: Meter = lt.thing_slot()

    @lt.action
    def watch(self) -> list[str]:
        return [answer for _ in range(10) for answer in (self.meter.volts, *self.meter.measure())]


def requests(port):
    """Return a function that makes one request after the other."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def request(method, path, body=None, **headers):
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        content = answer.read()
        return json.loads(content) if content else answer.status

    return contextlib.closing(connection), request


WATCHED = [f"answer to {what}" for what in ("volts", "watts", "volts", "watts", "amps")] * 10


def use_meter(port, number):
    """Use the meter as one client; return pairs of what came and what was wanted."""
    found = []
    closing, request = requests(port)
    with closing:
        for step in range(10):
            match (number + step) % 5:
                case 0 | 1:
                    name = ("volts", "amps")[number % 2]
                    found.append((request("GET", f"/meter/{name}"), f"answer to {name}"))
                case 2:
                    found.append((request("PUT", "/meter/amps", "3"), 204))
                case 3:
                    found.append((request("GET", "/meter/raw"), "answer to raw"))
                case _:
                    run = request("POST", "/meter/measure", Prefer="wait=30")
                    wanted = [f"answer to {what}" for what in ("watts", "volts", "watts", "amps")]
                    found.append((run["output"], wanted))
    return found


def test_answers_on_one_line_never_mix_up_whoever_asks(running_server):
    instrument = Instrument()
    server = lt.ThingServer.from_things(
        {"meter": {"cls": Meter, "args": [instrument.port]}, "watcher": Watcher},
        journal="memory",
    )
    port = running_server(server).port
    closing, request = requests(port)
    with closing, concurrent.futures.ThreadPoolExecutor(12) as pool:
        watching = pool.submit(lambda: request("POST", "/watcher/watch", Prefer="wait=60"))
        answers = [
            pair for found in pool.map(lambda n: use_meter(port, n), range(11)) for pair in found
        ]
        assert watching.result()["output"] == WATCHED
    assert [pair for pair in answers if pair[0] != pair[1]] == []
    instrument.end()


class Oven(lt.Thing, exclusive=True):
    """Bakes until it may go on; everything else has to wait meanwhile."""

    power: float = lt.property(default=0.0)
    readings = 0

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.baking, self.go_on = threading.Event(), threading.Event()
        self.order = []

    @lt.property(observable=0.01)
    def temperature(self) -> float:
        self.readings += 1
        return 20.0

    @temperature.setter
    def _set_temperature(self, value: float): ...

    @lt.action
    def bake(self) -> float:
        self.power = 3.0
        self.warm("inside")
        self.baking.set()
        while not self.go_on.wait(0.01):
            lt.raise_if_cancelled()
        return self.temperature

    @lt.action(concurrency="queue", group="warming")
    def warm(self, name: str) -> None:
        self.order.append(name)

    @lt.action(concurrency="reject", group="warming")
    def grill(self) -> None:
        self.order.append("grill")

    @lt.action(stop=True)
    def off(self) -> float:
        self.power = 0.0
        self.warm("stop")
        return self.temperature


class Kitchen(lt.Thing):
    oven: Oven = lt.thing_slot()

    @lt.action
    def look(self) -> float:
        return self.oven.temperature

    @lt.property
    def seen(self) -> float:
        return self.oven.temperature


@pytest.fixture
def kitchen(thing_server):
    return thing_server({"oven": Oven, "kitchen": Kitchen})


@pytest.fixture
def oven(kitchen):
    return kitchen.server.things["oven"]


@pytest.fixture
def baking(kitchen, oven, ended):
    href = kitchen.client.post("/oven/bake").json()["href"]
    assert oven.baking.wait(30)
    yield href
    oven.go_on.set()
    ended(kitchen.client, href)


@pytest.mark.parametrize(
    ("method", "path", "json"),
    [
        ("GET", "/oven/temperature", None),
        ("GET", "/oven/properties", None),
        ("PUT", "/oven/temperature", 30),
        ("PUT", "/oven/power", 1),
        ("PUT", "/oven/properties", {"power": 1}),
        ("POST", "/oven/power/reset", None),
        ("GET", "/kitchen/seen", None),
    ],
)
def test_a_client_that_waits_too_long_is_told_which_run_has_the_thing(
    kitchen, baking, assert_problem, monkeypatch, method, path, json
):
    monkeypatch.setattr(client_reads, "CLIENT_PATIENCE", 0.05)
    answer = kitchen.client.request(method, path, json=json)
    problem = assert_problem(answer, 503)
    assert problem["type"].endswith(":thing-busy")
    assert int(answer.headers["Retry-After"]) > 0
    assert baking.rpartition("/")[2] in problem["detail"]
    assert "/oven/bake" in problem["detail"]
    assert "oven" in problem["detail"]
    assert kitchen.client.get(baking).json()["log"] == []


def test_data_of_an_exclusive_thing_is_read_at_once(kitchen, baking):
    assert kitchen.client.get("/oven/power").json() == 3.0


def test_actions_of_an_exclusive_thing_wait_in_line_and_say_for_whom(kitchen, oven, baking, ended):
    client = kitchen.client
    waiting = client.post("/oven/warm", json={"name": "later"}).json()
    assert (waiting["status"], waiting["phase"]) == ("pending", "queued")
    assert baking.rpartition("/")[2] in waiting["phaseDetail"]
    oven.go_on.set()
    assert ended(client, waiting["href"])["status"] == "completed"
    assert "phaseDetail" not in ended(client, waiting["href"])
    assert oven.order == ["inside", "later"]


def test_what_is_refused_while_its_group_is_taken_waits_for_the_rest_of_the_thing(
    kitchen, oven, baking, ended, assert_problem
):
    waiting = kitchen.client.post("/oven/grill").json()
    assert waiting["phase"] == "queued"
    assert_problem(kitchen.client.post("/oven/grill"), 409)
    oven.go_on.set()
    assert ended(kitchen.client, waiting["href"])["status"] == "completed"


def test_an_emergency_stop_passes_with_all_that_it_does(kitchen, oven, baking, ended):
    stopped = kitchen.client.post("/oven/off", headers={"Prefer": "wait=30"}).json()
    assert stopped["output"] == 20.0
    assert kitchen.client.get(baking).json()["status"] == "running"
    assert oven.order == ["inside", "stop"]


def test_a_run_that_waits_for_a_thing_can_be_cancelled(kitchen, oven, baking, ended):
    client = kitchen.client
    queued = client.post("/oven/warm", json={"name": "never"}).json()["href"]
    reading = client.post("/kitchen/look").json()["href"]
    for href in (queued, reading):
        assert client.delete(href).status_code == 204
        assert ended(client, href)["error"]["type"].endswith(":cancelled")
    oven.go_on.set()
    ended(client, baking)
    assert oven.order == ["inside"]
    assert client.get("/oven/temperature").json() == 20.0


def test_the_poller_skips_a_thing_that_is_in_use(kitchen, oven, baking):
    before = oven.readings
    polled = threading.Event()
    # The poller reads a property of another Thing meanwhile, so it has had its time.
    for _ in range(20):
        polled.wait(0.005)
    assert oven.readings == before


def test_a_configuration_decides_for_one_thing(thing_server):
    running = thing_server(
        {
            "free": {"cls": Oven, "exclusive": False},
            "taken": {"cls": "labthings_fastapi.example_things:MyThing", "exclusive": True},
        }
    )
    free = running.server.things["free"]
    running.client.post("/free/bake")
    assert free.baking.wait(30)
    assert running.client.get("/free/temperature").json() == 20.0
    free.go_on.set()


# --- a thread of its own ------------------------------------------------------------------

COLOUR = contextvars.ContextVar("colour", default="none")


class Logbook(lt.Thing, thread="own"):
    """Keeps a database that only the thread that opened it may use."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.made_in = threading.current_thread()
        self.seen = []
        self.inside, self.go_on = threading.Event(), threading.Event()

    def note(self, what):
        self.seen.append((what, threading.current_thread()))

    def __enter__(self):
        self.note("enter")
        self.db = sqlite3.connect(":memory:")
        self.db.execute("create table entry (text)")
        return self

    def __exit__(self, *_):
        self.note("exit")
        self.db.close()

    @lt.property
    def entries(self) -> list[str]:
        self.note("get")
        return [text for (text,) in self.db.execute("select text from entry")]

    @entries.setter
    def _set_entries(self, value: list[str]):
        self.note("set")
        self.db.execute("delete from entry")
        self.db.executemany("insert into entry values (?)", [(text,) for text in value])

    title_line: str = lt.property(default="")

    @lt.setting
    def author(self) -> str:
        self.note("get author")
        return self._author

    _author = "nobody"

    @author.setter
    def _set_author(self, value: str):
        self.note("set author")
        self._author = value

    @lt.action
    def write(self, text: str) -> int:
        self.note("act")
        self.logger.info("Writing %s.", text)
        lt.progress(1, 2)
        self.entries = [*self.entries, text]
        return len(self.entries)

    @lt.action
    def each(self):
        for text in self.entries:
            self.note("yield")
            yield text

    @lt.action
    def wait(self) -> None:
        self.inside.set()
        while not self.go_on.wait(0.01):
            lt.raise_if_cancelled()

    @lt.action
    def fail(self) -> None:
        raise ValueError("no ink")

    @lt.action(stop=True)
    def stop(self) -> str:
        return threading.current_thread().name

    @lt.endpoint("get", "count")
    def count(self) -> int:
        return len(self.entries)

    def safe_state(self):
        self.note("safe")


class Writer(lt.Thing, thread="own"):
    """Writes into a logbook from a thread of its own."""

    book: Logbook = lt.thing_slot()

    @lt.action
    def compose(self) -> int:
        self.logger.info("Composing.")
        return self.book.write("a line")

    @lt.action
    def compose_all(self) -> list[str]:
        return [line.upper() for line in self.book.each()]


@pytest.fixture
def office(thing_server):
    return thing_server({"book": Logbook, "writer": Writer})


def test_all_code_of_such_a_thing_runs_in_one_thread(ended, tmp_path):
    server = lt.ThingServer.from_things({"book": Logbook}, settings_folder=tmp_path)
    with server.test_client() as client:
        book = server.things["book"]
        use_everything(client, book, ended)
    threads = {thread for _, thread in book.seen} | {book.made_in}
    assert len(threads) == 1
    assert threads.pop().name == "labthings-own-book"
    assert {"enter", "exit", "get", "set", "act", "yield", "safe", "set author"} <= {
        what for what, _ in book.seen
    }


def use_everything(client, book, ended):
    assert client.put("/book/entries", json=["a", "b"]).status_code == 204
    assert client.get("/book/entries").json() == ["a", "b"]
    assert (
        ended(client, client.post("/book/write", json={"text": "c"}).json()["href"])["output"] == 3
    )
    assert ended(client, client.post("/book/each").json()["href"])["output"] == ["a", "b", "c"]
    assert ended(client, client.post("/book/fail").json()["href"])["status"] == "failed"
    assert client.put("/book/author", json="Ada").status_code == 204
    assert client.get("/book/count").json() == 3
    assert book.entries == ["a", "b", "c"]
    book.entries = ["from Python"]
    assert book.write("more") == 2
    assert list(book.each()) == ["from Python", "more"]


def test_log_and_progress_in_that_thread_belong_to_the_run(office, ended):
    run = ended(office.client, office.client.post("/writer/compose").json()["href"])
    assert run["output"] == 1
    assert [line["message"] for line in run["log"]] == ["Composing.", "Writing a line."]
    assert run["progressDetail"]["done"] == 1
    runs = ended(office.client, office.client.post("/writer/compose_all").json()["href"])
    assert runs["output"] == ["A LINE"]


def test_a_run_in_that_thread_can_be_cancelled_and_a_stop_has_another_thread(office, ended):
    client, book = office.client, office.server.things["book"]
    href = client.post("/book/wait").json()["href"]
    assert book.inside.wait(30)
    waiting = client.post("/writer/compose").json()["href"]
    stopped = client.post("/book/stop", headers={"Prefer": "wait=30"}).json()
    assert stopped["output"] == "book.stop"
    assert client.delete(waiting).status_code == 204
    assert ended(client, waiting)["error"]["type"].endswith(":cancelled")
    assert client.get(href).json()["status"] == "running"
    assert client.delete(href).status_code == 204
    assert ended(client, href)["error"]["type"].endswith(":cancelled")
    assert ("safe", book.made_in) in book.seen
    assert client.get("/book/entries").json() == []


def test_context_variables_go_along(office):
    class Painter(lt.Thing, thread="own"):
        @lt.property
        def colour(self) -> str:
            return COLOUR.get()

        @lt.action
        def paint(self) -> tuple[str, str]:
            return COLOUR.get(), threading.current_thread().name

    painter = Painter()
    token = COLOUR.set("blue")
    assert painter.colour == "blue"
    assert painter.paint() == ("blue", "labthings-own-Painter")
    COLOUR.reset(token)
    assert painter.colour == "none"


class Ping(lt.Thing, thread="own"):
    other: Pong = lt.thing_slot()

    @lt.action
    def serve(self, times: int = 1) -> str:
        return self.other.answer(times)

    @lt.action
    def hit(self, times: int) -> str:
        return f"ping {self.other.answer(times)}" if times else "out"


class Pong(lt.Thing, thread="own"):
    other: Ping = lt.thing_slot()

    @lt.action
    def answer(self, times: int) -> str:
        return f"pong {self.other.hit(times - 1)}" if times > 1 else "pong"


def test_two_such_things_call_one_way_and_in_a_circle_both_are_named(thing_server, ended):
    running = thing_server({"ping": Ping, "pong": Pong})
    client = running.client
    assert ended(client, client.post("/ping/serve").json()["href"])["output"] == "pong"
    failed = ended(client, client.post("/ping/serve", json={"times": 2}).json()["href"])
    assert failed["status"] == "failed"
    assert failed["error"]["type"].endswith(":busy")
    assert "'ping'" in failed["error"]["detail"]
    assert "'pong'" in failed["error"]["detail"]
    with pytest.raises(ActionBusyError, match="ping → pong → ping"):
        running.server.things["ping"].serve(2)
    assert ended(client, client.post("/ping/serve").json()["href"])["output"] == "pong"


def test_async_members_are_refused_when_the_class_is_made():
    with pytest.raises(AffordanceDefinitionError, match=r"Camera.*thread='own'.*grab, helper"):

        class Camera(lt.Thing, thread="own"):
            @lt.action
            async def grab(self) -> None: ...

            async def helper(self) -> None: ...


def test_async_members_are_refused_when_the_configuration_asks_for_a_thread(thing_server):
    class Camera(lt.Thing):
        @lt.action
        async def grab(self) -> None: ...

    with pytest.raises(ValueError, match=r"things\.cam.*thread='own'.*grab"):
        lt.ThingServer.from_things({"cam": {"cls": Camera, "thread": "own"}}, journal="memory")


def test_a_thing_that_is_stuck_in_its_thread_is_closed_all_the_same(tmp_path, caplog):
    class Stuck(lt.Thing, thread="own"):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.inside, self.go_on, self.closed = (threading.Event() for _ in range(3))

        def __exit__(self, *_):
            self.closed.set()

        @lt.action
        def hang(self) -> None:
            self.inside.set()
            self.go_on.wait(60)

    server = lt.ThingServer.from_things(
        {"stuck": Stuck}, shutdown_timeout=0.1, settings_folder=tmp_path
    )
    stuck = server.things["stuck"]
    with caplog.at_level(logging.WARNING), server.test_client() as client:
        client.post("/stuck/hang")
        assert stuck.inside.wait(30)
    assert stuck.closed.is_set()
    assert "stuck" in caplog.text
    stuck.go_on.set()
