"""How many connections there may be, and that none is forgotten or counted twice."""

from __future__ import annotations

import asyncio
import json
import socket
import time

import pytest
import uvloop

from labthings_fastapi.server.web.connection_limits import (
    Connections,
    answer_of,
    too_many_connections,
)
from labthings_fastapi.server.web.limits import Limits


class From(asyncio.Transport):
    """A connection from an address, of which nothing else is asked."""

    def __init__(self, address: str) -> None:
        super().__init__({"peername": (address, 1)})


def test_one_address_leaves_room_for_others():
    async def fill() -> tuple[int, int, int]:
        connections = Connections(Limits(connections=8))
        greedy = [connections.admit(From("192.0.2.1")) for _ in range(10)]
        others = [connections.admit(From(f"192.0.2.{i}")) for i in range(2, 6)]
        return (
            sum(place is not None for place in greedy),
            sum(place is not None for place in others),
            len(connections),
        )

    assert asyncio.run(fill()) == (6, 2, 8)


def test_a_place_is_given_back_once():
    async def release_twice() -> list[int]:
        connections = Connections(Limits(connections=4))
        first, second = (connections.admit(From("192.0.2.1")) for _ in range(2))
        assert first is not None
        assert second is not None
        counts = [len(connections)]
        for place in (first, first, second, second):
            place.release()
            counts.append(len(connections))
        return counts

    assert asyncio.run(release_twice()) == [2, 1, 1, 0, 0]


def test_a_connection_that_fails_when_it_is_looked_at_does_not_hide_the_others(caplog):
    class Broken:
        def check(self, now: float) -> None:
            raise RuntimeError("broken")

    class Sound:
        def __init__(self) -> None:
            self.looked_at = asyncio.Event()

        def check(self, now: float) -> None:
            self.looked_at.set()

    async def sweep() -> None:
        connections = Connections(Limits(header_seconds=0.01))
        watched = [Broken(), Sound(), Broken()]
        for each in watched:
            connections.watch(each)
        async with asyncio.timeout(30):
            for _ in range(2):
                await watched[1].looked_at.wait()
                watched[1].looked_at.clear()
        for each in watched:
            connections.unwatch(each)

    asyncio.run(sweep())
    assert "A connection could not be checked" in caplog.text


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_after_a_loop_was_held_up_it_reads_what_came_before_it_judges_who_is_late(new_loop):
    """Or a server that stood still for a while would turn away all who wrote to it meanwhile."""
    ours, theirs = socket.socketpair()
    arrived: list[bytes] = []
    found: list[list[bytes]] = []

    class Client:
        def check(self, now: float) -> None:
            found.append(list(arrived))

    async def hold_up() -> None:
        client, connections = Client(), Connections(Limits(header_seconds=0.01))
        loop = asyncio.get_running_loop()
        # As loops do with a new connection: it is read from the next turn on.
        loop.call_soon(loop.add_reader, ours, lambda: arrived.append(ours.recv(1)))
        connections.watch(client)
        theirs.send(b"x")
        time.sleep(0.1)  # noqa: ASYNC251 # the fault itself: code that holds the loop up
        async with asyncio.timeout(30):
            while not found:  # noqa: ASYNC110 # the sweep is what is waited for
                await asyncio.sleep(0)
        connections.unwatch(client)
        loop.remove_reader(ours)

    with ours, theirs, asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(hold_up())
    assert found[0] == [b"x"]


def test_an_answer_is_whole_and_says_that_it_is_the_last():
    head, _, body = answer_of(too_many_connections()).partition(b"\r\n\r\n")
    status, *headers = head.decode().split("\r\n")
    fields = dict(header.split(": ", 1) for header in headers)
    assert status == "HTTP/1.1 503 Service Unavailable"
    assert fields["Content-Length"] == str(len(body))
    assert fields["Connection"] == "close"
    assert fields["Retry-After"] == "5"
    assert json.loads(body)["status"] == 503
