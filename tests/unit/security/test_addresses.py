from __future__ import annotations

import socket

import pytest

from labthings_fastapi.security.addresses import is_loopback


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1", "localhost", "LocalHost", "localhost."],
)
def test_what_only_this_computer_reaches_is_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "192.0.2.1", "2001:db8::1", "fe80::1%1"])  # noqa: S104
def test_what_others_may_reach_is_not(host: str) -> None:
    assert not is_loopback(host)


def test_a_short_form_of_an_address_is_what_the_system_makes_of_it() -> None:
    """`127.1` is no literal of RFC 791, but listening there works, and is loopback."""
    assert is_loopback("127.1") is (socket.gethostbyname("127.1") == "127.0.0.1")


@pytest.mark.parametrize("host", ["no-such-name.invalid", "[::1]", "." * 300, "\udc80"])
def test_a_name_without_an_address_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_a_name_counts_only_if_all_of_its_addresses_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The names of a network cannot be had here, so what they resolve to is put in their place."""
    answers = {
        "inside": ["127.0.0.1", "::1"],
        "between": ["127.0.0.1", "192.0.2.1"],
        "nowhere": [],
    }
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *_, **__: [(0, 0, 0, "", (a, 0)) for a in answers[host]]
    )
    assert {name: is_loopback(name) for name in answers} == {
        "inside": True,
        "between": False,
        "nowhere": False,
    }
