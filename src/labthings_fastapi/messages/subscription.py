"""One subscriber's end of the broker."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Protocol, Self

from labthings_fastapi.own_log import own_logger

from .mailbox import GapReason, Mailbox
from .message import Message
from .topic import Topic

_logger = own_logger("messages.subscription")


class MailboxOwner(Protocol):
    """The `Broker`, as far as subscriptions are concerned."""

    boot_id: str

    def take_mailbox(self, subscription: Subscription) -> Mailbox: ...
    def remove(self, subscription: Subscription) -> bool: ...


class Subscription:
    """Messages of a topic that wait to be taken; made by `Broker.subscribe`, for any thread."""

    def __init__(
        self, broker: MailboxOwner, topic: Topic, capacity: int, wake: Callable[[], None] | None
    ) -> None:
        self.topic = topic
        self.mailbox = Mailbox(capacity)  # guarded by the broker's lock
        self.closed = False  # when it is, what waits can still be taken
        self._broker = broker
        self._wake = wake
        self._arrived: threading.Event | None = None  # made by the first thread that waits

    @property
    def over(self) -> bool:
        """Whether nothing waits to be taken and nothing more will come."""
        return self.closed and not self.mailbox

    def take(self) -> list[Message]:
        """Return what has come since the last take, in the order of its numbers.

        A message of kind `gap` says that some were missed: how many (or null), and a `GapReason`.
        A later subscription may resume from its number.
        """
        # This thread alone has the mailbox from here on, so emptying it needs no lock.
        mailbox = self._broker.take_mailbox(self)
        overrun = mailbox.full
        mailbox.shed([])
        messages = mailbox.contents()
        if mailbox.gap is not None:
            number = messages[0].number - 1 if messages else mailbox.missed_up_to
            messages.insert(0, self._gap(number, mailbox.missed, mailbox.gap))
        if overrun:
            messages.append(self._gap(messages[-1].number, None, "closed"))
        return messages

    def _gap(self, number: int, missed: int | None, reason: GapReason) -> Message:
        return Message(
            "gap",
            self.topic.thing or "",
            self.topic.affordance or "",
            json.dumps({"missed": missed, "reason": reason}, separators=(",", ":")).encode(),
            invocation=self.topic.invocation,
            number=number,
            boot_id=self._broker.boot_id,
        )

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for messages or the close, at most `timeout` seconds; return whether messages wait.

        For one thread.
        """
        if self._arrived is None:
            self._arrived = threading.Event()
        while not (self.mailbox or self.closed):
            if not self._arrived.wait(timeout):
                break
            self._arrived.clear()
        return bool(self.mailbox)

    def notify(self) -> None:
        """Wake the subscriber; for the broker, which holds no lock then."""
        if self._arrived is not None:
            self._arrived.set()
        if self._wake is None:
            return
        try:
            self._wake()
        except Exception:
            _logger.exception("The wake-up of a subscriber to %s failed.", self.topic)

    def close(self) -> None:
        """Let nothing more come, and wake the subscriber. Idempotent."""
        if self._broker.remove(self):
            self.notify()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
