"""A server finds out before it opens hardware whether it can listen on an address."""

from __future__ import annotations

import socket

import pytest

from labthings_fastapi.server.address import (
    AddressError,
    ListenAddress,
    bind,
    check_address,
    close_all,
    listen_address,
)


def test_a_free_port_is_left_free():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    for _ in range(2):
        check_address("127.0.0.1", port)
    check_address("localhost", 0)


def test_a_taken_port_is_named_with_the_remedy():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(AddressError, match=rf"Port {port} of '127\.0\.0\.1'.*choose another"):
            check_address("127.0.0.1", port)


def test_an_address_of_another_computer_is_refused():
    with pytest.raises(OSError, match=r"'192\.0\.2\.1' cannot be used"):
        check_address("192.0.2.1", 0)


def test_the_port_that_the_system_chose_is_known_before_the_server_listens():
    sockets = bind("127.0.0.1", 0)
    try:
        address = listen_address(sockets, "127.0.0.1", tls=True)
        port = sockets[0].getsockname()[1]
        assert address == ListenAddress("127.0.0.1", port, tls=True, addresses=("127.0.0.1",))
        assert address.port > 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((address.host, address.port), timeout=30)
    finally:
        close_all(sockets)


def test_a_name_is_bound_at_all_of_its_addresses_with_one_port():
    sockets = bind("localhost", 0)
    try:
        found = socket.getaddrinfo("localhost", None, type=socket.SOCK_STREAM)
        assert {each.getsockname()[0] for each in sockets} == {where[0] for *_, where in found}
        assert len({each.getsockname()[1] for each in sockets}) == 1
    finally:
        close_all(sockets)


@pytest.mark.parametrize(
    ("address", "url"),
    [
        (ListenAddress("lab", 80), "http://lab:80/"),
        (ListenAddress("::1", 5000, tls=True), "https://[::1]:5000/"),
    ],
)
def test_an_address_has_a_url(address, url):
    assert address.url == url


def test_an_unknown_name_is_refused():
    with pytest.raises(AddressError, match=r"'no-such-name\.invalid' cannot be used"):
        bind("no-such-name.invalid", 0)
