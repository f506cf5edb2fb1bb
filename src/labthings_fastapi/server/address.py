"""The address on which a server listens, and its sockets."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from labthings_fastapi.exceptions import LabThingsError


@dataclass(frozen=True, slots=True)
class ListenAddress:
    host: str
    port: int
    tls: bool = False
    addresses: tuple[str, ...] = ()  # IP addresses of the server's sockets

    @property
    def scheme(self) -> Literal["http", "https"]:
        return "https" if self.tls else "http"

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}/"


class AddressError(LabThingsError, OSError):
    """The server cannot listen on its address: the port is taken, or the address is not ours."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(
            f"Port {port} of {host!r} cannot be used: {reason}. Stop the program that uses it, or "
            "choose another host or port."
        )


def check_address(host: str, port: int) -> None:
    """Make sure, before hardware is opened, that a server can listen on this address."""
    close_all(bind(host, port))


def bind(host: str, port: int) -> list[socket.socket]:
    """Return one socket for each address of the host. The sockets do not listen yet."""
    sockets: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, _, protocol, _, address in dict.fromkeys(found):
            new = _make_socket(family, protocol)
            if new is not None:
                sockets.append(new)
                new.bind((address[0], port, *address[2:]))
                port = int(new.getsockname()[1])
        if not sockets:
            raise OSError("this computer has no such network")
    except (OSError, UnicodeError) as error:
        close_all(sockets)
        reason = getattr(error, "strerror", None) or str(error)
        raise AddressError(host, port, reason) from error
    return sockets


def _make_socket(family: int, protocol: int) -> socket.socket | None:
    try:
        new = socket.socket(family, socket.SOCK_STREAM, protocol)
    except OSError:  # the kernel was built without this family
        return None
    if os.name == "posix":  # elsewhere the option would share a port that is in use
        new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:  # IPv4 has a socket of its own
        new.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return new


def listen_address(sockets: list[socket.socket], host: str, *, tls: bool) -> ListenAddress:
    addresses = tuple(str(each.getsockname()[0]) for each in sockets)
    return ListenAddress(host, int(sockets[0].getsockname()[1]), tls, addresses)


def close_all(sockets: Iterable[socket.socket]) -> None:
    for each in sockets:
        each.close()
