"""The addresses under which a server is announced."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Address = IPv4Address | IPv6Address


def announced_addresses(
    bound: Iterable[str], own: Iterable[str] | None = None, *, loopback: bool = False
) -> list[str]:
    """Return the addresses to announce for a server whose sockets are bound to `bound`.

    A socket that is bound to all addresses is reached at each address in `own`, by default the
    present addresses of this computer. Loopback addresses are announced only with `loopback`, and
    only if there are no others. Link-local IPv6 addresses are left out: they mean nothing without
    an interface.
    """
    sockets = [_parse(text) for text in bound]
    found = [address for address in sockets if not address.is_unspecified]
    versions = {address.version for address in sockets if address.is_unspecified}
    if versions:
        computer = map(_parse, own_addresses() if own is None else own)
        found += [address for address in computer if address.version in versions]
    found = [each for each in found if not (each.version == 6 and each.is_link_local)]
    external = [address for address in found if not address.is_loopback]
    chosen = external or (found if loopback else [])
    return list(dict.fromkeys(map(str, chosen)))


def own_addresses() -> list[str]:
    """Return the addresses of this computer's network interfaces."""
    import ifaddr

    return [
        ip.ip if isinstance(ip.ip, str) else ip.ip[0]
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
    ]


def _parse(text: str) -> Address:
    return ip_address(text.partition("%")[0])
