"""What the tests with a real browser share: Chromium, and real servers for it to visit."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import threading
import time

import pytest
import uvicorn
from playwright.sync_api import sync_playwright

import labthings_fastapi as lt

NAMES = ("chromium", "chromium-browser", "google-chrome")
REBINDING = "rebind.example"
"""A host name of an attacker, which comes to mean this computer: DNS rebinding."""
OPTIONS = [
    "--no-sandbox",  # which root, as in a container, cannot have; it visits our own pages only
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--host-resolver-rules=MAP {REBINDING} 127.0.0.1",
]


@pytest.fixture(scope="session")
def chromium():
    """Where Chromium is; without it the tests are skipped, and in CI they fail."""
    found = os.environ.get("LABTHINGS_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), "")
    if found:
        return found
    missing = (
        "Chromium is not installed (`make chromium` installs it on Debian; elsewhere let "
        "LABTHINGS_CHROMIUM name the program)"
    )
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"A real browser must visit the server here, but {missing}.")
    pytest.skip(f"No real browser visits the server: {missing}.")


# Not for the whole session: while Playwright runs, its event loop is that of the main thread, and
# tests that call `asyncio.run` cannot have one.
@pytest.fixture(scope="module")
def browser(chromium):
    """A headless Chromium with a new, empty profile."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
        yield launched
        launched.close()


@pytest.fixture
def visit(browser):
    """Open pages as a new visitor without cookies; call it with a URL."""
    with contextlib.closing(browser.new_context()) as context:
        context.set_default_timeout(30_000)

        def open_page(url):
            page = context.new_page()
            page.goto(url)
            return page

        yield open_page


@contextlib.contextmanager
def running(app):
    """Run an ASGI app on a free port, and yield the port."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
        runner = uvicorn.Server(config)
        thread = threading.Thread(target=runner.run, args=([listening],))
        thread.start()
        try:
            deadline = time.monotonic() + 30
            while not runner.started and thread.is_alive() and time.monotonic() < deadline:
                thread.join(0.01)
            assert runner.started
            yield listening.getsockname()[1]
        finally:
            runner.should_exit = True
            thread.join(30)


@pytest.fixture
def run_app():
    """Run ASGI apps until the test ends; call it with an app, and get its port."""
    with contextlib.ExitStack() as stack:
        yield lambda app: stack.enter_context(running(app))


@pytest.fixture
def serve(tmp_path, run_app):
    """Run servers until the test ends; call it with the Things, and get a URL."""

    def start(things, **config):
        server = lt.ThingServer.from_things(
            things, settings_folder=str(tmp_path / "settings"), **config
        )
        return f"http://127.0.0.1:{run_app(server.app)}"

    return start
