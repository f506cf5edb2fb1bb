"""Ids of notifications, which contain the sequence number of their message."""

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
    """Converts between `messageID` of a notification and sequence number of a message.

    An id is a UUID of version 8 (RFC 9562, section 5.8). It contains a digest of the broker's
    `boot_id`, the number of the subscription (one message may have a notification in each of two
    subscriptions) and the number of the message. Immutable, so any thread may use it.
    """

    def __init__(self, broker: Broker) -> None:
        """Convert the numbers of this broker."""
        self._boot_id = broker.boot_id
        self._digest = hashlib.blake2b(broker.boot_id.encode(), digest_size=6).hexdigest()

    def id_of(self, message: Message, subscription: int) -> str:
        """Return the id of a message's notification for one of a socket's subscriptions."""
        low = f"{_VARIANT | message.number:016x}"
        return (
            f"{self._digest[:8]}-{self._digest[8:]}-8{subscription & 0xFFF:03x}-{low[:4]}-{low[4:]}"
        )

    def seq_of(self, notification_id: str) -> str:
        """Return the sequence number in an id; a text that is no such id is returned unchanged.

        For an id from before a restart, the result is one that the broker does not know, so the
        broker answers with a gap.
        """
        match = _UUID8.fullmatch(notification_id)
        if match is None:
            return notification_id
        if (match[1] + match[2]).lower() != self._digest:
            return f"other-boot-{notification_id}"
        number = int(match[3] + match[4], 16) & ~_VARIANT
        return f"{self._boot_id}-{number}"
