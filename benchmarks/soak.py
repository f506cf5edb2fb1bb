"""Load a server with everything at once, and report whether memory, threads and files stay flat.

For instance: `python benchmarks/soak.py --minutes 10`.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from measuring.followers import Followers
from measuring.load import Request, ask_times, load
from measuring.processes import pin_load
from measuring.run_rows import NAP, await_end
from measuring.subjects import COMPUTE, DESCRIBE, INVOKE, READ, WRITE, serve
from measuring.table import markdown

if TYPE_CHECKING:
    from measuring.processes import Server

RETAINED = 1000
"""So that the server is full early, and drops runs while it is watched."""
WARM_UP = 0.25
"""The share of the time that is left out: caches, pools and the replay fill up."""
PARALLEL = 4
PLAN: list[tuple[Request, int]] = [
    *((READ, 2000), (WRITE, 500), (COMPUTE, 500), (INVOKE, 300), (DESCRIBE, 200)),
    (Request("POST", "/instrument/chat", b'{"lines": 20}', status=201), 50),
    (Request("GET", "/action_invocations?limit=100"), 20),
    (Request("GET", "/journal?limit=50&text=chat"), 5),
]
MORE = {"memory": 2.0, "threads": 5, "files": 5}
"""By how much the usual figure may rise: MiB and numbers.

In ten minutes that shows what keeps 50 bytes for each run; less is what allocators do, and the
caches of a database that grows. Threads and files come and go with the runs while they are counted.
"""


@dataclass(frozen=True)
class Sample:
    """What the server held at one moment."""

    minutes: float
    memory: float
    threads: int
    files: int


def _sample(server: Server, began: float) -> Sample:
    minutes = (time.monotonic() - began) / 60
    return Sample(minutes, server.memory / 2**20, server.threads, server.open_files)


def _mixed(server: Server, until: float, errors: list[str]) -> None:
    """Ask for one thing after the other; runs in a thread."""
    for request, times in itertools.cycle(PLAN):
        if time.monotonic() > until:
            return
        try:
            ask_times(server.port, request, times, connections=PARALLEL)
        except Exception as error:  # noqa: BLE001 - reported at the end
            errors.append(f"{request.method} {request.path}: {error}")
            return


def _follow(server: Server, until: float, errors: list[str]) -> None:
    """Come and go as followers do; runs in a thread."""
    while time.monotonic() < until:
        try:
            with Followers("ours", server.port, 20, stuck=1) as followers:
                followers.write(WRITE, 200)
        except Exception as error:  # noqa: BLE001 - reported at the end
            errors.append(f"followers: {error}")
            return


def _cancel(server: Server, until: float, errors: list[str]) -> None:
    """Start what sleeps, and cancel it; runs in a thread."""
    try:
        with server.connection() as connection:
            while time.monotonic() < until:
                run = connection.json("POST", NAP, b'{"seconds": 60}')
                connection.json("DELETE", f"/action_invocations/{run['id']}")
                await_end("ours", connection, run["id"])
    except Exception as error:  # noqa: BLE001 - reported at the end
        errors.append(f"cancel: {error}")


def _usual(samples: list[Sample], what: str) -> tuple[float, float]:
    """Return the median in the first and in the last third."""
    third = max(len(samples) // 3, 1)
    numbers = [getattr(sample, what) for sample in samples]
    return statistics.median(numbers[:third]), statistics.median(numbers[-third:])


def _watch(server: Server, minutes: float, every: float) -> list[Sample]:
    began = time.monotonic()
    samples = []
    while (spent := time.monotonic() - began) < minutes * 60:
        samples.append(_sample(server, began))
        newest = samples[-1]
        print(
            f"{newest.minutes:6.1f} min  {newest.memory:7.1f} MiB  "
            f"{newest.threads:4} threads  {newest.files:4} files",
            flush=True,
        )
        time.sleep(min(every, max(minutes * 60 - spent, 0.1)))
    return samples


def main() -> int:
    """Load, watch and judge; the exit code is 1 if something grows or failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    minutes: float = parser.parse_args().minutes
    pin_load()
    errors: list[str] = []
    with serve("ours", max_retained_runs=RETAINED) as server:
        until = time.monotonic() + minutes * 60
        loads = [
            threading.Thread(target=what, args=(server, until, errors))
            for what in (_mixed, _follow, _cancel)
        ]
        for thread in loads:
            thread.start()
        samples = _watch(server, minutes, every=max(minutes * 60 / 60, 1.0))
        for thread in loads:
            thread.join()
        answers = load(server.port, READ, seconds=1)
    return _judge(samples, errors, answers.p99)


def _judge(samples: list[Sample], errors: list[str], p99: float) -> int:
    settled = [one for one in samples if one.minutes >= samples[-1].minutes * WARM_UP]
    usual = {what: _usual(settled, what) for what in MORE}
    flat = all(usual[what][1] - usual[what][0] <= more for what, more in MORE.items())
    table = [[what, f"{first:.1f}", f"{last:.1f}"] for what, (first, last) in usual.items()]
    print(markdown(("median of", "first third", "last third"), table))
    print(f"Read p99 afterwards: {p99 * 1e3:.2f} ms. It is {'flat' if flat else 'NOT flat'}.")
    for error in errors:
        print(f"Failed: {error}", file=sys.stderr)
    return int(bool(errors) or not flat)


if __name__ == "__main__":
    sys.exit(main())
