"""Rows about many clients that look at one value of an instrument that takes its time.

The rates are those of the clock also on a busy machine: an instrument that is waited for costs the
server no processor time.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from .load import load
from .row import Effort, at_least, at_most, row
from .subjects import MEASURE, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .processes import Server
    from .row import Measure

PAIR = ("ours", "peer")
CLIENTS = 30
CROWD = 200


@row(
    *("share", f"{CLIENTS} clients read a property whose getter takes 20 ms", "1/s", PAIR),
    at_least(20, "peer"),
)
@contextmanager
def share(subject: str, effort: Effort) -> Iterator[Measure]:
    with serve(subject) as server:
        yield lambda: load(server.port, MEASURE, connections=CLIENTS, seconds=effort.seconds).rate


@row("share-p99", "the same, p99", "ms", PAIR, at_most(60))
@contextmanager
def share_tail(subject: str, effort: Effort) -> Iterator[Measure]:
    with serve(subject) as server:

        def once() -> float:
            found = load(server.port, MEASURE, connections=CLIENTS, seconds=effort.seconds)
            return found.p99 * 1e3

        yield once


def _readings_done(server: Server) -> int:
    with server.connection() as connection:
        return int(connection.json("GET", "/instrument/readings_done"))


@row("share-asked", "the same, how often the instrument is asked", "1/s", PAIR, at_most(50))
@contextmanager
def share_readings(subject: str, effort: Effort) -> Iterator[Measure]:
    with serve(subject) as server:

        def once() -> float:
            before = _readings_done(server)
            found = load(server.port, MEASURE, connections=CLIENTS, seconds=effort.seconds)
            return (_readings_done(server) - before) / (found.requests / found.rate)

        yield once


@row("share-crowd", f"the same for {CROWD} clients, none refused: p99", "ms", ("ours",))
@contextmanager
def share_with_a_crowd(subject: str, effort: Effort) -> Iterator[Measure]:
    with serve(subject) as server:

        def once() -> float:
            found = load(server.port, MEASURE, connections=CROWD, seconds=effort.seconds)
            return found.p99 * 1e3

        yield once
