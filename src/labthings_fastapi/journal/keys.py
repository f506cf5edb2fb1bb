"""What a client called a request, so that sending it twice starts one run (`Idempotency-Key`)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID

KEY_LIFETIME = timedelta(hours=24)
"""How long a key stands for its run; later it may name another one."""


def utc_now() -> datetime:
    """Return the time of day: aware, UTC."""
    return datetime.now(UTC)


def input_digest(input: bytes) -> str:
    """Return what tells one input from another, without keeping it."""
    return hashlib.sha256(input).hexdigest()


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """One key of one action, and the run that it stands for; `time` is aware UTC."""

    key: str
    thing: str
    action: str
    input_digest: str
    invocation: UUID
    time: datetime

    @property
    def name(self) -> tuple[str, str, str]:
        """What a key is found by: other actions may use the same text."""
        return self.key, self.thing, self.action

    def has_expired(self, now: datetime) -> bool:
        """Whether the key has stood for its run long enough."""
        return self.time < now - KEY_LIFETIME
