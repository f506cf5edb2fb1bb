"""The demo bench as its configuration file describes it, without a running server."""

from __future__ import annotations

import json
import time
from importlib import resources

import pytest

import labthings_fastapi as lt


@pytest.fixture
def bench(tmp_path):
    """The Things of the bench by name, connected, with a fast stage and the same noise always."""
    file = resources.files("labthings_fastapi.demo") / "bench.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    config["things"]["camera"] = {"cls": config["things"]["camera"], "kwargs": {"seed": 1}}
    server = lt.ThingServer.from_things(config["things"], settings_folder=str(tmp_path))
    server.things["stage"].speed = 5000
    server.things["camera"].exposure = 5
    return dict(server.things)


@pytest.fixture
def wait_until():
    """Return a function that waits for something that another thread is about to do."""

    def wait(condition, within=60.0):
        deadline = time.monotonic() + within
        while not condition():
            assert time.monotonic() < deadline, "It did not happen in time."
            time.sleep(0.001)

    return wait
