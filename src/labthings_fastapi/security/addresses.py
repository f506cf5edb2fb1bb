"""What addresses say about who can reach them."""

from __future__ import annotations

import ipaddress
import socket


def is_loopback(host: str) -> bool:
    """Tell whether a server that listens at this host is reached from its own computer only.

    A name counts if every address that it stands for is a loopback one (127.0.0.0/8 or ::1,
    RFC 6890). An empty host, which means all interfaces, and a name that cannot be looked up do
    not count: in doubt, somebody else could be listening. A look-up may take seconds where names
    come from a network, so this is not for an event loop.
    """
    if host.lower().rstrip(".") == "localhost":  # RFC 6761: never anything else
        return True
    if not host:
        return False
    if (literal := _literal(host)) is not None:
        return _on_loopback(literal)
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # no such name; no name at all
        return False
    addresses = [_literal(str(address[0])) for *_, address in found]
    return bool(addresses) and all(each is not None and _on_loopback(each) for each in addresses)


def _literal(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _on_loopback(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback
