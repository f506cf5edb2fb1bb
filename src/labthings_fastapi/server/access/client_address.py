"""Who is at the other end of a connection, as far as addresses tell."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final, NamedTuple

from labthings_fastapi.security.addresses import is_loopback

if TYPE_CHECKING:
    from starlette.types import Scope

MOST_PEERS: Final = 1000
FORWARDED: Final = frozenset({b"x-forwarded-for", b"forwarded", b"x-real-ip"})
"""By these a proxy says for whom it asks; anybody else may send them, too."""


class ClientAddress(NamedTuple):
    """Who is at the other end: the IP address or "unknown", or None in this very process."""

    address: str | None
    is_local: bool


STRANGER: Final = ClientAddress("unknown", False)  # the word of RFC 7239, section 6.2


class ClientAddresses:
    """Tells peers by the scopes of their requests; used on one event loop."""

    def __init__(self) -> None:
        """Know nobody yet."""
        self._known: dict[str, ClientAddress] = {}

    def seen(self, scope: Scope) -> ClientAddress | None:
        """Return whose address was looked at before, whatever the headers say; costs a look-up."""
        client = scope.get("client")
        return self._known.get(client[0]) if client else None

    def of(self, scope: Scope) -> ClientAddress:
        """Return who is at the other end.

        ASGI servers put what `X-Forwarded-For` says in the place of an address, be it nonsense:
        who sends such a header is neither in this process nor, for all we know, on this computer.
        """
        client = scope.get("client")
        name = client[0] if client else ""
        found = self._known.get(name)
        if found is None:
            found = _peer(name)
            if len(self._known) >= MOST_PEERS:
                self._known.clear()
            self._known[name] = found
        if found.is_local and _came_through_a_proxy(scope, found):
            return STRANGER
        return found


def _peer(name: str) -> ClientAddress:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return ClientAddress(None, True)
    return ClientAddress(name, is_loopback(name))  # an address is not looked up


def _came_through_a_proxy(scope: Scope, peer: ClientAddress) -> bool:
    """Whether a proxy asks for somebody whose address the ASGI server did not find out."""
    for name, value in scope["headers"]:
        if name in FORWARDED:
            found = peer
            if name != b"x-forwarded-for":  # which the ASGI server has read
                found = _peer(value.decode("latin-1"))
            if found.address is None or not found.is_local:
                return True
    return False
