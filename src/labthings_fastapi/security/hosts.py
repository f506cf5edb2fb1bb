"""Which names a server answers to: the defence against DNS rebinding; pure.

A web page can let its own host name point at a laboratory's computer, and would then be "same
origin" with it. It cannot choose the `Host` header, though, so an unknown name is refused (421).
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_HOST = re.compile(r"(\[[0-9A-Za-z:.%_~-]+\]|[^:\[\]/@\\\s]+)(?::([0-9]{1,5}))?")
MOST_KEPT = 1000


def split_host(header: str) -> tuple[str, str | None] | None:
    """Return name and port of a `Host` header (RFC 9110, section 7.2); None if it is malformed."""
    found = _HOST.fullmatch(header)
    if found is None:
        return None
    return found[1].lower().rstrip("."), found[2]


def is_ip_literal(name: str) -> bool:
    """Whether the host of a URL is an address and no name, about which DNS could be made to lie."""
    try:
        if name.startswith("["):  # with the name of a network card, perhaps (RFC 6874)
            ipaddress.IPv6Address(name[1:-1].partition("%")[0])
        else:
            ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True


def own_names(host_name: str) -> frozenset[str]:
    """Return by what names this computer is known without asking the network."""
    name = host_name.lower().rstrip(".")
    return frozenset({"localhost", name, f"{name}.local"} if name else {"localhost"})


class HostRule:
    """Tells for a `Host` header whether it is one of ours; used on one event loop."""

    def __init__(self, names: Iterable[str]) -> None:
        """Answer to these names, without ports, and to every IP literal."""
        self._names = {name.lower().rstrip(".") for name in names}
        self._known: set[bytes] = set()  # headers that were allowed before, as clients sent them

    def add(self, name: str) -> None:
        """Answer to one more name."""
        self._names.add(name.lower().rstrip("."))

    def knows(self, header: bytes) -> bool:
        """Whether this very header was allowed before; costs one look-up."""
        return header in self._known

    def allows(self, header: bytes) -> bool:
        """Whether the name is ours, whatever the port."""
        if header in self._known:
            return True
        parts = split_host(header.decode("latin-1"))
        allowed = parts is not None and (parts[0] in self._names or is_ip_literal(parts[0]))
        if allowed and len(self._known) < MOST_KEPT:  # clients choose ports and addresses freely
            self._known.add(header)
        return allowed
