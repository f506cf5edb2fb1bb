"""Rows about followers of a property."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .followers import Followers
from .row import Effort, at_least, at_most, row
from .subjects import WRITE, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .row import Measure

PAIR = ("ours", "peer")
SUBSCRIBERS = 50


@row(
    "follow",
    "property set → 50 subscribers, notifications",
    "1/s",
    (*PAIR, "before"),
    at_least(2.5, "peer"),
)
@contextmanager
def follow(subject: str, effort: Effort) -> Iterator[Measure]:
    with serve(subject) as server, Followers(subject, server.port, SUBSCRIBERS) as followers:

        def once() -> float:
            followers.received = 0
            seconds = followers.write(WRITE, effort.repeats * 5)
            return followers.received / seconds

        yield once


@row(
    "follow-all",
    "share of followers that end up with the last value and no gap, with one that never reads",
    "",
    PAIR,
    at_least(1),
)
@contextmanager
def last_value_beside_a_stuck_one(subject: str, effort: Effort) -> Iterator[Measure]:
    values = itertools.count(1)
    with (
        serve(subject) as server,
        Followers(subject, server.port, SUBSCRIBERS, stuck=1) as followers,
    ):

        def once() -> float:
            last = f"{next(values)}.0625".encode()
            followers.write(WRITE, effort.repeats * 20, last=last)
            return followers.share_up_to_date(last)

        yield once


@row("follow-each", "share of all values that arrives, with one that never reads", "", PAIR)
@contextmanager
def follow_beside_a_stuck_one(subject: str, effort: Effort) -> Iterator[Measure]:
    times = effort.repeats * 20
    with (
        serve(subject) as server,
        Followers(subject, server.port, SUBSCRIBERS, stuck=1) as followers,
    ):

        def once() -> float:
            followers.received = 0
            followers.write(WRITE, times)
            return followers.received / times / SUBSCRIBERS

        yield once


@row("follow-memory", "memory that one that never reads costs", "MiB", PAIR, at_most(8))
@contextmanager
def memory_of_a_stuck_one(subject: str, effort: Effort) -> Iterator[Measure]:
    times = effort.repeats * 200
    with serve(subject) as server, Followers(subject, server.port, 0, stuck=1) as followers:

        def once() -> float:
            followers.write(WRITE, times // 2)
            before = server.settled_memory()
            followers.write(WRITE, times)
            return (server.settled_memory() - before) / 2**20

        yield once
