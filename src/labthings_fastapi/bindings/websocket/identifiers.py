"""Ids of notifications, from which a sequence number can be read again."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labthings_fastapi.messages.broker import Broker
    from labthings_fastapi.messages.message import Message

_UUID8 = re.compile(
    r"([0-9a-f]{8})-([0-9a-f]{4})-8[0-9a-f]{3}-([89ab][0-9a-f]{3})-([0-9a-f]{12})", re.IGNORECASE
)
_VARIANT = 1 << 63


class NotificationIds:
    """Writes the `messageID` of notifications, and reads a client's `lastNotificationID`.

    An id is a UUID of version 8 (RFC 9562, section 5.8): a digest of the server's incarnation, the
    subscription (so that one message that concerns two has two ids), and the broker's number.
    Immutable, so any thread may use it.
    """

    def __init__(self, broker: Broker) -> None:
        """Speak for the life of the server that numbers the messages of `broker`."""
        self._boot_id = broker.boot_id
        digest = hashlib.blake2b(broker.boot_id.encode(), digest_size=6).hexdigest()
        self._digest = digest
        self._start = f"{digest[:8]}-{digest[8:]}-8"

    def write(self, message: Message, subscription: int) -> str:
        """Return the id of a message for one of a socket's subscriptions."""
        low = f"{_VARIANT | message.number:016x}"
        return f"{self._start}{subscription & 0xFFF:03x}-{low[:4]}-{low[4:]}"

    def read(self, last: str) -> str:
        """Return the sequence number in the id of a notification, or what was given instead.

        A number of another life of the server is returned as one that the broker does not know,
        so that it answers with a gap.
        """
        found = _UUID8.fullmatch(last)
        if found is None:
            return last
        if (found[1] + found[2]).lower() != self._digest:
            return f"another-life-{last}"
        number = int(found[3] + found[4], 16) & ~_VARIANT
        return f"{self._boot_id}-{number}"
