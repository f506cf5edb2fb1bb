from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labthings_fastapi.security.origins import OriginRule, checked_origin, is_own

OURS = b"lab.example:5000"
FRIEND = "https://notebook.example"


def headers(**named):
    found = {b"host": OURS}
    return found | {name.replace("_", "-").encode(): value for name, value in named.items()}


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://lab.example", "https://lab.example"),
        ("HTTPS://Lab.Example/", "https://lab.example"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://lab.example:80", "http://lab.example"),
        ("https://lab.example:443", "https://lab.example"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_an_origin_is_written_as_browsers_write_it(text, origin):
    assert checked_origin(text) == origin


@pytest.mark.parametrize(
    "text",
    ["https://*.example", "lab.example", "https://lab.example/path", "null", "", "ftp://a"],
)
def test_wildcards_paths_and_other_texts_are_no_origins(text):
    with pytest.raises(ValueError, match="is not an origin"):
        checked_origin(text)


@pytest.mark.parametrize(
    ("origin", "host", "scheme"),
    [
        ("http://lab.example:5000", "lab.example:5000", "http"),
        ("http://lab.example", "lab.example", "http"),
        ("http://lab.example", "lab.example:80", "http"),
        ("https://lab.example", "lab.example", "https"),
        ("http://[::1]:5000", "[::1]:5000", "http"),
        # A proxy ends TLS and speaks http with us.
        ("https://lab.example", "lab.example", "http"),
    ],
)
def test_a_page_of_the_same_host_and_port_is_our_own(origin, host, scheme):
    assert is_own(origin, host, scheme)


@pytest.mark.parametrize(
    "origin",
    [
        "http://lab.example",
        "http://lab.example:5001",
        "http://evil.example:5000",
        "http://lab.example.evil.example:5000",
        "null",
        "",
        "http://lab.example:port",
        "http://[",
        "file://",
        "//lab.example:5000",
        "http://evil@lab.example:5000",
        "http://lab.example:5000/page",
    ],
)
def test_any_other_page_is_not(origin):
    assert not is_own(origin, "lab.example:5000", "http")


@given(st.text(), st.text())
def test_no_text_makes_the_comparison_fail(origin, host):
    assert is_own(origin, host, "http") in (True, False)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "WEIRD"])
def test_a_foreign_page_may_change_nothing(method):
    rule = OriginRule()
    assert rule.refuses("http", method, headers(origin=b"http://evil.example"), "http")
    assert rule.refuses("http", method, headers(origin=b"null"), "http")
    assert rule.refuses("http", method, headers(sec_fetch_site=b"cross-site"), "http")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_programs_and_our_own_pages_may(method):
    rule = OriginRule()
    assert not rule.refuses("http", method, headers(), "http")
    own = headers(origin=b"http://" + OURS, sec_fetch_site=b"same-origin")
    assert not rule.refuses("http", method, own, "http")
    assert not rule.refuses("http", method, headers(sec_fetch_site=b"none"), "http")


def test_a_page_that_is_allowed_may_although_it_is_cross_site():
    rule = OriginRule(frozenset({FRIEND}))
    asked = headers(origin=FRIEND.encode(), sec_fetch_site=b"cross-site")
    assert not rule.refuses("http", "POST", asked, "http")
    assert not rule.refuses("websocket", "GET", asked, "http")
    other = headers(origin=b"https://notebook.example.evil.example", sec_fetch_site=b"cross-site")
    assert rule.refuses("http", "POST", other, "http")


def test_a_foreign_page_may_not_keep_a_line_open():
    rule = OriginRule()
    evil = {"origin": b"http://evil.example"}
    assert rule.refuses("websocket", "GET", headers(**evil), "http")
    assert rule.refuses("http", "GET", headers(**evil, accept=b"text/event-stream"), "http")
    assert not rule.refuses("http", "GET", headers(**evil, accept=b"application/json"), "http")


@pytest.mark.parametrize(
    ("site", "mode", "refused"),
    [
        (b"cross-site", b"no-cors", True),
        (b"same-site", b"no-cors", True),
        (b"same-origin", b"no-cors", False),
        (b"cross-site", b"navigate", False),
        (b"none", b"navigate", False),
    ],
)
def test_nothing_is_part_of_a_foreign_page_but_links_lead_here(site, mode, refused):
    asked = headers(sec_fetch_site=site, sec_fetch_mode=mode)
    assert OriginRule().refuses("http", "GET", asked, "http") is refused
