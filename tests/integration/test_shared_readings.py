"""One instrument, many eyes: readings are shared, and followers hear of those that fail."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import httpx2
import pytest
from websockets.sync.client import connect

import labthings_fastapi as lt

EVENTS = {"Accept": "text/event-stream"}


class Meter(lt.Thing):
    """A meter whose readings last until the test lets them end."""

    level: float = lt.property(default=1.5)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.began: list[int] = []
        self.at_once = 0
        self.most_at_once = 0
        self.go = threading.Semaphore(0)
        self.begins = threading.Semaphore(0)
        self.error: Exception | None = None
        self._lock = threading.Lock()

    def _measure(self) -> int:
        with self._lock:
            self.began.append(len(self.began) + 1)
            number = self.began[-1]
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self.begins.release()
        assert self.go.acquire(timeout=30)
        with self._lock:
            self.at_once -= 1
        return number

    @lt.property
    def shared(self) -> int:
        return self._measure()

    @lt.property(shared=False)
    def single(self) -> int:
        return self._measure()

    @lt.property
    def other(self) -> int:
        return 7

    @lt.property(observable=0.01)
    def watched(self) -> float:
        if self.error is not None:
            raise self.error
        return 2.5


@pytest.fixture
def server() -> lt.ThingServer:
    return lt.ThingServer.from_things({"meter": Meter})


@pytest.fixture
def meter(server: lt.ThingServer) -> Any:
    return server.things["meter"]


@pytest.fixture
def url(server: lt.ThingServer, running_server: Any) -> str:
    return f"{running_server(server).url}/meter"


def get(url: str) -> Any:
    answer = httpx2.get(url, timeout=30, trust_env=False)
    assert answer.status_code == 200, answer.text
    return answer.json()


def waiting(server: lt.ThingServer, meter: Any, count: int) -> None:
    """Wait until so many requests wait for the next reading."""
    shared = server._interactions.of(meter).each_property["shared"]._shared
    while len(shared._waiting) < count:
        threading.Event().wait(0.002)


def test_who_asks_during_a_reading_gets_the_next_one_together(
    server: lt.ThingServer, meter: Any, url: str
) -> None:
    with ThreadPoolExecutor(12) as pool:
        first = pool.submit(get, f"{url}/shared")
        assert meter.begins.acquire(timeout=30)
        others = [pool.submit(get, f"{url}/shared") for _ in range(10)]
        waiting(server, meter, 10)
        meter.go.release()
        assert first.result(30) == 1
        assert meter.begins.acquire(timeout=30)
        meter.go.release()
        assert [other.result(30) for other in others] == [2] * 10
    assert meter.began == [1, 2]
    assert meter.most_at_once == 1


def test_a_slow_property_delays_no_other(server: lt.ThingServer, meter: Any, url: str) -> None:
    with ThreadPoolExecutor(60) as pool:
        slow = [pool.submit(get, f"{url}/shared") for _ in range(50)]
        assert meter.begins.acquire(timeout=30)
        waiting(server, meter, 49)
        assert get(f"{url}/other") == 7
        assert get(f"{url}/level") == 1.5
        meter.go.release(50)  # some may have asked too late for the second reading
        for each in slow:
            assert each.result(30) >= 1
        assert meter.most_at_once == 1


def test_each_request_has_its_own_reading_if_the_property_says_so(meter: Any, url: str) -> None:
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(get, f"{url}/single") for _ in range(3)]
        for _ in range(3):
            assert meter.begins.acquire(timeout=30)  # all three at once
        meter.go.release(3)
        assert sorted(each.result(30) for each in asked) == [1, 2, 3]


def test_a_client_that_leaves_costs_the_others_nothing(
    server: lt.ThingServer, meter: Any, url: str
) -> None:
    with ThreadPoolExecutor(4) as pool:
        leaving = httpx2.Client(trust_env=False, timeout=0.3)
        with pytest.raises(httpx2.ReadTimeout):
            leaving.get(f"{url}/shared")
        leaving.close()
        assert meter.begins.acquire(timeout=30)
        staying = pool.submit(get, f"{url}/shared")
        waiting(server, meter, 1)
        meter.go.release(2)
        assert staying.result(30) == 2
    assert meter.most_at_once == 1


def test_a_failed_reading_fails_for_all_who_shared_it_and_the_next_one_works(
    meter: Any, url: str
) -> None:
    meter.error = OSError("no answer")
    answer = httpx2.get(f"{url}/watched", timeout=30, trust_env=False)
    assert answer.status_code == 500
    assert "no answer" in answer.json()["detail"]
    meter.error = None
    assert get(f"{url}/watched") == 2.5


def test_a_reading_says_when_it_was_made(url: str) -> None:
    answer = httpx2.get(f"{url}/other", timeout=30, trust_env=False)
    assert datetime.fromisoformat(answer.headers["LabThings-Reading-Time"]).tzinfo is not None
    data = httpx2.get(f"{url}/level", timeout=30, trust_env=False)
    assert "LabThings-Reading-Time" not in data.headers


def test_a_stream_begins_with_the_present_value_if_asked(subscribe: Any) -> None:
    stream = subscribe("/meter/level?initial=true", **EVENTS)
    event = stream.next()
    assert (event["event"], event["data"]) == ("level", "1.5")
    assert "id" not in event
    assert datetime.fromisoformat(event["time"]).tzinfo is not None


def test_a_stream_of_all_properties_begins_with_all_that_can_be_observed(subscribe: Any) -> None:
    stream = subscribe("/meter/properties?initial=true", **EVENTS)
    first, second = stream.next(), stream.next()
    assert {first["event"]: first["data"], second["event"]: second["data"]} == {
        "level": "1.5",
        "watched": "2.5",
    }


def test_the_present_value_does_not_come_again_to_who_comes_back(
    meter: Any, subscribe: Any
) -> None:
    first = subscribe("/meter/level", **EVENTS)
    meter.level = 2.0
    seen = first.next()
    meter.level = 3.0
    first.next()
    again = subscribe("/meter/level?initial=true", **EVENTS, **{"Last-Event-ID": seen["id"]})
    event = again.next()
    assert (event["data"], event["id"] != "") == ("3.0", True)
    gone = subscribe("/meter/level?initial=true", **EVENTS, **{"Last-Event-ID": "earlier-5"})
    assert gone.next()["event"] == "gap"
    events = [gone.next() for _ in range(2)]
    assert events[-1]["data"] == "3.0"


def test_followers_are_told_when_a_reading_fails_and_when_it_works_again(
    meter: Any, subscribe: Any
) -> None:
    stream = subscribe("/meter/watched", **EVENTS)
    meter.error = OSError("no answer from the bridge")
    failed = stream.next()
    assert failed["event"] == "reading-failed"
    told = json.loads(failed["data"])
    assert told["name"] == "watched"
    assert "no answer from the bridge" in told["error"]["detail"]
    assert datetime.fromisoformat(told["timestamp"]).tzinfo is not None
    meter.error = None
    good = stream.next()
    assert (good["event"], good["data"]) == ("watched", "2.5")


def test_a_stream_begins_with_the_failure_if_there_is_no_value(meter: Any, subscribe: Any) -> None:
    meter.error = OSError("no answer")
    stream = subscribe("/meter/watched?initial=true", **EVENTS)
    assert stream.next()["event"] == "reading-failed"


def test_a_long_poll_is_answered_with_the_problem(meter: Any, url: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        poll = pool.submit(
            httpx2.get, f"{url}/watched?observe=longpoll", timeout=30, trust_env=False
        )
        while not meter._thing_server_interface.broker._subscriptions:
            threading.Event().wait(0.002)
        meter.error = OSError("no answer")
        answer = poll.result(30)
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "no answer" in answer.json()["detail"]


def test_sockets_hear_of_failed_readings(meter: Any, url: str) -> None:
    address = f"{url.replace('http', 'ws')}/ws"
    with connect(address, subprotocols=["webthingprotocol"]) as socket:  # type: ignore[list-item]
        request = {
            "messageType": "request",
            "operation": "observeproperty",
            "thingID": "meter",
            "messageID": "5d5a4f3e-2c1b-4a09-8877-66554433aa01",
            "name": "watched",
        }
        socket.send(json.dumps(request))
        assert json.loads(socket.recv(timeout=30))["messageType"] == "response"
        meter.error = OSError("no answer")
        notice = json.loads(socket.recv(timeout=30))
        assert notice["operation"] == "labthings:readingfailed"
        assert (notice["name"], notice["messageType"]) == ("watched", "notification")
        assert "no answer" in notice["error"]["detail"]
        meter.error = None
        assert json.loads(socket.recv(timeout=30))["value"] == 2.5


def test_older_clients_hear_of_failed_readings(meter: Any, url: str) -> None:
    with connect(f"{url.replace('http', 'ws')}/ws") as socket:
        socket.send(
            json.dumps({"messageType": "addPropertyObservation", "data": {"watched": True}})
        )
        meter.error = OSError("no answer")
        while True:
            message = json.loads(socket.recv(timeout=30))
            if message["messageType"] == "propertyError":
                break
        assert "no answer" in message["data"]["watched"]["detail"]


def test_a_failing_property_is_known_until_it_works(
    server: lt.ThingServer, meter: Any, url: str
) -> None:
    meter.error = OSError("no answer")
    httpx2.get(f"{url}/watched", timeout=30, trust_env=False)
    failures = server._interactions.failed_readings()
    assert "no answer" in failures["meter"]["watched"].problem["detail"]
    meter.error = None
    get(f"{url}/watched")
    assert server._interactions.failed_readings() == {}
