"""Whether a server can listen somewhere is known before hardware is opened."""

from __future__ import annotations

import socket

import pytest

from labthings_fastapi.server.listening import AddressError, check_address


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
