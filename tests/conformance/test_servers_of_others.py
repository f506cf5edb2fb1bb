"""Our clients, blocking and asynchronous, use Things of node-wot, hololinked and webthing.

`docs/standards.md` lists what each of these servers does in a way of its own.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import queue
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest

import labthings_fastapi as lt
from labthings_fastapi.client.feeds import EventFeed
from labthings_fastapi.exceptions import (
    ClientError,
    ClientPropertyError,
    FailedToInvokeActionError,
    ForeignAddressError,
    InvocationCancelledError,
    ServerActionError,
)

pytestmark = pytest.mark.timeout(150)  # Node needs half a minute, longer on a busy computer

# Where the description of the lamp is, below the address of the server.
PLACES = {
    "node-wot": "/lamp",
    # Otherwise it names the computer in every address, and not 127.0.0.1.
    "hololinked": "/lamp/resources/wot-td?use_localhost=true",
    "webthing": "/0",
}
ALL = pytest.mark.parametrize("name", PLACES)
TELLS_FAILURES = pytest.mark.parametrize("name", ["node-wot", "hololinked"])
LABTHINGS = (sys.executable, "-m", "labthings_fastapi.command")
INTERVAL = {"node-wot": None, "hololinked": None, "webthing": 0.01}


class Blocking:
    """The blocking client, in the words that the tests use for both."""

    def __init__(self, url):
        self.client = lt.ThingClient.from_url(url)

    def do(self, work):
        return work

    def close(self):
        self.client.close()


class Awaiting:
    """The asynchronous client, on an event loop of its own."""

    def __init__(self, url):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        try:
            self.client = self.do(lt.AsyncThingClient.from_url(url))
        except BaseException:
            self.stop()
            raise

    def do(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def close(self):
        self.do(self.client.close())
        self.stop()


@pytest.fixture(params=[Blocking, Awaiting])
def open_lamp(request, lamps):
    """Open the lamp of a server of others, in either client."""
    opened = []

    def connect(name):
        lamp = request.param(f"{lamps[name]}{PLACES[name]}")
        opened.append(lamp)
        return lamp

    yield connect
    for each in opened:
        each.close()


def read(lamp, name):
    return lamp.do(lamp.client.get_property(name))


def write(lamp, name, value):
    lamp.do(lamp.client.set_property(name, value))


def call(lamp, name, *args, **kwargs):
    return lamp.do(lamp.client.invoke_action(name, *args, **kwargs))


@ALL
def test_properties_are_read_and_written(open_lamp, name):
    lamp = open_lamp(name)
    write(lamp, "level", 7)
    assert read(lamp, "level") == 7
    assert read(lamp, "warm") in (True, False)


@ALL
def test_a_refused_value_is_an_error_and_changes_nothing(open_lamp, name):
    lamp = open_lamp(name)
    write(lamp, "level", 4)
    with pytest.raises(ClientPropertyError, match="set property level"):
        write(lamp, "level", 11)
    assert read(lamp, "level") == 4


@ALL
def test_a_property_that_may_not_be_written_is_refused_without_a_request(open_lamp, name):
    with pytest.raises(ClientPropertyError, match="may not be set"):
        write(open_lamp(name), "warm", True)


@ALL
def test_a_failed_reading_is_an_error_and_no_value(open_lamp, name):
    """Hololinked answers 200 with the traceback."""
    with pytest.raises(ClientPropertyError, match="get property broken") as caught:
        read(open_lamp(name), "broken")
    if name != "webthing":  # which tells no reason
        assert "no answer from the bulb" in str(caught.value)


@TELLS_FAILURES
def test_an_action_returns_its_output(open_lamp, name):
    assert call(open_lamp(name), "double", 21) == 42


def test_arguments_go_by_position_or_by_name(open_lamp):
    lamp = open_lamp("hololinked")
    assert call(lamp, "double", 4) == call(lamp, "double", number=4) == 8
    assert call(lamp, "wait", 0) == call(lamp, "wait", seconds=0) == "done"


@TELLS_FAILURES
def test_a_failed_action_tells_why(open_lamp, name):
    with pytest.raises(ServerActionError, match=r"(?s)fail failed with error.*filament is gone\."):
        call(open_lamp(name), "fail")


def test_a_failed_action_of_hololinked_shows_the_traceback(open_lamp):
    with pytest.raises(ServerActionError) as caught:
        call(open_lamp("hololinked"), "fail")
    assert "[RuntimeError]: The filament is gone." in str(caught.value)
    assert "SERVER TRACEBACK START:" in str(caught.value)
    assert caught.value.problem["title"] == "RuntimeError"


@pytest.mark.parametrize(
    ("name", "error"), [("hololinked", ServerActionError), ("webthing", FailedToInvokeActionError)]
)
def test_a_refused_input_is_an_error(open_lamp, name, error):
    with pytest.raises(error):
        call(open_lamp(name), {"hololinked": "double", "webthing": "blink"}[name], "many")


def test_an_action_may_take_longer_than_hololinked_waits_by_itself(open_lamp):
    """By itself it answers 408 after 5 s, and the action goes on."""
    assert call(open_lamp("hololinked"), "wait", 5.5) == "done"


def test_an_action_may_take_longer_than_other_answers_may(open_lamp, monkeypatch):
    monkeypatch.setattr("labthings_fastapi.client.steps.REQUEST_SECONDS", 0.1)
    monkeypatch.setattr("labthings_fastapi.client.protocol.REQUEST_SECONDS", 0.1)
    assert call(open_lamp("node-wot"), "wait", seconds=1.5) == "done"


def test_an_asynchronous_action_is_waited_for(open_lamp):
    lamp = open_lamp("webthing")
    run = lamp.do(lamp.client.start.blink(times=5))
    assert run.status in ("created", "pending")
    assert lamp.do(run.wait(30)) is True
    assert run.status == "completed"
    assert call(lamp, "blink", times=1) is None


def test_a_cancelled_run_says_so_also_when_the_server_forgets_it(open_lamp):
    lamp = open_lamp("webthing")
    run = lamp.do(lamp.client.start.blink(times=6000))
    assert lamp.do(run.cancel()) is True
    with pytest.raises(InvocationCancelledError):
        lamp.do(run.result(30))
    assert lamp.do(run.cancel()) is False


def test_a_run_that_has_ended_is_not_cancelled(open_lamp):
    """Webthing says yes to that, and forgets the run."""
    lamp = open_lamp("webthing")
    ended = lamp.do(lamp.client.start.blink(times=0))
    assert lamp.do(ended.wait(30)) is True
    run = lamp.do(lamp.client.start.blink(times=0))
    for other in (ended, run):
        other._state.members["status"] = "pending"  # as if it had not been asked since
    assert lamp.do(ended.cancel()) is False
    assert ended.status == "completed"


def test_an_action_of_webthing_that_fails_goes_on_for_ever(open_lamp):
    lamp = open_lamp("webthing")
    run = lamp.do(lamp.client.start.fail())
    assert lamp.do(run.wait(0.2)) is False
    assert run.status == "pending"


@contextmanager
def arriving(lamp, method, affordance, interval=None):
    """Put what comes into a queue while the block runs."""
    arrived = queue.Queue()
    follow = getattr(lamp.client, method)
    subscription = lamp.do(follow(affordance, arrived.put, interval=interval, on_error=arrived.put))
    try:
        yield arrived
    finally:
        lamp.do(subscription.close())


def until(arrived, count, act):
    """Act again and again until so many have come; the rest of what was caused may follow."""
    found = []
    while len(found) < count:
        act()
        try:
            found.append(arrived.get(timeout=0.05))
        except queue.Empty:
            continue
    return found


@ALL
def test_changes_of_a_property_arrive(open_lamp, name):
    lamp = open_lamp(name)
    levels = itertools.cycle(range(11))
    with arriving(lamp, "observe", "level", INTERVAL[name]) as arrived:
        # node-wot tells nothing that happens between two requests, so not every change comes.
        seen = until(arrived, 4, lambda: write(lamp, "level", next(levels)))
    assert len({value for value in seen if value in range(11)}) > 1, seen


def test_hololinked_tells_every_change(open_lamp):
    lamp = open_lamp("hololinked")
    with arriving(lamp, "observe", "level") as arrived:
        for value in (1, 2, 3, 4, 5):
            write(lamp, "level", value)
        assert [arrived.get(timeout=30) for _ in range(5)] == [1, 2, 3, 4, 5]


@ALL
def test_events_arrive_with_their_data(open_lamp, name):
    lamp = open_lamp(name)
    with arriving(lamp, "subscribe", "blinked", INTERVAL[name]) as arrived:
        found = until(arrived, 3, lambda: call(lamp, "blink", times=3))
    assert all(data["number"] in (0, 1, 2) for data in found), found


@pytest.mark.parametrize(("name", "times"), [("hololinked", 3), ("webthing", 20)])
def test_no_event_is_missed_once_a_subscription_has_begun(open_lamp, name, times):
    """Hololinked keeps three events for a subscriber; of more at once it drops the oldest."""
    lamp = open_lamp(name)
    with arriving(lamp, "subscribe", "blinked", INTERVAL[name]) as arrived:
        call(lamp, "blink", times=times)
        numbers = [arrived.get(timeout=30)["number"] for _ in range(times)]
    assert numbers == list(range(times))


def test_a_stream_that_is_silent_is_opened_again_and_that_is_no_failure(open_lamp, monkeypatch):
    """Hololinked sends nothing at all, no comment either, until something happens."""
    monkeypatch.setattr("labthings_fastapi.client.feeds.QUIET_SECONDS", 0.05)
    lamp = open_lamp("hololinked")
    opened = []
    opening = EventFeed._open

    def noted(feed):
        opened.append(feed)
        return opening(feed)

    monkeypatch.setattr(EventFeed, "_open", noted)
    with arriving(lamp, "subscribe", "blinked") as arrived:
        while len(opened) < 10:  # more often than it would try after failures
            time.sleep(0.01)
        assert arrived.empty()
        found = until(arrived, 1, lambda: call(lamp, "blink", times=1))
    assert found == [{"number": 0}]


def test_events_that_node_wot_joins_are_an_error_and_no_end(open_lamp):
    """It writes all events of one moment into one answer, without anything between them."""
    lamp = open_lamp("node-wot")
    with arriving(lamp, "subscribe", "blinked") as arrived:
        (joined,) = until(arrived, 1, lambda: call(lamp, "blink_at_once", times=2))
        assert isinstance(joined, ClientError)
        assert '{"number":0}{"number":1}' in str(joined)
        later = until(arrived, 5, lambda: call(lamp, "blink", times=1))
    assert {"number": 0} in later


def test_a_server_that_tells_no_changes_wants_an_interval(open_lamp):
    lamp = open_lamp("webthing")
    with pytest.raises(ClientError, match=r"observe\('level', callback, interval=1\)"):
        lamp.do(lamp.client.observe("level", print))
    with pytest.raises(ClientError, match=r"subscribe\('blinked', callback, interval=1\)"):
        lamp.do(lamp.client.subscribe("blinked", print))


def test_addresses_under_another_name_of_the_computer_are_refused_with_the_remedy(lamps):
    url = f"{lamps['hololinked']}/lamp/resources/wot-td"
    with (
        lt.ThingClient.from_url(url) as lamp,
        pytest.raises(ForeignAddressError, match="use that name in the URL"),
    ):
        _ = lamp.level


@ALL
def test_connect_takes_the_address_of_one_description(lamps, name):
    with lt.connect(f"{lamps[name]}{PLACES[name]}") as bench:
        assert list(bench) == ["Lamp"]
        bench.Lamp.level = 3
        assert bench.Lamp.level == 3


def test_connect_takes_a_list_of_descriptions(lamps):
    with lt.connect(lamps["webthing"]) as bench:
        assert list(bench) == ["Lamp", "Spare"]
        bench.Spare.level = 9
        bench.Lamp.level = 2
        assert (bench.Spare.level, bench.Lamp.level) == (9, 2)


@pytest.mark.parametrize("name", ["node-wot", "hololinked"])
def test_a_server_that_lists_nothing_is_refused_with_the_remedy(lamps, name):
    """Hololinked has no list, and that of node-wot is empty whatever it serves."""
    with pytest.raises(ClientError, match="Give the address of a Thing Description"):
        lt.connect(lamps[name])


def labthings(*words):
    """Run the command `labthings`."""
    ended = subprocess.run(
        [*LABTHINGS, *words],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    return ended.returncode, ended.stdout, ended.stderr


@ALL
def test_the_command_reads_writes_and_tells_refusals(lamps, name):
    server = ("--server", f"{lamps[name]}{PLACES[name]}")
    assert labthings("set", "Lamp.level", "6", *server)[0] == 0
    code, out, _ = labthings("get", "Lamp.level", "--json", *server)
    assert (code, json.loads(out)) == (0, 6)
    code, _, err = labthings("set", "Lamp.level", "11", *server)
    assert code != 0
    assert "level" in err


@TELLS_FAILURES
def test_the_command_runs_actions_and_tells_failures(lamps, name):
    server = ("--server", f"{lamps[name]}{PLACES[name]}")
    code, out, _ = labthings("run", "Lamp.wait", "seconds=0", *server)
    assert (code, out.strip()) == (0, "done")
    code, _, err = labthings("run", "Lamp.fail", *server)
    assert code == 1
    assert "The filament is gone." in err


def test_the_command_follows_events(lamps):
    url = f"{lamps['webthing']}/0"
    following = subprocess.Popen(
        [*LABTHINGS, "events", "Lamp.blinked", "--count=2", "--json", "--server", url],
        stdout=subprocess.PIPE,
        text=True,
    )
    with lt.ThingClient.from_url(url) as lamp:
        while following.poll() is None:
            lamp.blink(times=1)
            time.sleep(0.1)
    assert [json.loads(line)["data"] for line in following.stdout] == [{"number": 0}] * 2
    following.stdout.close()
