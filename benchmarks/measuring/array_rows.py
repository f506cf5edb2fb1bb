"""Rows about arrays of 2048 × 2048 pixels of 16 bits, between a server and numpy in a client.

The floor is a file of the same bytes, which bare Starlette sends and a client reads into memory.
Client and server take about the same part of the time, so the rates are those of the clock.
"""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .processes import free_port, running_server, temporary_folder
from .row import Effort, at_least, row
from .subjects import INSTRUMENT, SERVED, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .row import Measure

CAMERA = {**INSTRUMENT, "camera": "array_camera:Camera"}
BYTES = 2 * 2048 * 2048
LARGEST = 32 * 2**20
_FLOOR = ("ours", "floor")


def _rate(work: Callable[[], object], effort: Effort) -> float:
    """Return how often a second the work is done."""
    done, began = 0, time.perf_counter()
    while (spent := time.perf_counter() - began) < effort.seconds or not done:
        work()
        done += 1
    return done / spent


@contextmanager
def _file_rate(effort: Effort) -> Iterator[Measure]:
    import httpx2

    with temporary_folder() as folder:
        file, port = folder / "picture.raw", free_port()
        file.write_bytes(bytes(BYTES))
        command = [sys.executable, str(SERVED / "file_server.py"), str(file), str(port)]
        url = f"http://127.0.0.1:{port}/file"
        with running_server(command, port, "/file"), httpx2.Client(trust_env=False) as client:
            yield lambda: _rate(lambda: client.get(url).content, effort)


@contextmanager
def _our_rate(effort: Effort, name: str) -> Iterator[Measure]:
    import numpy as np

    import labthings_fastapi as lt

    picture = np.zeros((2048, 2048), np.uint16)
    with (
        serve("ours", CAMERA, max_body_bytes=LARGEST) as server,
        lt.ThingClient.from_url(
            f"http://127.0.0.1:{server.port}/camera/", arrays="numpy", progress=False
        ) as camera,
    ):
        works: dict[str, Callable[[], object]] = {
            "read": lambda: camera.picture,
            "capture": camera.capture,
            "send": lambda: camera.look_at(picture),
        }
        work = works[name]
        work()
        yield lambda: _rate(work, effort)


@contextmanager
def _peer_rate(effort: Effort) -> Iterator[Measure]:
    import httpx2
    import numpy as np

    with serve("peer", CAMERA) as server, httpx2.Client(trust_env=False, timeout=60) as client:
        url = f"http://127.0.0.1:{server.port}/camera/picture"
        yield lambda: _rate(lambda: np.asarray(client.get(url).json()), effort)


@row(
    *("array", "an array of 8 MiB: a property, read into numpy", "1/s", (*_FLOOR, "peer")),
    *(at_least(0.6, "floor"), at_least(20, "peer")),
)
@contextmanager
def array(subject: str, effort: Effort) -> Iterator[Measure]:
    chosen = {"ours": lambda: _our_rate(effort, "read"), "peer": lambda: _peer_rate(effort)}
    with chosen.get(subject, lambda: _file_rate(effort))() as measure:
        yield measure


@row("array-run", "the same as the output of a run, which is kept", "1/s", _FLOOR)
@contextmanager
def array_of_a_run(subject: str, effort: Effort) -> Iterator[Measure]:
    chosen = _our_rate(effort, "capture") if subject == "ours" else _file_rate(effort)
    with chosen as measure:
        yield measure


@row(
    *("array-send", "the same as the input of a run, which is kept", "1/s", _FLOOR),
    at_least(0.5, "floor"),
)
@contextmanager
def array_sent(subject: str, effort: Effort) -> Iterator[Measure]:
    chosen = _our_rate(effort, "send") if subject == "ours" else _file_rate(effort)
    with chosen as measure:
        yield measure
