"""A server is killed in a scan: what a client was told a second before is not lost."""

from __future__ import annotations

import contextlib
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from servers import ServerProcess, server_process

INTERRUPTED = "urn:labthings:problem:interrupted"
MODULE = '''
from collections.abc import Iterator
import os
import labthings_fastapi as lt
from labthings_fastapi.invocation_contexts import get_invocation_directory


class Tile(lt.blob.Blob):
    media_type = "image/png"


class Heater(lt.Thing):
    @lt.action
    def on(self) -> None:
        """Heat."""

    @lt.action
    def crash(self) -> None:
        os.kill(os.getpid(), 9)

    def safe_state(self) -> None:
        """Be off."""


class Scanner(lt.Thing):
    heater: Heater = lt.thing_slot()

    @lt.action
    def scan(self, points: int) -> Iterator[int]:
        self.heater.on()
        for point in range(points):
            self.logger.info("tile %d", point)
            lt.progress(point, points)
            yield point
            lt.cancellable_sleep(0.02)

    @lt.action
    def pictures(self, size: int) -> Iterator[Tile]:
        file = get_invocation_directory() / "stitched.txt"
        for number in range(10_000):
            with file.open("a") as stitched:
                stitched.write(f"{number}\\n")
            yield Tile.from_bytes(b"%d" % number * size)
            lt.cancellable_sleep(0.02)

    @lt.action
    def spectra(self) -> Iterator[list[float]]:
        while True:
            self.logger.info("spectrum")
            yield [0.5] * 1000
            lt.cancellable_sleep(0.01)

    @lt.action
    def crash(self) -> None:
        self.heater.crash()
'''

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX.")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], ServerProcess]]:
    """Start a server, the same one each time, on the folder of the test."""
    (tmp_path / "killed_bench.py").write_text(MODULE)
    config = {
        "things": {"scanner": "killed_bench:Scanner", "heater": "killed_bench:Heater"},
        "settings_folder": str(tmp_path / "settings"),
    }
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    options, env = ("-j", json.dumps(config)), {**os.environ, "PYTHONPATH": path}
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(server_process(*options, cwd=tmp_path, env=env))


def get(server: ServerProcess, path: str) -> Any:
    with urllib.request.urlopen(f"{server.url}{path}", timeout=30) as answer:
        return json.load(answer)


def read(server: ServerProcess, path: str) -> bytes:
    try:
        with urllib.request.urlopen(f"{server.url}{path}", timeout=30) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        assert error.code == 404  # noqa: PT017 - the file is not there yet
        return b""


def invoke(server: ServerProcess, path: str, **input: Any) -> str:
    url, headers = f"{server.url}{path}", {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(input).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(json.load(answer)["id"])


def a_second_old(server: ServerProcess, id: str) -> dict[str, Any]:
    """Return what clients had seen of the run a second before now."""
    while True:
        seen: dict[str, Any] = get(server, f"/action_invocations/{id}")
        if len(seen["log"]) >= 20:
            break
    time.sleep(1)  # the promise is about this second
    return seen


def test_log_progress_and_results_of_a_second_before_the_kill_are_kept(
    start: Callable[[], ServerProcess],
) -> None:
    server = start()
    id = invoke(server, "/scanner/scan", points=100_000)
    seen = a_second_old(server, id)
    server.kill()

    server = start()
    run = get(server, f"/action_invocations/{id}")
    assert (run["status"], run["error"]["type"]) == ("error", INTERRUPTED)
    assert run["log"][: len(seen["log"])] == seen["log"]
    assert run["progressDetail"]["done"] >= seen["progressDetail"]["done"]
    assert run["partial"] is True
    number = len(run["output"])
    assert number >= len(seen["log"]) - 1
    assert run["output"] == list(range(number))

    in_w3c_words = get(server, f"/scanner/scan/{id}")
    record = get(server, f"/journal/{id}")
    for view in (in_w3c_words, record):
        assert (view["log"], view["output"], view["partial"]) == (run["log"], run["output"], True)
    assert get(server, f"/action_invocations/{id}/output") == run["output"]
    assert record["things"] == ["scanner", "heater"]


def test_a_thing_that_crashes_the_server_at_once_is_known_to_have_taken_part(
    start: Callable[[], ServerProcess],
) -> None:
    server = start()
    with contextlib.suppress(OSError):  # it may crash before it answers
        invoke(server, "/scanner/crash")
    server.process.wait(30)
    server = start()
    (found,) = get(server, "/journal")["records"]
    record = get(server, f"/journal/{found['id']}")
    assert record["error"]["type"] == INTERRUPTED
    assert record["things"] == ["scanner", "heater"]


@pytest.mark.parametrize("size", [10, 100_000])
def test_blobs_and_files_of_a_second_before_the_kill_are_kept(
    start: Callable[[], ServerProcess], size: int
) -> None:
    server = start()
    id = invoke(server, "/scanner/pictures", size=size)
    while len(read(server, f"/action_invocations/{id}/files/stitched.txt").split()) < 10:
        pass
    time.sleep(1)  # the promise is about this second
    server.kill()

    server = start()
    tiles = get(server, f"/action_invocations/{id}")["output"]
    assert len(tiles) >= 9
    for number, tile in enumerate(tiles):
        assert tile["href"].startswith(server.url)
        path = urlsplit(tile["href"]).path
        assert read(server, path) == b"%d" % number * size
    (file,) = get(server, f"/action_invocations/{id}/files")
    assert file["name"] == "stitched.txt"
    lines = read(server, f"/action_invocations/{id}/files/stitched.txt").split()
    assert lines[:10] == [b"%d" % number for number in range(10)]


def test_results_too_large_for_a_record_are_kept(start: Callable[[], ServerProcess]) -> None:
    server = start()
    id = invoke(server, "/scanner/spectra")
    while len(get(server, f"/action_invocations/{id}")["log"]) < 40:
        pass
    time.sleep(1)  # the promise is about this second
    server.kill()

    server = start()
    run = get(server, f"/action_invocations/{id}")
    assert len(run["output"]) >= 39
    assert run["output"][0] == [0.5] * 1000
    assert get(server, f"/action_invocations/{id}/output") == run["output"]
    assert get(server, f"/journal/{id}")["outputReference"]["size"] > 64 * 1024
