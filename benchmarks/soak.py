"""Load a server with everything at once for a while, and say whether what it holds stays flat.

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
from measuring.load import ask_times, load
from measuring.processes import pin_load
from measuring.subjects import COMPUTE, DESCRIBE, INVOKE, READ, WRITE, serve
from measuring.table import markdown

if TYPE_CHECKING:
    from measuring.load import Request
    from measuring.processes import Server

RETAINED = 1000
"""So that the server is full early, and drops runs while it is watched."""
FLAT_MIB_PER_HOUR = 6.0
WARM_UP = 0.25
"""The share of the time that is left out: caches, pools and the replay fill up."""
PARALLEL = 4


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
    plan: list[tuple[Request, int]] = [(READ, 2000), (WRITE, 500), (COMPUTE, 500), (INVOKE, 300)]
    plan.append((DESCRIBE, 200))
    for request, times in itertools.cycle(plan):
        if time.monotonic() > until:
            return
        try:
            ask_times(server.port, request, times, connections=PARALLEL)
        except Exception as error:  # noqa: BLE001 - told at the end
            errors.append(f"{request.method} {request.path}: {error}")
            return


def _follow(server: Server, until: float, errors: list[str]) -> None:
    """Come and go as followers do; runs in a thread."""
    while time.monotonic() < until:
        try:
            with Followers("ours", server.port, 20, stuck=1) as followers:
                followers.write(WRITE, 200)
        except Exception as error:  # noqa: BLE001 - told at the end
            errors.append(f"followers: {error}")
            return


def slope(samples: list[Sample], what: str) -> float:
    """Return the rise per hour of what was sampled, by a straight line through it."""
    times = [sample.minutes / 60 for sample in samples]
    return statistics.linear_regression(times, [getattr(sample, what) for sample in samples]).slope


def _watch(server: Server, minutes: float, every: float) -> list[Sample]:
    began = time.monotonic()
    samples = []
    while (spent := time.monotonic() - began) < minutes * 60:
        samples.append(_sample(server, began))
        told = samples[-1]
        print(
            f"{told.minutes:6.1f} min  {told.memory:7.1f} MiB  "
            f"{told.threads:4} threads  {told.files:4} files",
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
            for what in (_mixed, _follow)
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
    rise = {what: slope(settled, what) for what in ("memory", "threads", "files")}
    flat = rise["memory"] <= FLAT_MIB_PER_HOUR
    lines = [
        ["memory", f"{settled[0].memory:.1f} MiB", f"{settled[-1].memory:.1f} MiB"],
        ["threads", str(settled[0].threads), str(settled[-1].threads)],
        ["files", str(settled[0].files), str(settled[-1].files)],
    ]
    table = [[*line, f"{rise[line[0]]:+.1f} per hour"] for line in lines]
    print(markdown(("", "after warm-up", "at the end", "rise"), table))
    print(f"Read p99 afterwards: {p99 * 1e3:.2f} ms. Memory is {'flat' if flat else 'NOT flat'}.")
    for error in errors:
        print(f"Failed: {error}", file=sys.stderr)
    return int(bool(errors) or not flat)


if __name__ == "__main__":
    sys.exit(main())
