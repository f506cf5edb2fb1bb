"""Ids of notifications, which contain the sequence number of their message."""

from __future__ import annotations

import hashlib
import itertools
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labthings_fastapi.messages.broker import Broker
    from labthings_fastapi.messages.message import Message

_UUID = re.compile(
    r"([0-9a-f]{8})-([0-9a-f]{4})-([48])[0-9a-f]{3}-([89ab][0-9a-f]{3})-([0-9a-f]{12})",
    re.IGNORECASE,
)
_VARIANT = 1 << 63
_NUMBER_BITS = 44
_SUBSCRIPTION_BITS = 12 + 18  # beside the version, and before the number


class NotificationIds:
    """Converts between `messageID` of a notification and sequence number of a message.

    An id has the form of a UUID of version 4, as the Web Thing Protocol wants. It contains a digest
    of the broker's `boot_id`, the number of the subscription on this server (one message may have
    notifications on many sockets) and the number of the message. Any thread may use it.
    """

    def __init__(self, broker: Broker) -> None:
        """Convert the numbers of this broker."""
        self._boot_id = broker.boot_id
        self._digest = hashlib.blake2b(broker.boot_id.encode(), digest_size=6).hexdigest()
        self._subscriptions = itertools.count(1)

    def new_subscription(self) -> int:
        """Return a number that no other subscription of this server has."""
        return next(self._subscriptions) % (1 << _SUBSCRIPTION_BITS)

    def id_of(self, message: Message, subscription: int) -> str:
        """Return the id of a message's notification for a subscription."""
        high, rest = divmod(subscription, 1 << 18)
        low = f"{_VARIANT | rest << _NUMBER_BITS | message.number:016x}"
        return f"{self._digest[:8]}-{self._digest[8:]}-4{high:03x}-{low[:4]}-{low[4:]}"

    def seq_of(self, notification_id: str) -> str:
        """Return the sequence number in an id; a text that is no such id is returned unchanged.

        For an id from before a restart, the result is one that the broker does not know, so the
        broker answers with a gap. Ids of earlier releases have version 8.
        """
        match = _UUID.fullmatch(notification_id)
        if match is None:
            return notification_id
        if (match[1] + match[2]).lower() != self._digest:
            return f"other-boot-{notification_id}"
        bits = _NUMBER_BITS if match[3] == "4" else 62
        number = int(match[4] + match[5], 16) & ((1 << bits) - 1)
        return f"{self._boot_id}-{number}"
