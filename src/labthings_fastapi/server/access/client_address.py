"""The address of a client; clients on this computer need no authentication by default."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Final, NamedTuple

from starlette.types import Scope

from labthings_fastapi.security.addresses import is_loopback

FORWARDED_HEADERS: Final = frozenset({b"x-forwarded-for", b"forwarded", b"x-real-ip"})
"""A proxy names its client in these headers; every other client may send them too."""


class ClientAddress(NamedTuple):
    """The IP address or "unknown"; None for a client in this process, such as a TestClient."""

    address: str | None
    is_local: bool


UNKNOWN: Final = ClientAddress("unknown", False)  # the word of RFC 7239, section 6.2


def client_of(scope: Scope) -> ClientAddress:
    client = scope.get("client")
    address = _remembered(client[0] if client else "")
    if address.is_local:
        for header, value in scope["headers"]:
            if header in FORWARDED_HEADERS and _is_remote(header, value, address):
                return UNKNOWN
    return address


def _parse(name: str) -> ClientAddress:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return ClientAddress(None, True)
    return ClientAddress(name, is_loopback(name))


_remembered = lru_cache(maxsize=1000)(_parse)  # not for names that clients choose


def _is_remote(header: bytes, value: bytes, client: ClientAddress) -> bool:
    """Return True if a proxy's header names a client on another computer, or is not readable."""
    if header != b"x-forwarded-for":  # the ASGI server has read this one into `client`
        client = _parse(value.decode("latin-1"))
    return client.address is None or not client.is_local
