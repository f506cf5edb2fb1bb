"""`/` and `/ui/`: who gets the web page, from where, and what it may load."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from starlette.responses import PlainTextResponse
from starlette.staticfiles import StaticFiles
from starlette.testclient import TestClient

import labthings_fastapi as lt
from labthings_fastapi.ui.bundle import Bundle
from labthings_fastapi.ui.routes import attach

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def bundle(tmp_path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text('<script src="./assets/a-1.js"></script>')
    (tmp_path / "assets" / "a-1.js").write_text("start()")
    (tmp_path / "sources.json").write_text("{}")
    return Bundle(tmp_path)


@pytest.fixture
def client(bundle):
    app = FastAPI()
    attach(app, "/lab", bundle)
    return TestClient(app)


@pytest.fixture
def server():
    return lt.ThingServer({"things": {}, "journal": "memory"})


def test_its_files_are_found_from_each_address_of_the_page(client):
    assert '"../ui/assets/a-1.js"' in client.get("/lab/ui/").text
    assert client.get("/lab/ui/assets/a-1.js").text == "start()"
    assert client.get("/lab/ui", follow_redirects=False).headers["location"] == "ui/"


def test_nothing_beside_its_files_is_served(client):
    for path in ("sources.json", "assets/b.js", "..%2f..%2fsecret.js", "index.html"):
        assert client.get(f"/lab/ui/{path}").status_code == 404, path


def test_files_whose_names_have_a_digest_are_kept_and_the_page_is_not(client):
    assert "immutable" in client.get("/lab/ui/assets/a-1.js").headers["cache-control"]
    assert client.get("/lab/ui/").headers["cache-control"] == "no-cache"


def test_the_policy_allows_no_inline_code_no_eval_and_no_other_origin(client):
    policy = client.get("/lab/ui/").headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


def test_without_a_bundle_the_page_says_how_to_build_it(tmp_path):
    app = FastAPI()
    attach(app, "", Bundle(tmp_path / "missing"))
    answer = TestClient(app).get("/ui/")
    assert answer.status_code == 200
    assert "make page" in answer.text
    assert "../docs" in answer.text


def test_browsers_get_the_page_at_the_root_and_programs_the_index(server):
    with server.test_client() as client:
        shown = client.get("/", headers=BROWSER)
        assert shown.headers["content-type"].startswith("text/html")
        assert client.get("/").json()["title"] == "LabThings"
        for answer in (shown, client.get("/")):
            assert "Accept" in answer.headers["vary"]


def test_ui_false_switches_the_page_off():
    server = lt.ThingServer({"things": {}, "journal": "memory", "ui": False})
    with server.test_client() as client:
        assert client.get("/", headers=BROWSER).json()["title"] == "LabThings"
        assert client.get("/ui/").status_code == 404


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_a_route_or_folder_of_the_laboratory_at_the_root_wins(tmp_path, prefix):
    (tmp_path / "index.html").write_text("ours")
    for add in (
        lambda app: app.add_api_route(f"{prefix}/", lambda: PlainTextResponse("ours")),
        lambda app: app.mount(f"{prefix}/", StaticFiles(directory=tmp_path, html=True)),
    ):
        config = {"things": {}, "journal": "memory", "api_prefix": prefix}
        server = lt.ThingServer(config)
        add(server.app)
        with server.test_client() as client:
            assert client.get(f"{prefix}/", headers=BROWSER).text == "ours"
            assert client.get(f"{prefix}/health").json()["status"] == "running"
            assert client.get(f"{prefix}/ui/").status_code == 200
