"""The actor of a request: bearer tokens, HTTP Basic and session cookies; no I/O."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from collections import OrderedDict
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from .credentials import Credential, check_password, digest, find_token
from .sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .roles import Actor

MOST_REMEMBERED: Final = 1000


class NamePassword(NamedTuple):
    """Name and password of HTTP Basic (RFC 7617)."""

    name: str
    password: str


def bearer_token(authorization: str) -> str | None:
    """Return the token of an `Authorization` header, or None (RFC 6750, section 2.1)."""
    scheme, _, rest = authorization.partition(" ")
    return rest.strip() or None if scheme.lower() == "bearer" else None


def basic_pair(authorization: str) -> NamePassword | None:
    """Return name and password of an `Authorization` header, or None (RFC 7617, section 2)."""
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(rest.strip(), validate=True).decode("utf-8", "surrogateescape")
    except (ValueError, binascii.Error):
        return None
    name, colon, password = text.partition(":")
    return NamePassword(name, password) if colon else None


def cookie_value(header: str, name: str) -> str | None:
    """Return one cookie of a `Cookie` header (RFC 6265, section 4.2)."""
    for part in header.split(";"):
        found, _, value = part.strip().partition("=")
        if found == name:
            return value
    return None


class Authenticator:
    """Finds the actor of a request among the credentials; used on the server's event loop.

    Checking a password is slow on purpose, so `check` may be called from a worker thread, and
    `remember` caches the result. The cache holds keyed hashes, and no passwords.
    """

    def __init__(
        self,
        credentials: Callable[[], Sequence[Credential]],
        *,
        cookie: str = "labthings_session",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Call `credentials` for each request: the list may change."""
        self._credentials = credentials
        self._now = now
        self.cookie = cookie
        self.sessions = Sessions()
        self._secret = secrets.token_bytes(32)
        self._remembered: OrderedDict[bytes, str] = OrderedDict()  # oldest first

    def by_bearer(self, authorization: str) -> Credential | None:
        """Return the credential of a bearer token, or of a token sent as a Basic password."""
        pair = basic_pair(authorization)
        token = pair.password if pair is not None else bearer_token(authorization)
        return self._valid(find_token(self._credentials(), token)) if token else None

    def by_cookie(self, cookies: str) -> Credential | None:
        """Return the credential of a browser's session."""
        id = cookie_value(cookies, self.cookie)
        credential_hash = self.sessions.find(id) if id else None
        return self._with_hash(credential_hash) if credential_hash is not None else None

    def remembered(self, pair: NamePassword) -> Credential | None:
        """Return the credential of a name and password that were checked before."""
        credential_hash = self._remembered.get(self._key(pair))
        return self._with_hash(credential_hash) if credential_hash is not None else None

    def check(self, pair: NamePassword) -> Credential | None:
        """Return the credential of a name and password; takes about 0.1 s."""
        return self._valid(check_password(self._credentials(), *pair))

    def remember(self, pair: NamePassword, credential: Credential) -> None:
        """Cache that this name and password are right."""
        self._remembered[self._key(pair)] = credential.hash
        if len(self._remembered) > MOST_REMEMBERED:
            self._remembered.popitem(last=False)

    def actor(self, authorization: str | None, cookies: str | None) -> Actor | None:
        """Return the actor of a request; None also for a password that is not in the cache."""
        found: Credential | None = None
        if authorization is not None:
            found = self.by_bearer(authorization)
            if found is None and (pair := basic_pair(authorization)) is not None:
                found = self.remembered(pair)
        elif cookies is not None and (found := self.by_cookie(cookies)) is not None:
            session = digest(cookie_value(cookies, self.cookie) or "")
            return replace(found.actor, session=session)
        return found.actor if found is not None else None

    def _key(self, pair: NamePassword) -> bytes:
        text = f"{len(pair.name)}:{pair.name}:{pair.password}"
        return hmac.digest(self._secret, text.encode("utf-8", "surrogateescape"), "sha256")

    def _with_hash(self, credential_hash: str) -> Credential | None:
        for credential in self._credentials():
            if hmac.compare_digest(credential.hash, credential_hash):
                return self._valid(credential)
        return None

    def _valid(self, credential: Credential | None) -> Credential | None:
        if credential is None or not credential.is_valid_at(self._now()):
            return None
        return credential
