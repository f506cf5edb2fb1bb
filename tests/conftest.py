"""Shared by all tests: an own folder, real servers, failing logs, the profiles of hypothesis."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from servers import RunningServer, ServerProcess, serve, server_process

# Deadlines of hypothesis are timing assertions, which fail at random on a shared machine.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", unhurried, max_examples=50)
# The same examples each time, so that a failure in CI can be seen again.
settings.register_profile("ci", unhurried, max_examples=50, derandomize=True, database=None)
# Takes long: `make slow` uses it.
settings.register_profile("thorough", unhurried, max_examples=2_000)

_in_ci = os.environ.get("CI", "").lower() == "true"
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if _in_ci else "quick"))

# A shell that starts the tests in the background lets them ignore Ctrl-C, and processes that they
# start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _own_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the settings and the journal of a default configuration out of the checkout."""
    monkeypatch.chdir(tmp_path)


class ServerStarter:
    """Starts real servers, which run until the test ends."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack

    def __call__(self, app: Any, **options: Any) -> RunningServer:
        """Serve a ThingServer or an ASGI app on a thread; `options` as of `uvicorn.Config`."""
        return self._stack.enter_context(serve(app, **options))

    def process(self, *options: str, cwd: Path | str, **how: Any) -> ServerProcess:
        """Run `labthings-server`, or `command=`, with these options in a process."""
        return self._stack.enter_context(server_process(*options, cwd=cwd, **how))


@pytest.fixture
def running_server() -> Iterator[ServerStarter]:
    """Start real servers on free loopback ports, as in `running_server(server).url`."""
    with contextlib.ExitStack() as stack:
        yield ServerStarter(stack)


class RaisingHandler(logging.Handler):
    """A logging handler of a user that fails."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def emit(self, record: logging.LogRecord) -> None:
        raise self.error


@pytest.fixture
def let_logging_fail() -> Iterator[Callable[[str, BaseException], None]]:
    """Let each record below a logger name raise an error, until the test ends."""
    added: list[tuple[logging.Logger, logging.Handler]] = []

    def let_fail(name: str, error: BaseException) -> None:
        added.append((logging.getLogger(name), RaisingHandler(error)))
        logger, handler = added[-1]
        logger.addHandler(handler)

    yield let_fail
    for logger, handler in added:
        logger.removeHandler(handler)
