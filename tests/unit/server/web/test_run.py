"""`serve()` leaves the process as it found it, whatever ended it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI

from labthings_fastapi.server.web.run import ServerHooks, run_until_stopped

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGTERM is a POSIX signal")

# A program that serves, and goes on afterwards.
PROGRAM = """
import gc, json, logging, os, signal, sys, threading
import labthings_fastapi as lt
from labthings_fastapi.server.web import run

{setup}

class Lamp(lt.Thing):
    def __exit__(self, *_):
        states.append(state())

    def __enter__(self):
        if {fails}:
            raise OSError("no power")

def state():
    uvicorn = [logging.getLogger(name) for name in ("uvicorn.error", "uvicorn.access")]
    return {{
        "switch interval": sys.getswitchinterval(),
        "frozen": gc.get_freeze_count() > 1000,  # Python 3.12 begins with some hundred
        "thresholds": gc.get_threshold(),
        "handlers": [str(signal.getsignal(each)) for each in (signal.SIGTERM, signal.SIGINT)],
        "logging": str([(each.level, each.propagate, each.handlers) for each in uvicorn]),
        "root": str([logging.getLogger().level, logging.getLogger().handlers]),
    }}

server = lt.ThingServer.from_things({{"lamp": Lamp}}, settings_folder="settings")
states = [state()]

async def stop_soon(address):
    # The first signal that arrives once the server is set up: it has to be frozen by then.
    def wait():
        while gc.get_freeze_count() <= 1000:
            threading.Event().wait(0.01)
        os.kill(os.getpid(), signal.SIGTERM)
    threading.Thread(target=wait, daemon=True).start()

server._announce = stop_soon
try:
    server.serve(port=0)
except lt.exceptions.ThingStartError as error:
    states.append(state())
states.append(state())
print(json.dumps(states))
"""


def states(folder: Path, setup: str = "", *, fails: bool = False) -> list[dict[str, Any]]:
    """Return the state of a process before, during and after `serve`."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(setup=setup, fails=fails)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("setup", ["", "logging.basicConfig(); signal.signal(2, signal.SIG_IGN)"])
def test_all_that_serve_changes_in_the_process_is_restored(tmp_path: Path, setup: str) -> None:
    before, during, after = states(tmp_path, setup)
    assert after == before
    assert during["switch interval"] == pytest.approx(0.001)
    assert during["frozen"]
    assert not before["frozen"]


def test_objects_that_the_program_has_frozen_stay_frozen(tmp_path: Path) -> None:
    before, _, after = states(tmp_path, "gc.freeze()")
    assert before["frozen"]
    assert after["frozen"]


def test_a_start_that_fails_leaves_the_process_as_it_was(tmp_path: Path) -> None:
    before, *_, after = states(tmp_path, fails=True)
    assert after == before


def test_a_log_file_of_the_program_is_still_written(tmp_path: Path) -> None:
    """Uvicorn's own configuration of logging would close it."""
    setup = "logging.getLogger('lab').addHandler(logging.FileHandler('lab.log', mode='w'))"
    program = PROGRAM.format(setup=setup, fails=False) + "logging.getLogger('lab').error('on')"
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, timeout=60, check=True)
    assert (tmp_path / "lab.log").read_text("utf-8").endswith("on\n")


def test_in_another_thread_the_reason_of_a_failed_start_is_raised() -> None:
    async def fail(_app: FastAPI) -> AsyncIterator[None]:
        raise OSError("no power")
        yield

    handler = signal.getsignal(signal.SIGINT)  # a job in the background ignores it
    raised: list[BaseException] = []

    def run() -> None:
        try:
            run_until_stopped(ServerHooks(FastAPI(lifespan=fail)), "127.0.0.1", 0, grace=1)
        except OSError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    assert [str(error) for error in raised] == ["no power"]
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_program_with_a_stuck_thread_goes_on_after_serve_and_ends(tmp_path: Path) -> None:
    setup = "threading.Thread(target=threading.Event().wait, name='stuck').start()"
    program = PROGRAM.format(setup=setup, fails=False) + "print('after')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.endswith("after\n")
    assert "Thread 'stuck' does not end" in done.stderr


def test_a_thread_that_a_thing_leaves_behind_does_not_keep_the_process_alive(
    tmp_path: Path,
) -> None:
    program = PROGRAM.format(setup="", fails=False).replace(
        "states.append(state())",
        "threading.Thread(target=threading.Event().wait, name='left', daemon=False).start()",
        1,
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "Thread 'left' does not end" in done.stderr


LOGGED = """
import logging, os, signal, threading
import labthings_fastapi as lt

class Lamp(lt.Thing):
    def __enter__(self):
        self.logger.info("switched on")

    def __exit__(self, *_):
        self.logger.info("switched off")

server = lt.ThingServer.from_things({"lamp": Lamp}, settings_folder="settings", DEBUG)
server._when_listening = lambda _: os.kill(os.getpid(), signal.SIGTERM)
server.serve(port=0)
"""


@pytest.mark.parametrize("debug", [False, True])
def test_serve_logs_like_the_command_line(tmp_path: Path, debug: bool) -> None:
    program = LOGGED.replace("DEBUG", f"debug={debug}")
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    for text in ("switched on", "switched off"):
        (line,) = [line for line in done.stderr.splitlines() if text in line]
        assert line.split(maxsplit=2)[2] == f"INFO    labthings_fastapi.things.lamp: {text}"
    assert (" DEBUG   " in done.stderr) == debug
