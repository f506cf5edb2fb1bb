"""The page that shows why the server did not start."""

from __future__ import annotations

import logging

import pytest
from starlette.testclient import TestClient

from labthings_fastapi.exceptions import ServerConfigurationError
from labthings_fastapi.server import fallback
from labthings_fastapi.server.fallback import FallbackApp, LogTail, explain


@pytest.fixture
def app():
    return FallbackApp()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
@pytest.mark.parametrize("path", ["/", "/stage/move", "/docs", "/openapi.json", "/a/b%20c"])
def test_every_path_answers_503_with_the_page(app, method, path):
    app.set_context(error="no power")
    answer = TestClient(app).request(method, path)
    assert answer.status_code == 503
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["retry-after"] == "5"
    if method != "HEAD":
        assert "no power" in answer.text


def test_other_computers_see_the_error_but_not_the_log(app):
    app.set_context(error="no power", log="secret detail", traceback="deep inside")
    client = TestClient(app, base_url="http://localhost", client=("192.0.2.7", 1))
    text = client.get("/").text
    assert "no power" in text
    assert "secret detail" not in text
    assert "deep inside" not in text
    here = TestClient(app, base_url="http://localhost", client=("127.0.0.1", 1))
    assert "secret detail" in here.get("/").text


def test_a_foreign_host_name_is_refused(app):
    app.set_context(error="no power")
    client = TestClient(app, base_url="http://evil.example", client=("127.0.0.1", 1))
    answer = client.get("/")
    assert answer.status_code == 421
    assert "no power" not in answer.text


def test_values_are_shown_as_text_and_not_as_markup(app):
    app.set_context(error="<script>alert(1)</script> \ud800 $log")
    text = TestClient(app).get("/").text
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "$log" in text


def test_a_laboratory_may_use_its_own_page_and_words(app):
    app.set_template_str("<p>$error in $room, ${unknown}, 5 $$</p>")
    app.set_context({"error": "dark"}, room=12)
    assert TestClient(app).get("/").text == "<p>dark in 12, ${unknown}, 5 $</p>"


def test_the_log_of_the_start_is_kept_for_the_page():
    tail = LogTail(length=2)
    for message, arguments in (("step %d", (1,)), ("step %d", (2,)), ("bad %d", ("word",))):
        tail.handle(
            logging.LogRecord("lab.stage", logging.INFO, __file__, 1, message, arguments, None)
        )
    assert tail.lines[0] == "INFO    lab.stage: step 2"
    assert "bad %d" in tail.lines[1]


def test_a_traceback_is_shown_only_with_debug():
    error = ServerConfigurationError("things.a: no")
    quiet, loud = explain(error, LogTail()), explain(error, LogTail(), debug=True)
    assert (quiet["error"], quiet["traceback"]) == ("things.a: no", "")
    assert "ServerConfigurationError: things.a: no" in loud["traceback"]
    assert explain(OSError("gone"), LogTail())["error"] == "OSError: gone"


def test_the_documented_app_is_one_of_these():
    assert isinstance(fallback.app, FallbackApp)
