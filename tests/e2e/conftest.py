"""Shared by the tests with a real browser: Chromium, and real servers."""

from __future__ import annotations

import contextlib
import os
import runpy
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

import labthings_fastapi as lt

NAMES = ("chromium", "chromium-browser", "google-chrome")
REBINDING = "rebind.example"
"""A host name of an attacker that resolves to this computer (DNS rebinding)."""
OPTIONS = [
    "--no-sandbox",  # root, as in a container, cannot have one; only our own pages are opened
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
    """The path of Chromium; without it the tests are skipped, and in CI they fail."""
    found = os.environ.get("LABTHINGS_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), "")
    if found:
        return found
    missing = (
        "Chromium is not installed (`make chromium` installs it on Debian; elsewhere let "
        "LABTHINGS_CHROMIUM name the program)"
    )
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"With CI=true the browser tests must run, but {missing}.")
    pytest.skip(f"No browser tests: {missing}.")


# Not for the whole session: while Playwright runs, its event loop is that of the main thread, and
# tests that call `asyncio.run` cannot have one.
@pytest.fixture(scope="module")
def browser(chromium):
    """A headless Chromium with a new, empty profile."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def web_page():
    """The web page, built if its sources have changed; without Node its tests are skipped."""
    build = runpy.run_path(str(Path(__file__).parents[2] / "build_page.py"))
    try:
        build["build"]()
    except build["CannotBuildError"] as error:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(f"With CI=true the page must be tested, but {error}.")
        pytest.skip(f"No tests of the web page: {error}.")


@pytest.fixture
def lab(web_page, open_page):
    """Open the web page of a server, and collect what the browser complains of."""

    def load(url, path="ui/"):
        page = open_page("about:blank")
        page.wrong = []
        page.on("console", lambda entry: entry.type == "error" and page.wrong.append(entry.text))
        page.on("pageerror", lambda error: page.wrong.append(str(error)))
        page.goto(f"{url}/{path}")
        page.locator("main h1").first.wait_for()
        return page

    return load


@pytest.fixture
def open_page(browser):
    """Open pages in a profile without cookies; call it with a URL."""
    with contextlib.closing(browser.new_context()) as context:
        context.set_default_timeout(30_000)

        def load(url):
            page = context.new_page()
            page.goto(url)
            return page

        yield load


@pytest.fixture
def run_app(running_server):
    """Run ASGI apps until the test ends; call it with an app, and get its port."""
    return lambda app: running_server(app).port


@pytest.fixture
def serve(tmp_path, running_server):
    """Run servers until the test ends; call it with the Things, and get a URL."""

    def start(things, **config):
        settings = str(tmp_path / "settings")
        return running_server(
            lt.ThingServer.from_things(things, settings_folder=settings, **config)
        ).url

    return start
