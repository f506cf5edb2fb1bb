"""How the cost grows: with Things, affordances, retained runs, subscribers and runs at once."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .followers import Followers
from .load import Request, ask_times, load
from .run_rows import NAP
from .subjects import INVOKE, READ, WRITE, serve
from .traffic_rows import rate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from .processes import Server
    from .row import Effort

    Case = Callable[[int, Effort], AbstractContextManager[Callable[[], float]]]


@dataclass(frozen=True)
class Growth:
    """A measurement at several sizes."""

    key: str
    what: str
    unit: str
    sizes: tuple[int, ...]
    case: Case


GROWTHS: dict[str, Growth] = {}


def _growth(key: str, what: str, unit: str, *sizes: int) -> Callable[[Case], Case]:
    def make(case: Case) -> Case:
        GROWTHS[key] = Growth(key, what, unit, sizes, case)
        return case

    return make


def _things(count: int, affordances: int) -> Mapping[str, str]:
    return {f"thing_{number}": f"wide:{affordances}" for number in range(1, count + 1)}


@contextmanager
def _reading_the_last(things: Mapping[str, str], effort: Effort) -> Iterator[Callable[[], float]]:
    last = Request("GET", f"/{list(things)[-1]}/value_0")
    with serve("ours", things) as server:
        ask_times(server.port, last, 200)
        yield lambda: rate(server, last, effort)


@_growth("things", "reads of the last Thing's property, by Things", "1/s", 1, 20, 100)
@contextmanager
def _by_things(size: int, effort: Effort) -> Iterator[Callable[[], float]]:
    with _reading_the_last(_things(size, 20), effort) as measure:
        yield measure


@_growth("affordances", "reads, by affordances of the Thing", "1/s", 10, 100, 400)
@contextmanager
def _by_affordances(size: int, effort: Effort) -> Iterator[Callable[[], float]]:
    with _reading_the_last(_things(1, size), effort) as measure:
        yield measure


@_growth("start", "start until it answers, by Things of 20 affordances", "ms", 1, 20, 100)
@contextmanager
def _start_by_things(size: int, effort: Effort) -> Iterator[Callable[[], float]]:
    def once() -> float:
        with serve("ours", _things(size, 20)) as server:
            return (server.cpu_seconds if effort.busy else server.ready_after) * 1e3

    yield once


@_growth("retained", "invocations of a no-op, by retained runs", "1/s", 0, 1000, 9000)
@contextmanager
def _by_retained(size: int, effort: Effort) -> Iterator[Callable[[], float]]:
    with serve("ours") as server:
        ask_times(server.port, INVOKE, size)
        yield lambda: rate(server, INVOKE, effort)


@_growth("subscribers", "notifications, by subscribers", "1/s", 1, 10, 50, 200)
@contextmanager
def _by_subscribers(size: int, effort: Effort) -> Iterator[Callable[[], float]]:
    with serve("ours") as server, Followers("ours", server.port, size) as followers:

        def once() -> float:
            followers.received = 0
            seconds = followers.write(WRITE, effort.repeats * 3)
            return followers.received / seconds

        yield once


def _with_runs(count: int, measure: Callable[[Server], float]) -> float:
    """Measure while this number of runs sleep."""
    nap = Request("POST", NAP, b'{"seconds": 3600}')
    with serve("ours", max_concurrent_runs=max(count, 1)) as server:
        ask_times(server.port, nap, count)
        return measure(server)


@_growth("concurrent", "reads, by runs that sleep meanwhile", "1/s", 0, 100, 1000)
@contextmanager
def _by_concurrent_runs(size: int, effort: Effort) -> Iterator[Callable[[], float]]:
    yield lambda: _with_runs(size, lambda server: rate(server, READ, effort))


@_growth("concurrent-p99", "read p99, by runs that sleep meanwhile", "ms", 0, 100, 1000)
@contextmanager
def _tail_by_concurrent_runs(size: int, effort: Effort) -> Iterator[Callable[[], float]]:
    yield lambda: _with_runs(
        size, lambda server: load(server.port, READ, seconds=effort.seconds).p99 * 1e3
    )
