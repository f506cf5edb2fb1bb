"""Messages kept within bounds: what one subscriber has not taken, and the latest for replay."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from itertools import islice
from typing import Literal

from .message import Message

GapReason = Literal["slow", "expired", "unknown", "closed"]
"""Why messages were missed: the subscriber took too few, the replay buffer no longer has them, this
start of the server never gave the number, or too many waited and it was closed."""

# Dropped oldest first, one row after the other; status messages and events are not.
_NEVER_DROPPED = ("status", "event")
_LATEST = ("progress", "property", "reading-failed")
_DROPPABLE = (("log", "result"), _LATEST)
_HARD_FACTOR = 10


def coalescing_key(message: Message) -> Hashable:
    if message.kind in ("property", "reading-failed"):  # a failure and a value replace each other
        return message.thing, message.affordance
    if message.kind == "progress" and message.invocation is not None:
        return message.invocation
    return message.number


class Mailbox:
    """Messages in order, superseded ones left out; guarded by the lock of the owner.

    More than `capacity` may wait for a moment: dropping is done in batches, so that it costs
    little per message. Status messages and events are never dropped, and the latest values of
    properties and progress only where they alone are more than the capacity. With more than ten
    times the capacity of status messages and events the mailbox is `full`: its owner closes it.
    """

    __slots__ = ("_capacity", "_limit", "_pending", "full", "gap", "missed", "missed_up_to")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._limit = 2 * capacity  # how many may wait before dropping begins
        self._pending: dict[Hashable, Message] = {}
        self.full = False
        self.gap: GapReason | None = None
        self.missed: int | None = 0  # how many messages were lost; None if nobody knows
        self.missed_up_to = 0  # the number of the newest message that was lost

    def __bool__(self) -> bool:
        return bool(self._pending) or self.gap is not None

    def emptied(self) -> Mailbox:
        return Mailbox(self._capacity)

    def offer(self, message: Message, key: Hashable, discarded: list[Message]) -> bool:
        """Add a message; return whether the mailbox was empty.

        Dropped ones are added to `discarded`, to be released outside the lock of the caller: the
        last reference to a user's object may run the user's code.
        """
        pending = self._pending
        was_empty = not pending and self.gap is None
        if key in pending:
            discarded.append(pending.pop(key))
        pending[key] = message
        if len(pending) > self._limit:
            self.shed(discarded)
        return was_empty

    def miss(self, reason: GapReason, up_to: int) -> None:
        """Note that an unknown number of messages, none newer than `up_to`, were lost."""
        self.gap = reason
        self.missed = None
        self.missed_up_to = up_to

    def shed(self, discarded: list[Message]) -> None:
        excess = len(self._pending) - self._capacity
        for kinds in _DROPPABLE if excess > 0 else ():
            keys = [key for key, message in self._pending.items() if message.kind in kinds]
            if kinds is _LATEST:  # events alone are no reason to drop the latest value
                excess = min(excess, len(keys) - self._capacity)
            for key in keys[: max(0, excess)]:
                self._drop(key, discarded)
                excess -= 1
        multiple = len(self._pending) // self._capacity
        self._limit = (multiple + 2) * self._capacity
        kept = sum(message.kind in _NEVER_DROPPED for message in self._pending.values())
        self.full = kept > _HARD_FACTOR * self._capacity

    def _drop(self, key: Hashable, discarded: list[Message]) -> None:
        message = self._pending.pop(key)
        discarded.append(message)
        self.gap = self.gap or "slow"
        self.missed_up_to = max(self.missed_up_to, message.number)
        if self.missed is not None:
            self.missed += 1

    def contents(self) -> list[Message]:
        return list(self._pending.values())


class ReplayBuffer:
    """The newest published messages, without Python values; guarded by the lock of the owner."""

    __slots__ = ("_bytes", "_max_bytes", "_max_messages", "_messages", "forgotten")

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._messages: deque[Message] = deque()  # numbered without holes
        self._bytes = 0  # of payload
        self.forgotten = 0  # the number of the newest message that is no longer here

    def append(self, message: Message) -> None:
        """Keep a message, whose number must follow the one before; drop the oldest."""
        message = message.without_value()
        messages = self._messages
        messages.append(message)
        self._bytes += message.size
        while len(messages) > self._max_messages or self._bytes > self._max_bytes:
            self.forgotten += 1
            self._bytes -= messages.popleft().size

    def since(self, number: int) -> list[Message]:
        return list(islice(self._messages, max(number - self.forgotten, 0), None))
