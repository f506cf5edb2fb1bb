"""Where a server listens: its sockets, and what others need to know of the place."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from labthings_fastapi.server.address import AddressError, ListenAddress

if TYPE_CHECKING:
    from collections.abc import Iterable


def check_address(host: str, port: int) -> None:
    """Make sure, before hardware is opened, that a server can listen here.

    Raises:
        AddressError: it cannot.
    """
    close_all(bind(host, port))


def bind(host: str, port: int) -> list[socket.socket]:
    """Return a socket for each address of the host, which do not listen yet.

    A name may have several, as `localhost` has one of each family; an empty host stands for all
    interfaces. With port 0 the system chooses one, the same for all of them.

    Raises:
        AddressError: there is no such address here, or the port is taken.
    """
    bound: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, _, protocol, _, address in dict.fromkeys(found):
            made = _socket(family, protocol)
            if made is not None:
                bound.append(made)
                made.bind((address[0], port, *address[2:]))
                port = _port_of(made)
        if not bound:
            raise OSError("this computer has no such network")
    except (OSError, UnicodeError) as error:
        close_all(bound)
        reason = getattr(error, "strerror", None) or str(error)
        raise AddressError(host, port, reason) from error
    return bound


def _socket(family: int, protocol: int) -> socket.socket | None:
    try:
        made = socket.socket(family, socket.SOCK_STREAM, protocol)
    except OSError:  # a family that the kernel was built without
        return None
    if os.name == "posix":  # elsewhere the option would share a port that is in use
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:  # IPv4 has a socket of its own
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return made


def _port_of(bound: socket.socket) -> int:
    return int(bound.getsockname()[1])


def bound_to(sockets: list[socket.socket], host: str, *, tls: bool) -> ListenAddress:
    """Say where these sockets, which `bind` made for this host, are."""
    addresses = tuple(str(each.getsockname()[0]) for each in sockets)
    return ListenAddress(host, _port_of(sockets[0]), tls, addresses)


def close_all(sockets: Iterable[socket.socket]) -> None:
    """Close sockets; harmless twice."""
    for each in sockets:
        each.close()
