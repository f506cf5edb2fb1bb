"""Rules for web pages of other origins.

Browsers send the origin of the page in `Origin` (RFC 6454) and `Sec-Fetch-Site`; a page cannot
change these headers. Programs that are not browsers send neither.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from .hosts import split_host

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110, section 9.2.1)."""
EVERYBODY: Final = "*"
"""Stands for the pages of every origin."""
_DEFAULT_PORTS: Final = {"http": "80", "https": "443", "ws": "80", "wss": "443"}
_ORIGIN: Final = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?")

Headers = Mapping[bytes, bytes]


def checked_origin(text: str) -> str:
    """Return an origin in the form that browsers send, or `*`.

    Raises:
        ValueError: the text is not an origin: it has a path, for example.
    """
    if text == EVERYBODY:
        return text
    origin = text.strip().lower().removesuffix("/")
    if not _ORIGIN.fullmatch(origin):
        raise ValueError(
            f"{text!r} is not an origin: write scheme, host and, if it is not the default, "
            "port, as in 'https://lab.example' or 'http://localhost:3000'; or '*' for every page"
        )
    scheme, _, rest = origin.partition("://")
    return f"{scheme}://{rest.removesuffix(':' + _DEFAULT_PORTS[scheme])}"


def is_own(origin: str, host: str, scheme: str) -> bool:
    """Return True if an `Origin` has the same host and port as the `Host` header."""
    if not _ORIGIN.fullmatch(origin):
        return False
    try:
        parts = urlsplit(origin)
        port = str(parts.port) if parts.port is not None else None
    except ValueError:
        return False
    own = split_host(host)
    if own is None or not parts.hostname:
        return False
    own_name, own_port = own
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if name.rstrip(".") != own_name:
        return False
    # Behind a proxy that ends TLS, the page is https and this server is http: a missing port means
    # the default of either scheme.
    return (port or _DEFAULT_PORTS.get(parts.scheme)) in (
        own_port or _DEFAULT_PORTS.get(scheme),
        own_port or _DEFAULT_PORTS.get(parts.scheme),
    )


class OriginRule:
    """Decides which requests of web pages are accepted; immutable."""

    def __init__(
        self, allowed: frozenset[str] = frozenset(), pattern: re.Pattern[str] | None = None
    ) -> None:
        """Accept pages of this server's own origin, and of others.

        Those are the origins in `allowed` (`*` is all of them, `null` included), and what the whole
        of `pattern` matches.
        """
        self.allowed = allowed
        self.pattern = pattern

    @property
    def allows_everybody(self) -> bool:
        """Whether the pages of every origin are accepted."""
        return EVERYBODY in self.allowed

    def allows(self, origin: str) -> bool:
        """Return True if pages of another origin, as in the header `Origin`, are accepted."""
        if origin in self.allowed or self.allows_everybody:
            return True
        return self.pattern is not None and self.pattern.fullmatch(origin) is not None

    def is_foreign(self, headers: Headers, scheme: str) -> bool:
        """Return True if a request comes from a page of an origin that is not allowed.

        Without `Origin`, `Sec-Fetch-Site` decides. Without both, no page sent the request.
        """
        origin = headers.get(b"origin")
        if origin is None:
            return headers.get(b"sec-fetch-site") == b"cross-site" and not self.allows_everybody
        text = origin.decode("latin-1").lower()
        if self.allows(text):
            return False
        return not is_own(text, headers.get(b"host", b"").decode("latin-1"), scheme)

    def is_cross_origin(self, headers: Headers, scheme: str) -> bool:
        """Return True if a request comes from a page of another origin, allowed or not."""
        origin = headers.get(b"origin")
        if origin is None:
            return headers.get(b"sec-fetch-site") in (b"cross-site", b"same-site")
        return not is_own(
            origin.decode("latin-1").lower(), headers.get(b"host", b"").decode("latin-1"), scheme
        )

    def refuses(self, kind: str, method: str, headers: Headers, scheme: str) -> bool:
        """Return True if a request must be refused.

        Requests of foreign pages that change something or open a stream or socket are refused;
        `kind` is the type of the ASGI scope.
        """
        if b"origin" not in headers and b"sec-fetch-site" not in headers:
            return False
        if method == "OPTIONS" and b"access-control-request-method" in headers:
            return self.is_foreign(headers, scheme)  # a preflight (Fetch, section 3.3)
        if method in SAFE_METHODS and kind == "http":
            if headers.get(b"sec-fetch-mode") == b"no-cors":
                # An image or a script: without CORS, the browser would show it in the page.
                return headers.get(b"sec-fetch-site") in (b"cross-site", b"same-site")
            # The browser hides the response from the page, but a stream would stay open.
            if b"text/event-stream" not in headers.get(b"accept", b""):
                return False
            if b"origin" not in headers:
                return False
        return self.is_foreign(headers, scheme)
