"""What web pages of other origins may do; pure.

Browsers send in `Origin` (RFC 6454) and `Sec-Fetch-Site` which page made a request, and the page
cannot change either. Programs that are no browsers send neither.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from .hosts import split_host

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110, section 9.2.1)."""
_DEFAULT_PORTS: Final = {"http": "80", "https": "443", "ws": "80", "wss": "443"}
_ORIGIN: Final = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?")

Headers = Mapping[bytes, bytes]


def checked_origin(text: str) -> str:
    """Return an origin as browsers write it, for the list of those that are allowed.

    Raises:
        ValueError: it is a wildcard, or has a path, or is none.
    """
    origin = text.strip().lower().removesuffix("/")
    if not _ORIGIN.fullmatch(origin):
        raise ValueError(
            f"{text!r} is no origin: write scheme, host and, if it is unusual, port, as "
            "'https://lab.example' or 'http://localhost:3000'; wildcards are not accepted"
        )
    scheme, _, rest = origin.partition("://")
    return f"{scheme}://{rest.removesuffix(':' + _DEFAULT_PORTS[scheme])}"


def is_own(origin: str, host: str, scheme: str) -> bool:
    """Whether an `Origin` has the host and port that the `Host` header has."""
    if not _ORIGIN.fullmatch(origin):  # with a path or a user, say, which no browser sends
        return False
    try:
        parts = urlsplit(origin)
        port = str(parts.port) if parts.port is not None else None
    except ValueError:
        return False
    ours = split_host(host)
    if ours is None or not parts.hostname:
        return False
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    theirs = name.rstrip("."), port or _DEFAULT_PORTS.get(parts.scheme)
    # Behind a proxy that ends TLS the page is https and we are http: both defaults are "no port".
    return theirs in (
        (ours[0], ours[1] or _DEFAULT_PORTS.get(scheme)),
        (ours[0], ours[1] or _DEFAULT_PORTS.get(parts.scheme)),
    )


class OriginRule:
    """Decides which requests of web pages are refused; immutable."""

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        """Allow pages of the server's own origin, and of these."""
        self.allowed = allowed

    def is_foreign(self, headers: Headers, scheme: str) -> bool:
        """Return True if the page is neither of the server's own origin nor allowed.

        Without `Origin`, `Sec-Fetch-Site` decides. A request without both comes from no page.
        """
        origin = headers.get(b"origin")
        if origin is None:
            return headers.get(b"sec-fetch-site") == b"cross-site"
        text = origin.decode("latin-1").lower()
        if text in self.allowed:
            return False
        return not is_own(text, headers.get(b"host", b"").decode("latin-1"), scheme)

    def is_cross_origin(self, headers: Headers, scheme: str) -> bool:
        """Return True if the page is of another origin, allowed or not."""
        origin = headers.get(b"origin")
        if origin is None:
            return headers.get(b"sec-fetch-site") in (b"cross-site", b"same-site")
        return not is_own(
            origin.decode("latin-1").lower(), headers.get(b"host", b"").decode("latin-1"), scheme
        )

    def refuses(self, kind: str, method: str, headers: Headers, scheme: str) -> bool:
        """Return True for a foreign page that wants to change something, or to follow a stream.

        `kind` is the type of the ASGI scope, `http` or `websocket`.
        """
        if b"origin" not in headers and b"sec-fetch-site" not in headers:
            return False
        if method == "OPTIONS" and b"access-control-request-method" in headers:
            return self.is_foreign(headers, scheme)
        if method in SAFE_METHODS and kind == "http":
            if headers.get(b"sec-fetch-mode") == b"no-cors":
                # As an image or a script of that page. The page cannot read it.
                return headers.get(b"sec-fetch-site") in (b"cross-site", b"same-site")
            # The page cannot read the response, but a stream would stay open.
            if b"text/event-stream" not in headers.get(b"accept", b""):
                return False
            if b"origin" not in headers:
                return False
        return self.is_foreign(headers, scheme)
