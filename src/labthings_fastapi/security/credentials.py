"""Tokens and passwords, stored as hashes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from labthings_fastapi.exceptions import CredentialError

from .roles import Actor, Role

TOKEN_PREFIX = "lt_"  # noqa: S105 - not a secret
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
SHORTEST_PASSWORD = 8
# OWASP's parameters for scrypt: 64 MiB of memory and about 0.1 s per check.
_SCRYPT = {"n": 2**16, "r": 8, "p": 1, "maxmem": 128 * 1024 * 1024, "dklen": 32}


def _aware(time: datetime | None) -> datetime | None:
    if time is not None and time.utcoffset() is None:
        raise ValueError("has no time zone")
    return time


def _base64(text: str) -> str:
    base64.b64decode(text, validate=True)
    return text


Moment = Annotated[datetime | None, AfterValidator(_aware)]


class Credential(BaseModel):
    """The name, role and hash of a token (SHA-256) or a password (scrypt); immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
    kind: Literal["token", "password"]
    role: Role
    things: dict[str, Role] = Field(default_factory=dict)
    hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    salt: Annotated[str, AfterValidator(_base64)] = ""
    created: Moment = None
    expires: Moment = None

    @property
    def actor(self) -> Actor:
        """The person or program that this credential authenticates."""
        return Actor(self.name, self.role, dict(self.things), self.hash)

    def is_valid_at(self, now: datetime) -> bool:
        """Return True if the credential has not expired."""
        return self.expires is None or now < self.expires

    def is_password(self, password: str) -> bool:
        """Return True if this is the password; takes about 0.1 s, which slows down guessing."""
        return hmac.compare_digest(_scrypt(password, base64.b64decode(self.salt)), self.hash)


def digest(token: str) -> str:
    """Return the hash of a token; only the hash is stored."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _scrypt(password: str, salt: bytes) -> str:
    data = password.encode("utf-8", "surrogateescape")
    return hashlib.scrypt(data, salt=salt, **_SCRYPT).hex()


def new_token(
    name: str, role: Role, things: dict[str, Role] | None = None, expires: datetime | None = None
) -> tuple[Credential, str]:
    """Make a token; return its credential, and its text, which is not stored."""
    text = f"{TOKEN_PREFIX}{secrets.token_urlsafe(32)}"
    credential = Credential(
        name=name,
        kind="token",
        role=role,
        things=things or {},
        hash=digest(text),
        created=datetime.now(UTC),
        expires=expires,
    )
    return credential, text


def new_password(
    name: str, password: str, role: Role, things: dict[str, Role] | None = None
) -> Credential:
    """Return the credential of a password.

    Raises:
        CredentialError: the password is too short.
    """
    if len(password) < SHORTEST_PASSWORD:
        raise CredentialError(
            f"The password has {len(password)} characters; choose one with at least "
            f"{SHORTEST_PASSWORD} characters."
        )
    salt = secrets.token_bytes(16)
    return Credential(
        name=name,
        kind="password",
        role=role,
        things=things or {},
        hash=_scrypt(password, salt),
        salt=base64.b64encode(salt).decode(),
        created=datetime.now(UTC),
    )


def find_token(credentials: Sequence[Credential], token: str) -> Credential | None:
    """Return the credential of a token, or None; in constant time for each credential."""
    token_hash = digest(token)
    found = None
    for credential in credentials:
        if credential.kind == "token" and hmac.compare_digest(credential.hash, token_hash):
            found = credential
    return found


def check_password(
    credentials: Sequence[Credential], name: str, password: str
) -> Credential | None:
    """Return the credential of a name and password, or None; equally slow for unknown names."""
    named = [each for each in credentials if each.kind == "password" and each.name == name]
    if not named:
        _scrypt(password, b"unknown name")
        return None
    return named[0] if named[0].is_password(password) else None
