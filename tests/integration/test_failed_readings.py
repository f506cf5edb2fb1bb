"""Whoever follows a property hears of the first reading that fails, and of the next that works."""

from __future__ import annotations

import json
import threading
from datetime import datetime
from itertools import count

import httpx2
import pytest

import labthings_fastapi as lt
from labthings_fastapi.messages import stream as stream_module

EVENTS = {"Accept": "text/event-stream"}


class Bridge(lt.Thing):
    """An instrument whose answers the test chooses."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.value = 1.0
        self.attempts = count(1)
        self.go = threading.Event()
        self.readings_of_slow = 0

    def _ask(self):
        if isinstance(self.value, BaseException):
            raise self.value
        if self.value is None:
            raise OSError(f"no answer to question {next(self.attempts)}")
        return self.value

    @lt.property(observable=0.002)
    def polled(self) -> float:
        return self._ask()

    @lt.property(observable=True)
    def followed(self) -> float:
        return self._ask()

    @followed.setter
    def _set_followed(self, value: float) -> None:
        pass

    @lt.property(observable=True)
    def slow(self) -> float:
        self.readings_of_slow += 1
        assert self.go.wait(30)
        return self.value

    @lt.action
    def set_from_python(self) -> None:
        self.followed = 2.0


class Oven(lt.Thing):
    """A reading waits until the oven is warm."""

    @lt.property(observable=True)
    def temperature(self) -> float:
        lt.cancellable_sleep(60)
        return 2.0

    @lt.action
    def warm_up(self) -> None:
        self.properties["temperature"].publish()


@pytest.fixture
def server():
    return lt.ThingServer.from_things({"bridge": Bridge, "oven": Oven})


@pytest.fixture
def bridge(server):
    return server.things["bridge"]


@pytest.fixture
def url(port):
    return f"http://127.0.0.1:{port}/bridge"


def ask(method, url, **how):
    return httpx2.request(method, url, timeout=30, trust_env=False, **how)


def test_many_failures_in_a_row_are_told_once_though_each_has_other_words(bridge, subscribe):
    stream = subscribe("/bridge/polled", **EVENTS)
    bridge.value = None
    first = stream.next()
    assert first["event"] == "reading-failed"
    while next(bridge.attempts) < 20:
        threading.Event().wait(0.002)
    bridge.value = 3.0
    after = stream.next()
    assert (after["event"], after["data"]) == ("polled", "3.0")


def test_a_failure_names_the_thing_and_the_property_and_gives_the_reason(bridge, subscribe):
    stream = subscribe("/bridge/polled", **EVENTS)
    bridge.value = OSError("no answer")
    told = json.loads(stream.next()["data"])
    assert told["error"]["detail"] == "Property 'polled' of Thing 'bridge': OSError: no answer"
    assert (told["name"], told["error"]["status"]) == ("polled", 500)
    assert datetime.fromisoformat(told["timestamp"]).tzinfo is not None


@pytest.mark.parametrize(
    "unusual", ["warm", SystemExit("the driver left"), KeyboardInterrupt(), ValueError("no")]
)
def test_whatever_a_getter_returns_or_raises_is_told(bridge, subscribe, unusual):
    stream = subscribe("/bridge/polled", **EVENTS)
    bridge.value = unusual
    assert stream.next()["event"] == "reading-failed"
    bridge.value = 1.0
    assert stream.next()["data"] == "1.0"


@pytest.mark.parametrize("polling", [True, False])
def test_the_present_value_is_told_after_a_failure_though_it_is_the_last_one(
    bridge, subscribe, url, polling
):
    name = "polled" if polling else "followed"
    stream = subscribe(f"/bridge/{name}", **EVENTS)
    bridge.value = None
    assert ask("GET", f"{url}/{name}").status_code == 500
    assert stream.next()["event"] == "reading-failed"
    bridge.value = 1.0
    assert ask("GET", f"{url}/{name}").text == "1.0"
    assert stream.next()["data"] == "1.0"


def test_a_set_that_cannot_be_read_back_is_told_to_followers(bridge, subscribe, url):
    stream = subscribe("/bridge/followed", **EVENTS)
    bridge.value = None
    assert ask("PUT", f"{url}/followed", json=2.0).status_code == 204
    assert stream.next()["event"] == "reading-failed"
    bridge.value = 4.0
    assert ask("PUT", f"{url}/followed", json=4.0).status_code == 204
    assert stream.next()["data"] == "4.0"


def test_a_set_whose_value_comes_back_wrong_is_told_to_followers(bridge, subscribe, url):
    stream = subscribe("/bridge/followed", **EVENTS)
    bridge.value = "ERR 17"
    ask("PUT", f"{url}/followed", json=2.0)
    told = stream.next()
    assert told["event"] == "reading-failed"
    assert "ERR 17" in told["data"]


def test_what_cannot_be_read_back_in_an_action_is_told_to_followers(bridge, subscribe, url):
    stream = subscribe("/bridge/followed", **EVENTS)
    bridge.value = None
    ask("POST", f"{url}/set_from_python")
    assert stream.next()["event"] == "reading-failed"


def test_what_cannot_be_published_from_python_is_told_to_followers(bridge, subscribe):
    stream = subscribe("/bridge/followed", **EVENTS)
    bridge.value = None
    with pytest.raises(OSError, match="no answer"):
        bridge.properties["followed"].publish()
    assert stream.next()["event"] == "reading-failed"
    bridge.value = 5.0
    bridge.properties["followed"].publish()
    assert stream.next()["data"] == "5.0"


def test_a_value_published_from_python_ends_the_failure(server, bridge, subscribe, url):
    subscribe("/bridge/followed", **EVENTS)
    bridge.value = None
    ask("GET", f"{url}/followed")
    assert "followed" in server._interactions.failed_readings()["bridge"]
    bridge.value = 5.0
    bridge.properties["followed"].publish()
    assert "followed" not in server._interactions.failed_readings().get("bridge", {})


def test_a_cancelled_run_that_reads_is_no_failed_reading(server, url, ended):
    run = ask("POST", url.replace("bridge", "oven/warm_up")).json()
    ask("DELETE", run["href"])
    with httpx2.Client(trust_env=False, timeout=30) as client:
        assert "cancel" in str(ended(client, run["href"])["error"])
    assert server._interactions.failed_readings() == {}


def test_python_gets_the_error_of_the_driver_itself(bridge):
    bridge.value = None
    with pytest.raises(OSError, match="no answer"):
        _ = bridge.followed


def test_a_property_that_hangs_delays_no_other_of_the_same_stream(bridge, subscribe):
    stream = subscribe("/bridge/properties?initial=true", **EVENTS)
    present = {stream.next()["event"] for _ in range(2)}
    assert present == {"polled", "followed"}
    bridge.value = 8.0
    changed = stream.next()
    assert (changed["event"], changed["data"]) == ("polled", "8.0")
    bridge.go.set()
    assert stream.next()["event"] == "slow"


def test_an_older_present_value_does_not_come_after_a_newer_one(bridge, subscribe):
    stream = subscribe("/bridge/slow?initial=true", **EVENTS)
    while bridge.readings_of_slow == 0:
        threading.Event().wait(0.002)
    Bridge.slow.publish(bridge, 9.0)
    assert stream.next()["data"] == "9.0"
    bridge.go.set()
    bridge.properties["slow"].publish()
    after = stream.next()
    assert (after["data"], "id" in after) == ("1.0", True)


def test_a_stream_whose_present_value_hangs_is_kept_open_by_comments(
    bridge, subscribe, monkeypatch
):
    monkeypatch.setattr(stream_module, "KEEP_ALIVE_SECONDS", 0.01)
    stream = subscribe("/bridge/slow?initial=true", **EVENTS)
    assert stream.response.readline().startswith(b":")
    bridge.go.set()
    assert stream.next()["data"] == "1.0"


def test_who_observes_everything_on_a_socket_is_told(bridge, dial):
    socket = dial("/bridge/ws", ("webthingprotocol",))
    socket.ask("labthings:observeall", thingID="bridge")
    bridge.value = None
    message = socket.until(lambda each: each.get("kind") == "reading-failed")[-1]
    assert message["name"] == "polled"
    assert "no answer" in message["data"]["error"]["detail"]


def test_events_of_the_server_have_failures_with_their_origin(bridge, subscribe):
    stream = subscribe("/events", **EVENTS)
    bridge.value = None
    event = stream.next()
    while event["event"] != "reading-failed":
        event = stream.next()
    told = json.loads(event["data"])
    assert (told["thing"], told["name"], told["kind"]) == ("bridge", "polled", "reading-failed")
    assert "no answer" in told["data"]["error"]["detail"]
    assert datetime.fromisoformat(told["timestamp"]).tzinfo is not None


def test_openapi_describes_the_time_of_a_reading_and_the_present_value(url):
    operation = ask("GET", url.replace("/bridge", "/openapi.json")).json()["paths"]
    polled = operation["/bridge/polled"]["get"]
    assert "LabThings-Reading-Time" in polled["responses"]["200"]["headers"]
    assert "initial" in [each["name"] for each in polled["parameters"]]
    assert "204" not in polled["responses"]
