"""Network addresses that only the own computer can reach."""

from __future__ import annotations

import ipaddress
import socket


def is_loopback(host: str) -> bool:
    """Return True if only this computer can reach a server that listens at this host.

    A name counts as loopback if all of its addresses are (127.0.0.0/8 or ::1, RFC 6890). An empty
    host means all interfaces and is no loopback; neither is a name that cannot be resolved.
    Resolving a name may take seconds, so do not call this on an event loop.
    """
    if host.lower().rstrip(".") == "localhost":  # always loopback (RFC 6761, section 6.3)
        return True
    if not host:
        return False
    if (literal := _literal(host)) is not None:
        return _on_loopback(literal)
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # unknown name, or not a valid name
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
