"""Shared by the conformance tests: what others wrote, in environments of its own; real servers."""

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


@pytest.fixture(scope="session")
def python_with():
    """The Python of the environment that `make test` makes for a package of others."""

    def find(package):
        environment = HERE / f".venv-{package}"
        if not (environment / ".installed").exists():
            missing = f"{package} is not installed (`make conformance` installs it)"
            if os.environ.get("CI", "").lower() == "true":
                pytest.fail(f"With CI=true {package} must run, but {missing}.")
            pytest.skip(f"No tests with {package}: {missing}.")
        folder = "Scripts" if os.name == "nt" else "bin"
        return str(environment / folder / "python")

    return find


@pytest.fixture(scope="session")
def in_python(python_with):
    """Run a script of this folder with a package of others: members in, its answer out."""

    def run(package, script, **members):
        ended = subprocess.run(
            [python_with(package), str(HERE / script)],
            input=json.dumps(members),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=90,
            check=False,
            env=without_our_path(),
        )
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout.splitlines()[-1])

    return run


def without_our_path():
    """Return the environment of this process without what leads to our package."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.fixture(scope="session")
def lamps(packages, python_with, tmp_path_factory):
    """The addresses of running servers of others, by name; each serves a lamp."""
    folder = tmp_path_factory.mktemp("others")
    commands = {
        "node-wot": ("node", HERE / "node_wot_server.mjs"),
        "hololinked": (python_with("hololinked"), HERE / "hololinked_server.py"),
        "webthing": (python_with("webthing"), HERE / "webthing_server.py"),
    }
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(
                servers.server_process(
                    cwd=folder, command=[str(part) for part in command], env=without_our_path()
                )
            ).url
            for name, command in commands.items()
        }


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
