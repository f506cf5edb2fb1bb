"""The page that shows why the server did not start."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

import labthings_fastapi as lt
from labthings_fastapi.exceptions import ServerConfigurationError
from labthings_fastapi.server import fallback
from labthings_fastapi.server.fallback import FallbackApp, FallbackContext, LogTail


@pytest.fixture
def app() -> FallbackApp:
    return FallbackApp()


def shown(app: FallbackApp) -> str:
    return TestClient(app, base_url="http://localhost", client=("127.0.0.1", 1)).get("/").text


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
@pytest.mark.parametrize("path", ["/", "/stage/move", "/docs", "/openapi.json", "/a/b%20c"])
def test_every_path_leads_to_the_page(app: FallbackApp, method: str, path: str) -> None:
    app.set_context(FallbackContext("no power"))
    client = TestClient(app, follow_redirects=False)
    answer = client.request(method, path)
    if path != "/":
        assert (answer.status_code, answer.headers["location"]) == (307, "/")
        answer = client.request(method, "/")
    assert answer.status_code == 500
    assert answer.headers["content-type"].startswith("text/html")
    if method != "HEAD":
        assert "no power" in answer.text


def test_programs_can_ask_whether_it_is_this_page(app: FallbackApp) -> None:
    answer = TestClient(app).get("/labthings_fallback")
    assert (answer.status_code, answer.json()) == (200, True)


def test_the_page_has_the_error_the_things_the_configuration_and_the_log(app: FallbackApp) -> None:
    config = {"things": {"stage": "lab:Stage", "lamp": "lab:Lamp"}, "more": 7}
    try:
        raise OSError("no such port")
    except OSError as error:
        app.set_context(FallbackContext(error, config=config, log_history="line one\nline two"))
    text = shown(app)
    for part in (
        "The LabThings server failed during startup.",
        *("OSError: no such port", "<li>stage</li>", "<li>lamp</li>"),
        *("&quot;more&quot;: 7", "Traceback (most recent call last)", "Logging", "line two"),
    ):
        assert part in text
    app.set_context(FallbackContext(error=OSError("gone")))
    assert "No logging information available." in shown(app)


def test_things_and_configuration_are_found_in_the_server(app: FallbackApp) -> None:
    config = lt.ThingServerConfig.model_validate({"things": {"stage": lt.Thing}})
    server: Any = SimpleNamespace(things={"stage": None}, config=config)
    app.set_context(FallbackContext(RuntimeError("no"), server))
    text = shown(app)
    assert "<li>stage</li>" in text
    assert "labthings_fastapi.thing.Thing" in text


def test_an_exit_after_a_failed_start_shows_the_failure(app: FallbackApp) -> None:
    failure = {"thing": "stage", "exception": OSError("no such port")}
    server: Any = SimpleNamespace(startup_failure=failure)
    app.set_context(FallbackContext(SystemExit(3), server))
    assert "OSError: no such port" in shown(app)
    app.set_context(FallbackContext(OSError("another"), server))
    assert "no such port" not in shown(app)


def test_other_computers_see_the_error_and_nothing_more(app: FallbackApp) -> None:
    config = {"things": {"stage": "secret"}}
    app.set_context(
        FallbackContext("no power", config=config, log_history="secret detail"),
    )
    client = TestClient(app, base_url="http://localhost", client=("192.0.2.7", 1))
    text = client.get("/").text
    assert "no power" in text
    assert "secret" not in text
    assert "secret detail" in shown(app)


def test_a_foreign_host_name_is_refused(app: FallbackApp) -> None:
    app.set_context(error="no power")
    client = TestClient(app, base_url="http://evil.example", client=("127.0.0.1", 1))
    for path in ("/", "/elsewhere"):
        answer = client.get(path, follow_redirects=False)
        assert answer.status_code == 421
        assert "no power" not in answer.text


def test_values_are_shown_as_text_and_not_as_markup(app: FallbackApp) -> None:
    app.set_context(error="<script>alert(1)</script> \ud800 $log")
    text = shown(app)
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    app.set_template_str("<p>{{ error_message }}</p>")
    assert "<script>" not in shown(app)


def test_a_laboratory_may_use_its_own_page_and_words(app: FallbackApp) -> None:
    app.set_template_str(
        "{{ error_message }} in {{ room }}{% if traceback %} {{ traceback }}{% endif %}:"
        "{% for name in things %} {{ name }}{% endfor %}"
    )
    app.set_context({"error": "dark", "config": {"things": {"a": 1, "b": 2}}}, room=12)
    assert shown(app) == "dark in 12: a b"


def test_without_a_context_or_with_a_bad_template_there_is_a_page_too(app: FallbackApp) -> None:
    assert "LabThings Internal Error" in shown(app)
    app.set_context(error="dark")
    app.set_template_str("{{ nothing.at.all() }}")
    assert "LabThings Internal Error" in shown(app)


def test_the_log_of_the_start_is_kept_for_the_page() -> None:
    tail = LogTail(length=2)
    for message, arguments in (("step %d", (1,)), ("step %d", (2,)), ("bad %d", ("word",))):
        tail.handle(
            logging.LogRecord("lab.stage", logging.INFO, __file__, 1, message, arguments, None)
        )
    assert tail.lines[0] == "INFO    lab.stage: step 2"
    assert "bad %d" in tail.lines[1]


def test_an_error_of_the_configuration_is_shown_in_its_own_words(app: FallbackApp) -> None:
    app.set_context(FallbackContext(ServerConfigurationError("things.a: no")))
    assert "<pre>things.a: no</pre>" in shown(app)


def test_the_documented_app_is_one_of_these() -> None:
    assert isinstance(fallback.app, FallbackApp)
