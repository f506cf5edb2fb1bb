"""The docs page: its files, and its headers for browsers."""

from __future__ import annotations

import re
from importlib import resources

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from labthings_fastapi.server import docs_page


@pytest.fixture(params=["", "/lab/api"])
def prefix(request):
    return request.param


@pytest.fixture
def client(prefix):
    app = FastAPI(docs_url=None)
    docs_page.attach(app, prefix)
    with TestClient(app) as client:
        yield client


@pytest.fixture
def missing(monkeypatch):
    """Let a file of the package be called as none is, as if a new release had moved it."""
    docs_page.files_of_the_page.cache_clear()
    monkeypatch.setitem(docs_page._MEDIA_TYPES, "gone.css", "text/css")
    yield "gone.css"
    docs_page.files_of_the_page.cache_clear()


def loaded_by(text):
    return re.findall(r'(?:href|src|data-openapi)="([^"]+)"', text)


def test_all_that_the_page_loads_is_there(client, prefix):
    page = client.get(f"{prefix}/docs")
    assert page.headers["content-type"].startswith("text/html")
    links = loaded_by(page.text)
    assert len(links) == 6
    for link in links:
        found = client.get(page.url.join(link))
        assert found.status_code == 200, link
        assert found.url.path.startswith((f"{prefix}/docs/", client.app.openapi_url))
        assert found.content
        assert client.head(found.url).status_code == 200 or found.url.path == "/openapi.json"


def test_the_page_runs_no_script_of_other_hosts_and_allows_no_frame(client, prefix):
    page = client.get(f"{prefix}/docs")
    policy = dict(
        part.split(" ", 1) for part in page.headers["content-security-policy"].split("; ")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["cache-control"] == "no-cache"
    assert re.findall(r"<script[^>]*>([^<]*)</script>", page.text) == ["", ""]
    assert "http" not in page.text


def test_its_files_are_kept_by_browsers_as_long_as_they_stay_the_same(client, prefix):
    page = client.get(f"{prefix}/docs")
    script = next(link for link in loaded_by(page.text) if link.endswith("bundle.js"))
    answer = client.get(page.url.join(script))
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["x-content-type-options"] == "nosniff"
    digest = script.split("/")[-2]
    older = script.replace(digest, "0" * len(digest))
    refused = client.get(page.url.join(older))
    assert refused.status_code == 404
    assert "load /docs again" in refused.json()["detail"]
    assert "cache-control" not in refused.headers


@pytest.mark.parametrize("name", ["__init__.py", "docs_page.py", "..%2fmain.py", "%2e%2e/main.py"])
def test_no_other_file_of_the_package_can_be_loaded(client, prefix, name):
    digest, _ = docs_page.files_of_the_page()
    assert client.get(f"{prefix}/docs/{digest}/{name}").status_code == 404


def test_swagger_ui_is_new_enough_for_openapi_3_1(client):
    _, places = docs_page.files_of_the_page()
    text = places["swagger-ui-bundle.js"].read_text("utf-8")
    major = re.search(r'PACKAGE_VERSION:"(\d+)\.', text)
    assert major is not None
    assert int(major[1]) >= 5
    assert resources.files("fastapi_swagger").joinpath("resources").is_dir()


def test_a_page_that_lacks_a_file_shows_the_remedy_and_the_server_goes_on(client, prefix, missing):
    answer = client.get(f"{prefix}/docs")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert missing in answer.json()["detail"]
    assert "pip install" in answer.json()["detail"]
    assert client.get("/openapi.json").status_code == 200
