"""Look at values that change by themselves."""

from __future__ import annotations

import asyncio
import threading

import pytest

import labthings_fastapi as lt
from labthings_fastapi.actions import ActionManager
from labthings_fastapi.bindings.interaction.things import Interactions
from labthings_fastapi.concurrency.bounded_executor import Workers
from labthings_fastapi.messages.topic import Topic
from labthings_fastapi.server.polling import Poll, Poller


class Probe(lt.Thing):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.values = iter(())
        self.now = 0
        self.threads = set()

    @lt.property(observable=2.5)
    def value(self) -> float:
        self.threads.add(threading.current_thread())
        self.now = next(self.values, self.now)
        if isinstance(self.now, BaseException):
            raise self.now
        return self.now

    @lt.property(observable=True)
    def by_hand(self) -> int:
        raise AssertionError("this one is not polled")


@pytest.fixture
def probe():
    return Probe()


@pytest.fixture
def published(probe):
    with probe._thing_server_interface.broker.subscribe(Topic()) as subscription:
        yield lambda: [message.payload for message in subscription.take()]


def interactions():
    return Interactions(ActionManager(), Workers("test-poller"))


@pytest.fixture
def look(probe):
    """Look so many times, and return what was published after each."""

    def times(count, published):
        async def main():
            poll = Poll(probe, interactions().of(probe).each_property["value"])
            seen = []
            for _ in range(count):
                await poll()
                seen.append(published())
            return seen

        return asyncio.run(main())

    return times


def test_a_change_is_published_once_and_the_first_reading_is_not(probe, look, published):
    probe.values = iter([1.0, 1.0, 2.0, 2.0, 1.0])
    assert look(5, published) == [[], [], [b"2.0"], [], [b"1.0"]]


def test_a_getter_that_keeps_failing_is_logged_once_each_time(probe, look, published, caplog):
    broken = OSError("no answer")
    probe.values = iter([1.0, broken, broken, 1.0, 2.0, SystemExit(3), 2.0])
    first, failed, again, good, changed, exited, last = look(7, published)
    assert (first, again, changed) == ([], [], [b"2.0"])
    assert (good, last) == ([b"1.0"], [b"2.0"])  # also if it is as before the failure
    assert b"OSError: no answer" in failed[0]
    assert b"SystemExit: 3" in exited[0]
    logged = [record.getMessage() for record in caplog.records]
    assert logged == [
        "Property 'value' of Thing 'Probe' failed: OSError: no answer",
        "Property 'value' of Thing 'Probe' failed: SystemExit: 3",
    ]


def test_a_value_without_a_json_form_is_a_failure_too(probe, look, published, caplog):
    probe.values = iter([1.0, object(), 3.0])
    _, failed, good = look(3, published)
    assert b'"name":"value"' in failed[0]
    assert good == [b"3.0"]
    assert len(caplog.records) == 1


class Clock:
    """Sleeps end when the test calls `advance`."""

    def __init__(self):
        self.asked = []
        self._turns = asyncio.Queue()
        self.asleep = asyncio.Queue()

    async def sleep(self, seconds):
        self.asked.append(seconds)
        self.asleep.put_nowait(None)
        await self._turns.get()

    async def advance(self):
        """Let one sleeper go, and wait until it sleeps again."""
        self._turns.put_nowait(None)
        await self.asleep.get()


def test_it_looks_in_its_interval_on_a_worker_until_it_is_stopped(probe, published):
    async def main():
        clock = Clock()
        poller = Poller(interactions().of, clock.sleep)
        probe.values = iter([1.0, 2.0, 3.0, 4.0])
        poller.start([probe])
        await clock.asleep.get()
        await clock.advance()
        await clock.advance()
        await poller.stop()
        return clock.asked

    assert asyncio.run(main()) == [2.5, 2.5, 2.5]
    assert (published(), probe.now) == ([b"3.0"], 3.0)  # the newest of a property is enough
    assert threading.current_thread() not in probe.threads


def test_a_thing_may_come_later_and_from_another_thread(probe):
    async def main():
        clock = Clock()
        poller = Poller(interactions().of, clock.sleep)
        poller.start([])
        await asyncio.to_thread(poller.add, probe)
        await clock.asleep.get()
        await poller.stop()
        poller.add(probe)
        return clock.asked

    assert asyncio.run(main()) == [2.5]


def test_a_stuck_getter_delays_neither_other_things_nor_the_stop(probe):
    stuck = threading.Event()

    class Stuck(lt.Thing):
        @lt.property(observable=1.0)
        def value(self) -> int:
            stuck.wait(60)
            return 1

    async def main():
        clock = Clock()
        poller = Poller(interactions().of, clock.sleep)
        poller.start([Stuck(), probe])
        await clock.asleep.get()
        await clock.advance()
        await poller.stop()
        return clock.asked

    try:
        assert asyncio.run(main()) == [2.5, 2.5]
    finally:
        stuck.set()


def test_a_server_looks_while_it_runs(thing_server):
    class Drift(lt.Thing):
        count = 0

        @lt.property(observable=0.001)
        def value(self) -> int:
            self.count += 1
            return self.count

    class Late(Drift):
        pass

    running = thing_server({"drift": Drift})
    late = running.server.add_thing(Late(), "/late/")
    for thing in (running.server.things["drift"], late):
        seen, enough = [], threading.Event()

        def collect(value, seen=seen, enough=enough):
            seen.append(value)
            if len(seen) == 3:
                enough.set()

        watch = thing.properties["value"].observe(collect)
        assert enough.wait(30)
        watch.close()
        assert seen == sorted(set(seen))


def test_a_server_that_does_not_run_does_not_look():
    server = lt.ThingServer.from_things({"probe": Probe})
    probe = server.things["probe"]
    with server.test_client() as client:
        assert client.get("/probe/value").status_code == 200
    probe.threads.clear()
    with probe._thing_server_interface.broker.subscribe(Topic()) as published:
        probe.now = 5.0
        assert published.take() == []
    assert probe.threads == set()


def test_a_thing_that_could_not_start_is_left_alone():
    class Broken(Probe):
        def __enter__(self):
            raise OSError("no power")

        def __exit__(self, *args): ...

    server = lt.ThingServer({"things": {"broken": Broken, "probe": Probe}}, tolerant=True)
    broken, probe = server.things["broken"], server.things["probe"]
    looked = threading.Event()
    probe.values = iter(lambda: looked.set() or 0, None)
    with server.test_client():
        assert looked.wait(30)
    assert broken.threads == set()
