"""One subscriber's end of the broker."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

from labthings_fastapi.own_log import own_logger

from .draft import Draft
from .mailbox import Mailbox
from .message import Message

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from .mailbox import GapReason
    from .topic import Topic

_logger = own_logger("messages.subscription")


class Subscription:
    """The messages of a topic, waiting to be taken; made by `Broker.subscribe`.

    All methods may be called from any thread. The state is guarded by the broker's lock.
    """

    def __init__(
        self,
        topic: Topic,
        capacity: int,
        *,
        boot_id: str,
        lock: threading.RLock,
        wake: Callable[[], None] | None,
        leave: Callable[[Subscription], None],
    ) -> None:
        self.topic = topic
        self.mailbox = Mailbox(capacity)
        """For the broker, which holds its lock while it touches it."""
        self.closed = False
        """Whether nothing more will come; what waits can still be taken."""
        self._capacity = capacity
        self._boot_id = boot_id
        self._lock = lock
        self._wake = wake
        self._leave = leave
        self._arrived = threading.Condition(lock)
        self._waiting = 0  # threads in `wait`

    @property
    def over(self) -> bool:
        """Whether nothing waits to be taken and nothing more will come."""
        return self.closed and not self.mailbox

    def take(self) -> list[Message]:
        """Return what has come since the last take, in the order of its numbers.

        A message of kind `gap` says that some were missed: its payload is the JSON object
        `{"missed": <how many, or null>, "reason": <a GapReason>}`, and its number is one from which
        a later subscription may resume.
        """
        fresh = Mailbox(self._capacity)
        with self._lock:
            mailbox, self.mailbox = self.mailbox, fresh
        # The mailbox is ours alone now, so the work of emptying it needs no lock.
        overrun = mailbox.full
        mailbox.shed([])
        messages = [
            each.written() if isinstance(each, Draft) else each for each in mailbox.contents()
        ]
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
            boot_id=self._boot_id,
        )

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until there is something to take, at most `timeout` seconds; say whether there is.

        Ends early, and usually with False, when the subscription is closed.
        """
        with self._lock:
            self._waiting += 1
            try:
                self._arrived.wait_for(lambda: self.mailbox or self.closed, timeout)
            finally:
                self._waiting -= 1
            return bool(self.mailbox)

    def notify(self) -> None:
        """Tell whoever waits that there is something to take; for the broker, without its lock."""
        if self._waiting:
            with self._lock:
                self._arrived.notify_all()
        if self._wake is None:
            return
        try:
            self._wake()
        except Exception:
            _logger.exception("The wake-up of a subscriber to %s failed.", self.topic)

    def close(self) -> None:
        """Let nothing more come; wake whoever waits. Harmless twice."""
        with self._lock:
            if self.closed:
                return
            self.closed = True
            self._leave(self)
            # If something waits to be taken, the wake-up for it is on its way already.
            told = bool(self.mailbox)
        if not told:
            self.notify()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
