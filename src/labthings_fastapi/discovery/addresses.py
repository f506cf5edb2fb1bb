"""At which addresses a server that listens can be reached, by whom it may be found."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Address = IPv4Address | IPv6Address


def announced_addresses(
    bound: Iterable[str], own: Iterable[str] | None = None, *, loopback: bool = False
) -> list[str]:
    """Return the addresses to announce for a server whose sockets are bound to these.

    A socket that is bound to all addresses is reached at each of the computer's `own`, by default
    those that it has now. Loopback is for `loopback` only, and after all others: then it is left
    out where there is any other. Link-local IPv6 means nothing without its interface: left out.
    """
    given = [_parsed(text) for text in bound]
    found = [address for address in given if not address.is_unspecified]
    versions = {address.version for address in given if address.is_unspecified}
    if versions:
        every = map(_parsed, own_addresses() if own is None else own)
        found += [address for address in every if address.version in versions]
    found = [each for each in found if not (each.version == 6 and each.is_link_local)]
    beyond = [address for address in found if not address.is_loopback]
    chosen = beyond or (found if loopback else [])
    return list(dict.fromkeys(map(str, chosen)))


def own_addresses() -> list[str]:
    """Return the addresses of this computer's interfaces."""
    import ifaddr

    return [
        ip.ip if isinstance(ip.ip, str) else ip.ip[0]
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
    ]


def _parsed(text: str) -> Address:
    return ip_address(text.partition("%")[0])
