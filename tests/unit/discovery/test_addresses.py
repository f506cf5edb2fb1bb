"""The addresses under which a server is announced."""

from __future__ import annotations

import pytest

from labthings_fastapi.discovery.addresses import announced_addresses, own_addresses

ALL = "0.0.0.0"  # noqa: S104 - nothing listens here
OWN = ["127.0.0.1", "192.0.2.7", "198.51.100.1", "::1", "2001:db8::7", "fe80::1"]


@pytest.mark.parametrize(
    ("bound", "found"),
    [
        (["192.0.2.7"], ["192.0.2.7"]),
        ([ALL], ["192.0.2.7", "198.51.100.1"]),
        (["::"], ["2001:db8::7"]),
        ([ALL, "::"], ["192.0.2.7", "198.51.100.1", "2001:db8::7"]),
        (["192.0.2.7", "192.0.2.7"], ["192.0.2.7"]),
        (["127.0.0.1"], []),
        (["::1", "127.0.0.1"], []),
        (["fe80::1%eth0"], []),
        (["127.0.0.1", "192.0.2.7"], ["192.0.2.7"]),
    ],
)
def test_bound_addresses_that_others_can_reach_are_announced(bound, found):
    assert announced_addresses(bound, OWN) == found


@pytest.mark.parametrize(
    ("bound", "own", "found"),
    [
        (["127.0.0.1"], OWN, ["127.0.0.1"]),
        ([ALL], OWN, ["192.0.2.7", "198.51.100.1"]),
        ([ALL], ["127.0.0.1", "::1"], ["127.0.0.1"]),
    ],
)
def test_loopback_is_announced_only_on_request_and_without_others(bound, own, found):
    assert announced_addresses(bound, own, loopback=True) == found


def test_the_addresses_of_this_computer_are_found():
    assert "127.0.0.1" in own_addresses()
