"""Names that clients give to requests, so that a repeated request starts one invocation only."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID

KEY_LIFETIME = timedelta(hours=24)
"""How long a key belongs to its invocation; later it may be used for another one."""


def utc_now() -> datetime:
    """Return the time of day: aware, UTC."""
    return datetime.now(UTC)


def input_digest(input: bytes) -> str:
    """Return a digest by which inputs are compared, so that the input itself is not kept."""
    return hashlib.sha256(input).hexdigest()


_SEPARATOR = "\n"  # neither names of actors nor headers have one


def owned(key: str, owner: str) -> str:
    """Return a key that belongs to an actor; without a name it belongs to everybody."""
    return f"{owner}{_SEPARATOR}{key}" if owner else key


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """The `Idempotency-Key` of one action and the invocation it started; `time` is aware UTC."""

    key: str
    thing: str
    action: str
    input_digest: str
    invocation: UUID
    time: datetime

    @property
    def text(self) -> str:
        """The key as its owner sent it."""
        return self.key.rpartition(_SEPARATOR)[2]

    @property
    def name(self) -> tuple[str, str, str]:
        """The identity of the key; another action may use the same text."""
        return self.key, self.thing, self.action

    def has_expired(self, now: datetime) -> bool:
        """Return whether the key may be used for another invocation."""
        return self.time < now - KEY_LIFETIME
