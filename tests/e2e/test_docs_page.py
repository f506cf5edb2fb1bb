"""The docs page, as a person sees it in a browser: offline, and with buttons that work."""

from __future__ import annotations

import json
from importlib import resources
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI
from starlette.responses import HTMLResponse

import labthings_fastapi as lt


class Counter(lt.Thing):
    count: int = lt.property(default=3)

    @lt.action
    def add(self) -> None:
        """Add one to the count."""
        self.count += 1


@pytest.fixture
def watched(open_page):
    """Open a page, and record each host that it connects to, and errors in its console."""

    def load(url):
        page = open_page("about:blank")
        page.hosts, page.wrong = set(), []
        page.on("request", lambda request: page.hosts.add(urlsplit(request.url).netloc))
        page.on("console", lambda entry: entry.type == "error" and page.wrong.append(entry.text))
        page.on("pageerror", lambda error: page.wrong.append(str(error)))
        page.goto(url)
        return page

    return load


def try_out(page, path, method):
    """Open an operation, press its two buttons, and return the status and body of the answer."""
    shown = page.locator(f".opblock-{method}", has=page.locator(f'[data-path="{path}"]'))
    shown.locator(".opblock-summary-control").click()
    shown.get_by_role("button", name="Try it out").click()
    shown.get_by_role("button", name="Execute").click()
    answer = shown.locator(".live-responses-table tbody")
    answer.wait_for()
    status = answer.locator(".response-col_status").inner_text().split()[0]
    return status, json.loads(answer.locator(".highlight-code code").inner_text())


def test_the_page_shows_the_demo_and_loads_nothing_from_other_hosts(serve, watched):
    bench = resources.files("labthings_fastapi.demo") / "bench.json"
    things = json.loads(bench.read_text("utf-8"))["things"]
    url = serve(things)
    page = watched(f"{url}/docs")
    status, exposure = try_out(page, "/camera/exposure", "get")
    assert status == "200"
    assert exposure > 0
    assert page.locator(".opblock-tag").count() > len(things)
    assert page.hosts == {urlsplit(url).netloc}
    assert page.wrong == []


@pytest.mark.parametrize("prefix", ["", "/lab/api"])
@pytest.mark.parametrize("mounted", ["", "/outer"])
def test_its_buttons_invoke_actions_and_read_properties_wherever_it_is(
    run_app, tmp_path, watched, prefix, mounted
):
    server = lt.ThingServer.from_things(
        {"counter": Counter}, settings_folder=str(tmp_path), api_prefix=prefix
    )
    app = server.app
    if mounted:
        app = FastAPI(lifespan=lambda _outer: server.app.router.lifespan_context(server.app))
        app.mount(mounted, server.app)
    url = f"http://127.0.0.1:{run_app(app)}{mounted}{prefix}"
    page = watched(f"{url}/docs")
    status, run = try_out(page, f"{prefix}/counter/add", "post")
    assert status == "201"
    assert run["href"].startswith(f"{url}/counter/add/")
    with page.expect_response(run["href"]):
        page.evaluate("href => fetch(href, {headers: {Prefer: 'wait=30'}})", run["href"])
    status, count = try_out(page, f"{prefix}/counter/count", "get")
    assert status == "200"
    assert count == 4
    assert page.wrong == []


def test_no_other_page_can_put_it_into_a_frame(serve, run_app, open_page):
    url = serve({"counter": Counter})
    outer = FastAPI()

    @outer.get("/")
    def framing():
        return HTMLResponse(f'<iframe name="inner" src="{url}/docs"></iframe>')

    page = open_page(f"http://127.0.0.1:{run_app(outer)}/")
    inner = page.frame(name="inner")
    assert inner.url == "chrome-error://chromewebdata/"
