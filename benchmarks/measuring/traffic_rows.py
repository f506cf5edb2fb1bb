"""Rows about plain requests: how many a second."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING

from .load import Request, ask_times, load
from .row import Effort, at_least, at_most, row
from .subjects import COMPUTE, DESCRIBE, INVOKE, READ, WRITE, answering, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .processes import Server
    from .row import Measure

ALL = ("ours", "peer", "hololinked", "floor")
PAIR = ("ours", "peer")
WARM_UP = 200  # requests


def rate(server: Server, request: Request, effort: Effort, *, connections: int = 16) -> float:
    """Return answers per second or, on a busy machine, per second of the server's own time."""
    before = server.cpu_seconds
    found = load(server.port, request, connections=connections, seconds=effort.seconds)
    return found.requests / (server.cpu_seconds - before) if effort.busy else found.rate


@contextmanager
def _rate(subject: str, effort: Effort, request: Request) -> Iterator[Measure]:
    with answering(subject, request) as server:
        ask_times(server.port, request, WARM_UP)
        yield lambda: rate(server, request, effort)


@row(
    *("read", "read a data property, 16 connections", "1/s", ALL),
    *(at_least(0.6, "floor"), at_least(5, "peer")),
)
@contextmanager
def read(subject: str, effort: Effort) -> Iterator[Measure]:
    with _rate(subject, effort, READ) as measure:
        yield measure


@row(
    *("compute", "read a functional property", "1/s", ALL),
    *(at_least(0.45, "floor"), at_least(5, "peer")),
)
@contextmanager
def compute(subject: str, effort: Effort) -> Iterator[Measure]:
    with _rate(subject, effort, COMPUTE) as measure:
        yield measure


@row(
    *("write", "write a data property", "1/s", ALL),
    *(at_least(0.5, "floor"), at_least(5, "peer")),
)
@contextmanager
def write(subject: str, effort: Effort) -> Iterator[Measure]:
    with _rate(subject, effort, WRITE) as measure:
        yield measure


@row(
    *("invoke", "invoke a no-op, journaled", "1/s", (*ALL, "before")),
    *(at_least(2, "before"), at_least(5, "peer")),
)
@contextmanager
def invoke(subject: str, effort: Effort) -> Iterator[Measure]:
    with _rate(subject, effort, INVOKE) as measure:
        yield measure


@row("invoke-p99", "invoke, p99 with 10,000 retained", "ms", PAIR, at_most(0.25, "peer"))
@contextmanager
def invoke_tail(subject: str, effort: Effort) -> Iterator[Measure]:
    with serve(subject) as server:
        ask_times(server.port, INVOKE, effort.retained)
        yield lambda: load(server.port, INVOKE, seconds=effort.seconds).p99 * 1e3


@row("describe", "Thing Description GET", "1/s", (*PAIR, "floor"), at_least(0.6, "floor"))
@contextmanager
def describe(subject: str, effort: Effort) -> Iterator[Measure]:
    with _rate(subject, effort, DESCRIBE) as measure:
        yield measure


@row(
    *("describe-known", "Thing Description GET, conditional", "1/s", (*PAIR, "floor")),
    at_least(0.6, "floor"),
)
@contextmanager
def describe_known(subject: str, effort: Effort) -> Iterator[Measure]:
    with answering(subject, DESCRIBE) as server, server.connection() as connection:
        connection.send(DESCRIBE.method, DESCRIBE.path)
        etag = connection.receive_all()[2].get("etag", '"none"')
        known = replace(DESCRIBE, headers={"If-None-Match": etag})
        yield lambda: rate(server, known, effort)


@row(
    "twentieth", "cost of the 20th Thing's property, the first's being 1", "×", PAIR, at_most(1.05)
)
@contextmanager
def twentieth(subject: str, effort: Effort) -> Iterator[Measure]:
    things = {f"thing_{number}": "wide:20" for number in range(1, 21)}
    first, last = (Request("GET", f"/thing_{number}/value_0") for number in (1, 20))
    # In pairs of short turns: the machine's own changes are larger than what is looked for.
    short = replace(effort, seconds=effort.seconds / 4)
    with serve(subject, things) as server:

        def pair(order: tuple[Request, Request]) -> float:
            found = {request.path: rate(server, request, short) for request in order}
            return found[first.path] / found[last.path]

        def once() -> float:
            return median(pair(order) for order in [(first, last), (last, first)] * 4)

        yield once
