"""What the judges share: the packages from npm, scripts that run in Node, and a real server."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
import uvicorn

import labthings_fastapi as lt

HERE = Path(__file__).parent
PACKAGES = HERE / "node_modules"


@pytest.fixture(scope="session")
def packages():
    """The folder of the packages that `make test` installs; without it the tests are skipped."""
    missing = None
    if shutil.which("node") is None:
        missing = "Node is not installed"
    elif not (PACKAGES / "@node-wot" / "core").is_dir():
        missing = "the packages from npm are not installed (`make conformance` installs them)"
    if missing and os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"Real W3C clients must judge the server here, but {missing}.")
    if missing:
        pytest.skip(f"No real W3C client judges the server: {missing}.")
    return PACKAGES


@pytest.fixture(scope="session")
def in_node(packages):
    """Run a script of this folder in Node: members in, its answer out."""

    def run(script, **members):
        # One that hangs says nothing: pytest's own time limit is longer.
        ended = subprocess.run(
            ["node", str(HERE / script)],
            input=json.dumps(members),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=100,  # half a minute of work, on a computer that may be busy
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout.splitlines()[-1])

    return run


@contextlib.contextmanager
def served(things, folder):
    """Run a server with these Things on a free port, and yield its URL."""
    server = lt.ThingServer.from_things(things, settings_folder=str(folder))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(server.app, log_level="warning", timeout_graceful_shutdown=1)
        runner = uvicorn.Server(config)
        thread = threading.Thread(target=runner.run, args=([listening],))
        thread.start()
        try:
            deadline = time.monotonic() + 30
            while not runner.started and thread.is_alive() and time.monotonic() < deadline:
                thread.join(0.01)
            assert runner.started
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            runner.should_exit = True
            thread.join(30)


@pytest.fixture(scope="session")
def official(packages):
    """The JSON Schema that the W3C's group publishes."""
    file = packages / "wot-thing-description-types" / "schema" / "td-json-schema-validation.json"
    schema = json.loads(file.read_text("utf-8"))
    return jsonschema.Draft7Validator(schema, format_checker=jsonschema.FormatChecker())


@pytest.fixture(scope="session")
def bench(tmp_path_factory):
    """The URL of the running demo microscope."""
    file = resources.files("labthings_fastapi.demo") / "bench.json"
    things = json.loads(file.read_text(encoding="utf-8"))["things"]
    with served(things, tmp_path_factory.mktemp("bench")) as url:
        yield url


@pytest.fixture
def serve(tmp_path):
    """Run servers until the test ends; call it with the Things, and get a URL."""
    with contextlib.ExitStack() as stack:
        yield lambda things: stack.enter_context(served(things, tmp_path / "settings"))
