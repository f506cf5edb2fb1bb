"""Shared by the conformance tests: packages from npm, scripts in Node, and a real server."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

import labthings_fastapi as lt
import servers

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
        pytest.fail(f"With CI=true the W3C clients must run, but {missing}.")
    if missing:
        pytest.skip(f"No W3C client tests: {missing}.")
    return PACKAGES


@pytest.fixture(scope="session")
def in_node(packages):
    """Run a script of this folder in Node: members in, its answer out."""

    def run(script, **members):
        # Shorter than the time limit of pytest, so that the failure shows what Node printed.
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
def serve_things(things, folder):
    """Run a server with these Things on a free port, and yield its URL."""
    with servers.serve(lt.ThingServer.from_things(things, settings_folder=str(folder))) as running:
        yield running.url


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
    with serve_things(things, tmp_path_factory.mktemp("bench")) as url:
        yield url


@pytest.fixture
def serve(tmp_path):
    """Run servers until the test ends; call it with the Things, and get a URL."""
    with contextlib.ExitStack() as stack:
        yield lambda things: stack.enter_context(serve_things(things, tmp_path / "settings"))
