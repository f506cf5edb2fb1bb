"""Where clients continue that poll without `Last-Event-ID`."""

from __future__ import annotations

import pytest

from labthings_fastapi.bindings.http.poll_positions import KEPT_SECONDS, MAX_KEPT, PollPositions
from labthings_fastapi.bindings.http.request_response import HttpResponse


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Events:
    """Events 1, 2, 3 … of which each poll gets the one after its position."""

    def __init__(self, clock=None):
        self.positions = PollPositions(clock or Clock())
        self.last = 0

    def poll(self, port, **headers):
        """Let a client poll on a connection; return the number of its event, None if it waits."""
        response = request(port=port, **headers)
        seq, persistent = self.positions.take(response)
        number = int(seq) + 1 if seq is not None else self.last + 1
        if number > self.last:
            self.positions.gave_up(response, str(number - 1))
            return None
        self.positions.answered(response, str(number), persistent=persistent)
        return number


def request(host="192.0.2.1", port=1000, **headers):
    """A request of this client; nothing is read from it or sent."""
    raw = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    return HttpResponse({"headers": raw, "client": (host, port)}, None, None, "/stage/x")


@pytest.fixture
def events():
    return Events()


def start(events, *ports):
    """Let clients wait for the first event on these connections, and get it."""
    waiting = [(request(port=port), *events.positions.take(request(port=port))) for port in ports]
    assert all(seq in (None, "0") for _, seq, _ in waiting)
    events.last = 1
    for response, _, persistent in waiting:
        events.positions.answered(response, "1", persistent=persistent)


def test_a_client_continues_on_another_connection(events):
    start(events, 1)
    events.last = 3
    assert [events.poll(port) for port in (2, 3, 4)] == [2, 3, None]


def test_a_client_continues_on_the_same_connection(events):
    start(events, 1)
    events.last = 3
    assert [events.poll(1) for _ in range(3)] == [2, 3, None]


@pytest.mark.parametrize("order", ["AABB", "ABAB", "ABBA", "BBAA", "BABA", "BAAB"])
def test_two_clients_on_connections_of_their_own_get_each_event_once(events, order):
    ports = {"A": 1, "B": 2}
    start(events, *ports.values())
    events.last = 3
    seen = {"A": [], "B": []}
    for name in order:
        seen[name].append(events.poll(ports[name]))
    assert seen == {"A": [2, 3], "B": [2, 3]}


def test_two_clients_that_open_connections_share_no_event(events):
    start(events, 1, 2)
    events.last = 2
    assert [events.poll(3), events.poll(4)] == [2, 2]  # A, then B
    events.last = 4
    assert sorted(events.poll(port) for port in (5, 6, 7, 8)) == [3, 3, 4, 4]
    assert events.poll(9) is None


def test_a_new_client_takes_nothing_from_one_that_keeps_its_connection(events):
    start(events, 1)
    events.last = 2
    assert events.poll(2) == 2  # a new client, which could also be the old one
    assert events.poll(1) == 2
    assert events.poll(2) is None


def test_a_client_that_opens_a_new_connection_misses_nothing(events):
    start(events, 1)
    events.last = 2
    assert events.poll(1) == 2
    events.last = 4
    assert [events.poll(2), events.poll(2)] == [3, 4]


def test_a_client_that_is_gone_makes_others_repeat_events_for_a_while_only():
    clock = Clock()
    events = Events(clock)
    start(events, 1, 2)  # B never polls again
    for number in range(2, 20):
        clock.now += 1.0
        events.last = number
        last = [events.poll(number * 10), events.poll(number * 10 + 1)]
    assert last == [19, None]


def test_head_begins_with_new_events(events):
    events.last = 1
    events.positions.begin(request(port=1), "1")
    events.last = 2
    events.positions.begin(request(port=2), "2")
    events.last = 3
    assert events.poll(3) == 3


def test_head_of_a_new_client_takes_nothing_from_another(events):
    start(events, 1)
    events.last = 2
    events.positions.begin(request(port=2), "2")
    assert events.poll(3) == 2


def test_other_addresses_programs_and_credentials_are_other_clients():
    positions = PollPositions()
    positions.begin(request(user_agent="node"), "5")
    others = [
        request("192.0.2.2", user_agent="node"),
        request(user_agent="python"),
        request(user_agent="node", authorization="Bearer abc"),
    ]
    assert [positions.take(other)[0] for other in others] == [None, None, None]
    assert positions.take(request(user_agent="node"))[0] == "5"


@pytest.mark.parametrize(("seconds", "found"), [(-0.1, "5"), (0.1, None)])
def test_a_position_is_kept_for_a_while(seconds, found):
    clock = Clock()
    positions = PollPositions(clock)
    positions.begin(request(), "5")
    clock.now += KEPT_SECONDS + seconds
    assert positions.take(request())[0] == found


def test_only_the_latest_positions_are_kept():
    clock = Clock()
    positions = PollPositions(clock)
    for number in range(MAX_KEPT + 1):
        clock.now += 0.01
        positions.begin(request(f"host{number}"), str(number))
    assert positions.take(request("host0"))[0] is None
    assert positions.take(request("host1"))[0] == "1"
    assert positions.take(request(f"host{MAX_KEPT}"))[0] == str(MAX_KEPT)


def test_clients_without_an_address_are_one_client():
    positions = PollPositions()
    response = HttpResponse({"headers": [], "client": None}, None, None, "/stage/x")
    positions.begin(response, "1")
    assert positions.take(response)[0] == "1"
