"""Rows about runs: how soon clients learn of them, what many of them cost."""

from __future__ import annotations

import json
import statistics
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .load import Request, ask_times, load
from .probe import Probe
from .row import Effort, at_most, row
from .subjects import INVOKE, READ, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .connection import Connection
    from .processes import Server
    from .row import Measure

PAIR = ("ours", "peer")
RUNS = "/action_invocations"
NAP = "/instrument/nap"
FINAL = ("completed", "cancelled", "error", "failed")
PATIENT = {"Prefer": "wait=30"}
"""Ours answers when the run has ended; the peer has no such header."""


def poll(connection: Connection, id: str, *statuses: str) -> None:
    """Ask for a run as fast as possible until it has one of these statuses."""
    while connection.json("GET", f"{RUNS}/{id}")["status"] not in statuses:
        pass


def await_end(subject: str, connection: Connection, run: dict[str, Any]) -> None:
    """Wait for the end of a run by the best means that a subject documents."""
    if subject == "peer":
        poll(connection, run["id"], *FINAL)
    else:
        connection.json("GET", urlsplit(run["href"]).path, headers=PATIENT)


def _p50(do: Callable[[Connection], float], server: Server, repeats: int) -> float:
    """Return the median in milliseconds, each time on a connection that was just used."""
    with server.connection() as connection:  # a server closes those that are quiet for long
        return statistics.median(do(connection) for _ in range(repeats)) * 1e3


@row("result", "invoke → result seen by the client, p50", "ms", PAIR, at_most(1.5, "peer"))
@contextmanager
def result(subject: str, effort: Effort) -> Iterator[Measure]:
    with serve(subject) as server:

        def once(connection: Connection) -> float:
            began = time.perf_counter()
            headers = PATIENT if subject == "ours" else {}
            run = connection.json("POST", INVOKE.path, INVOKE.body, headers)
            if run["status"] not in FINAL:
                poll(connection, run["id"], *FINAL)
            return time.perf_counter() - began

        yield lambda: _p50(once, server, effort.repeats)


@row("cancel", "DELETE → seen cancelled, p50", "ms", (*PAIR, "before"), at_most(0.6, "peer"))
@contextmanager
def cancel(subject: str, effort: Effort) -> Iterator[Measure]:
    with serve(subject) as server:

        def once(connection: Connection) -> float:
            run = connection.json("POST", NAP, b'{"seconds": 60}')
            poll(connection, run["id"], "running")
            began = time.perf_counter()
            connection.json("DELETE", urlsplit(run["href"]).path)
            await_end(subject, connection, run)
            return time.perf_counter() - began

        yield lambda: _p50(once, server, effort.repeats // 2)


def _page(subject: str) -> str:
    return f"{RUNS}?limit=100" if subject == "ours" else RUNS


def _milliseconds_for_page(server: Server, subject: str) -> float:
    def once(connection: Connection) -> float:
        began = time.perf_counter()
        connection.json("GET", _page(subject))
        return time.perf_counter() - began

    return _p50(once, server, 5)


@row("page", "first page (100) of 10,000 retained runs", "ms", PAIR)
@contextmanager
def page(subject: str, effort: Effort) -> Iterator[Measure]:
    with serve(subject) as server:
        ask_times(server.port, INVOKE, effort.retained)
        yield lambda: _milliseconds_for_page(server, subject)


@row("page-growth", "the same, that of 100 retained being 1", "×", PAIR, at_most(1.5))
@contextmanager
def page_growth(subject: str, effort: Effort) -> Iterator[Measure]:
    with serve(subject) as many, serve(subject) as few:
        ask_times(many.port, INVOKE, effort.retained)
        ask_times(few.port, INVOKE, 100)
        yield lambda: _milliseconds_for_page(many, subject) / _milliseconds_for_page(few, subject)


@row("page-reads", "read p99 while a client lists, idle being 1", "×", PAIR, at_most(2))
@contextmanager
def reads_while_listing(subject: str, effort: Effort) -> Iterator[Measure]:
    with serve(subject) as server:
        ask_times(server.port, INVOKE, effort.retained)

        def read() -> float:
            return load(server.port, READ, seconds=effort.seconds).p99

        def once() -> float:
            idle = read()
            over = threading.Event()

            def list_again_and_again() -> None:
                with server.connection() as connection:
                    while not over.wait(0.05):
                        connection.request("GET", _page(subject))

            lister = threading.Thread(target=list_again_and_again)
            lister.start()
            try:
                return read() / idle
            finally:
                over.set()
                lister.join()

        yield once


def _memory_per_run(server: Server, request: Request, first: int, then: int) -> float:
    """Return KiB for each retained run, once the memory for all runs has its full size."""
    request = replace(request, headers=PATIENT)
    ask_times(server.port, request, first, connections=4)
    before = server.settled_memory()
    ask_times(server.port, request, then, connections=4)
    return (server.settled_memory() - before) / then / 1024


@row("memory", "memory per retained no-op run", "KiB", PAIR, at_most(8))
@contextmanager
def memory(subject: str, effort: Effort) -> Iterator[Measure]:
    with serve(subject) as server:
        # The replay of messages and the caches of the journal are full after 3,500 runs.
        yield cache(lambda: _memory_per_run(server, INVOKE, 3500, effort.retained // 2))


@row("memory-log", "memory per retained run with 100 log lines", "KiB", PAIR, at_most(40))
@contextmanager
def memory_with_log(subject: str, effort: Effort) -> Iterator[Measure]:
    chat = Request("POST", "/instrument/chat", b'{"lines": 100}')
    with serve(subject) as server:
        yield cache(lambda: _memory_per_run(server, chat, 300, effort.retained // 20))


@row("log-line", "log line captured, over a NullHandler", "×", PAIR, at_most(2.5))
@contextmanager
def log_line(subject: str, effort: Effort) -> Iterator[Measure]:
    body = json.dumps({"lines": 1000, "passes": 9}).encode()
    with serve(subject) as server:

        def once() -> float:
            with server.connection() as connection:
                run = connection.json("POST", "/instrument/compare_loggers", body)
                await_end(subject, connection, run)
                return float(connection.json("GET", f"{RUNS}/{run['id']}/output"))

        yield once


NAPS = 1000


def _storm(server: Server) -> tuple[float, float]:
    """Start 1,000 naps of 1 s; return the seconds until all are over, and the reads' p99 in ms."""
    nap = Request("POST", NAP, b'{"seconds": 1.0}')
    with Probe(server.port, READ) as probe:
        before = _naps_done(server)
        began = time.perf_counter()
        ask_times(server.port, nap, NAPS, connections=32)
        while _naps_done(server) < before + NAPS:
            time.sleep(0.02)
        return time.perf_counter() - began, probe.stop()


def _naps_done(server: Server) -> int:
    with server.connection() as connection:
        return int(connection.json("GET", "/instrument/naps_done"))


@row("naps", "1,000 naps of 1 s at once: until all are over", "s", PAIR, at_most(0.6, "peer"))
@contextmanager
def naps(subject: str, effort: Effort) -> Iterator[Measure]:
    with serve(subject, max_concurrent_runs=NAPS) as server:
        yield lambda: _storm(server)[0]


@row("naps-p99", "property read p99 meanwhile", "ms", PAIR, at_most(0.5, "peer"))
@contextmanager
def naps_tail(subject: str, effort: Effort) -> Iterator[Measure]:
    with serve(subject, max_concurrent_runs=NAPS) as server:
        yield lambda: _storm(server)[1]
