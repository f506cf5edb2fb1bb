"""The host names that a server accepts: the defence against DNS rebinding.

The owner of a web page can make its host name resolve to the address of a laboratory computer. The
page is then "same origin" with the server there. But the browser sends the page's host name in the
`Host` header, so a request with an unknown name is refused (421).
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
    match = _HOST.fullmatch(header)
    return (match[1].lower().rstrip("."), match[2]) if match is not None else None


def is_ip_literal(name: str) -> bool:
    """Return True if the host of a URL is an IP address, which needs no DNS."""
    try:
        if name.startswith("["):  # perhaps with a zone identifier (RFC 6874)
            ipaddress.IPv6Address(name[1:-1].partition("%")[0])
        else:
            ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True


def own_names(host_name: str) -> frozenset[str]:
    """Return the names of this computer that need no look-up in the network."""
    name = host_name.lower().rstrip(".")
    return frozenset({"localhost", name, f"{name}.local"} if name else {"localhost"})


class HostRule:
    """Decides which `Host` headers are accepted; used on one event loop."""

    def __init__(self, names: Iterable[str]) -> None:
        """Accept these names, with any port, and every IP literal."""
        self._names = {name.lower().rstrip(".") for name in names}
        self._known: set[bytes] = set()  # headers that were accepted before

    def add(self, name: str) -> None:
        """Accept one more name."""
        self._names.add(name.lower().rstrip("."))

    def knows(self, header: bytes) -> bool:
        """Return True if the same header was accepted before; fast."""
        return header in self._known

    def allows(self, header: bytes) -> bool:
        """Return True if the name is accepted; the port does not matter."""
        if header in self._known:
            return True
        parts = split_host(header.decode("latin-1"))
        allowed = parts is not None and (parts[0] in self._names or is_ip_literal(parts[0]))
        if allowed and len(self._known) < MOST_KEPT:  # bounded: clients choose ports and addresses
            self._known.add(header)
        return allowed
