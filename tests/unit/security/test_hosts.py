from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labthings_fastapi.security.hosts import HostRule, is_ip_literal, own_names, split_host


@pytest.mark.parametrize(
    ("header", "parts"),
    [
        ("localhost", ("localhost", None)),
        ("LocalHost.:5000", ("localhost", "5000")),
        ("127.0.0.1:80", ("127.0.0.1", "80")),
        ("[::1]:5000", ("[::1]", "5000")),
        ("[::1]", ("[::1]", None)),
        ("microscope.local", ("microscope.local", None)),
    ],
)
def test_a_host_header_has_a_name_and_maybe_a_port(header, parts):
    assert split_host(header) == parts


@pytest.mark.parametrize(
    "header", ["", ":80", "a b", "a:b", "a:1:2", "a@b", "a/b", "[::1", "a\\b", "a:123456", "[]"]
)
def test_a_malformed_header_is_no_host(header):
    assert split_host(header) is None
    assert not HostRule(["a", "b"]).allows(header.encode())


@given(st.text())
def test_no_text_makes_the_rule_fail(text):
    assert HostRule(["lab"]).allows(text.encode("utf-8", "replace")) in (True, False)


@pytest.mark.parametrize("name", ["127.0.0.1", "10.1.2.3", "[::1]", "[fe80::1%eth0]"])
def test_addresses_are_literals_and_always_allowed(name):
    assert is_ip_literal(name)
    assert HostRule([]).allows(f"{name}:5000".encode())


@pytest.mark.parametrize(
    "name",
    ["127.0.0.1.evil.example", "1.2.3", "localhost", "0x7f000001", "127.0.0.1%.evil.example"],
)
def test_names_that_look_like_addresses_are_names(name):
    assert not is_ip_literal(name)
    assert not HostRule([]).allows(name.encode())


def test_the_names_of_the_computer_are_accepted():
    rule = HostRule(own_names("Microscope1"))
    for name in (b"localhost", b"microscope1", b"MICROSCOPE1:5000", b"microscope1.local."):
        assert rule.allows(name)
    for name in (b"microscope1.evil.example", b"localhost.evil.example", b"evil"):
        assert not rule.allows(name)


def test_a_computer_without_a_name_is_localhost():
    assert own_names("") == {"localhost"}


def test_a_header_that_was_accepted_is_known_and_another_one_is_not():
    rule = HostRule(["lab"])
    assert not rule.knows(b"lab:5000")
    assert rule.allows(b"lab:5000")
    assert rule.knows(b"lab:5000")
    assert not rule.allows(b"evil")
    assert not rule.knows(b"evil")


def test_the_number_of_known_headers_is_bounded():
    rule = HostRule(["lab"])
    for port in range(3000):
        assert rule.allows(b"lab:%d" % port)
    assert sum(rule.knows(b"lab:%d" % port) for port in range(3000)) == 1000
