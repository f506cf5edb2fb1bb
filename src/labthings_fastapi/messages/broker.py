"""Publish and subscribe within one process, with rising numbers and a replay."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Self
from uuid import uuid4

from labthings_fastapi.own_log import own_logger

from .mailbox import GapReason, Mailbox, ReplayBuffer, coalescing_key
from .message import Message
from .topic import Topic, TopicIndex

LOGGER = own_logger("messages")
_BOOT_ID = re.compile(r"[A-Za-z0-9._-]+")
_SEQ = re.compile(r"(.+)-([0-9]{1,18})")
_MAX_UNNUMBERED = 256
_MAX_INBOX = 1000  # above it, publishers wait for the thread that delivers
_MAX_WAIT = 0.1  # seconds; the holder of the lock may be in a finaliser that needs the publisher


class Subscription:
    """Messages of a topic that wait to be taken; made by `Broker.subscribe`, for any thread."""

    def __init__(
        self, broker: Broker, topic: Topic, capacity: int, wake: Callable[[], None] | None
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
            LOGGER.exception("The wake-up of a subscriber to %s failed.", self.topic)

    def close(self) -> None:
        """Let nothing more come, and wake the subscriber. Idempotent."""
        if self._broker.remove(self):
            self.notify()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Delivered:
    """What a delivery leaves to be done without the lock."""

    __slots__ = ("discarded", "woken")

    def __init__(self) -> None:
        self.woken: list[Subscription] = []
        # Superseded messages; their last reference may run a finaliser of a user's object.
        self.discarded: list[Message] = []

    def notify(self) -> None:
        self.discarded.clear()
        for subscription in self.woken:
            subscription.notify()


class Broker:
    """Numbers messages and delivers them to all subscribers in the same order.

    It starts no thread and needs no event loop. A subscriber that never reads costs a bounded
    amount of memory. Any thread may use it, also in a finaliser or a signal handler that
    interrupts a call of the same thread.
    """

    # Publishers put a message in the inbox, which never blocks and is re-entrant. Then they deliver
    # what the inbox holds, one thread at a time: the holder of the lock looks at the inbox again
    # after it has released the lock. So no message is left, and publishing waits only if messages
    # come faster than they are delivered: else the inbox would grow, and the deliverer never end.

    def __init__(
        self, boot_id: str | None = None, replay: int = 10_000, *, replay_bytes: int = 64 * 2**20
    ) -> None:
        boot_id = uuid4().hex[:12] if boot_id is None else boot_id
        if not _BOOT_ID.fullmatch(boot_id):
            raise ValueError(
                f"boot_id is {boot_id!r}, which cannot be part of an event's id: "
                "use letters, digits, dots, dashes and underscores."
            )
        self.boot_id = boot_id
        self._inbox: SimpleQueue[Message] = SimpleQueue()
        # One lock for numbers, replay, index and mailboxes: they must agree. It is re-entrant
        # because the garbage collector may run a finaliser that subscribes while we hold it.
        self._lock = threading.RLock()
        self._delivering = False  # true only for the thread that holds the lock
        self._number = 0
        self._replay = ReplayBuffer(replay, replay_bytes)
        self._index: TopicIndex[Subscription] = TopicIndex()
        self._subscriptions: set[Subscription] = set()
        self._closed = False

    @property
    def position(self) -> str:
        """The sequence number of the latest message: subscribing `after` it misses nothing."""
        self.deliver()
        return f"{self.boot_id}-{self._number}"

    def publish(self, message: Message) -> None:
        """Deliver a message to every matching subscription; never waits for a subscriber."""
        self._inbox.put(message)
        if message.value is None:
            self.deliver_soon()
        else:  # the inbox must not keep user objects alive
            self.deliver()

    def put(self, message: Message) -> None:
        """Accept a message under a lock that decides the order; `deliver` it without that lock."""
        self._inbox.put(message)

    def deliver_soon(self) -> None:
        """Deliver what was put; without subscribers, only when much waits to be numbered."""
        if self._subscriptions or self._inbox.qsize() > _MAX_UNNUMBERED:
            self.deliver()

    def deliver(self) -> None:
        """Number and deliver what was put; returns at once if another thread does it now."""
        while not self._inbox.empty():
            if not self._lock.acquire(blocking=False):
                # The holder delivers these messages after it has released the lock.
                crowded = self._inbox.qsize() > _MAX_INBOX
                if not crowded or not self._lock.acquire(timeout=_MAX_WAIT):
                    return
            delivered = _Delivered()
            try:
                if self._delivering:  # a finaliser interrupted this thread's own delivery
                    return
                self._deliver_inbox(delivered)
            finally:
                self._lock.release()
            delivered.notify()

    def _deliver_inbox(self, delivered: _Delivered) -> None:
        """Deliver all that is in the inbox; under the lock."""
        inbox = self._inbox
        self._delivering = True
        try:
            while not inbox.empty():
                message = inbox.get_nowait()
                self._number += 1
                message.number, message.boot_id = self._number, self.boot_id
                self._replay.append(message)
                for subscription in self._index.matching(message):
                    mailbox = subscription.mailbox
                    if mailbox.offer(message, coalescing_key(message), delivered.discarded):
                        delivered.woken.append(subscription)
                    if subscription.mailbox is not mailbox:  # a finaliser took it meanwhile
                        subscription.mailbox.offer(message, coalescing_key(message), [])
                    if mailbox.full:  # its subscriber was woken when it was empty
                        self._remove(subscription)
        finally:
            self._delivering = False

    def subscribe(
        self,
        topic: Topic,
        *,
        wake: Callable[[], None] | None = None,
        after: str | None = None,
        capacity: int = 1000,
    ) -> Subscription:
        """Begin to collect the messages of a topic; if the broker is closed, only replayed ones.

        `wake` is called when messages wait and none did before, and when the subscription is
        closed. It is called on the publisher's thread, so it must not block.

        `after` is the sequence number of the last message seen (`Last-Event-ID`): later messages
        are replayed, after a `gap` if some may be missing. `capacity`: see `Mailbox`.
        """
        if capacity < 1:
            raise ValueError(f"capacity is {capacity}, but at least one message must fit.")
        subscription = Subscription(self, topic, capacity, wake)
        delivered = _Delivered()
        with self._lock:
            nested = self._delivering
            if not nested:  # what was published before is not for this subscription
                self._deliver_inbox(delivered)
            self._delivering = True  # a finaliser's messages wait until the subscription is there
            try:
                if after:
                    self._replay_into(subscription, after)
                if self._closed or subscription.mailbox.full:
                    subscription.closed = True
                else:
                    self._subscriptions.add(subscription)
                    self._index.add(subscription.topic, subscription)
            finally:
                self._delivering = nested
            if subscription.mailbox:
                delivered.woken.append(subscription)
        delivered.notify()
        self.deliver()
        return subscription

    def _replay_into(self, subscription: Subscription, after: str) -> None:
        mailbox = subscription.mailbox
        number = self._number_of(after)
        if number is None:
            mailbox.miss("unknown", self._number)
        elif number < self._replay.forgotten:
            mailbox.miss("expired", self._number)
        for message in self._replay.since(number or 0):
            if subscription.topic.matches(message):
                mailbox.offer(message, coalescing_key(message), [])
                if mailbox.full:
                    break

    def _number_of(self, seq: str) -> int | None:
        found = _SEQ.fullmatch(seq)
        known = found and found[1] == self.boot_id and int(found[2]) <= self._number
        return int(found[2]) if found and known else None

    def _remove(self, subscription: Subscription) -> None:
        subscription.closed = True
        self._subscriptions.discard(subscription)
        self._index.remove(subscription.topic, subscription)

    def take_mailbox(self, subscription: Subscription) -> Mailbox:
        with self._lock:
            full, subscription.mailbox = subscription.mailbox, subscription.mailbox.emptied()
        self.deliver()
        return full

    def remove(self, subscription: Subscription) -> bool:
        with self._lock:
            if subscription.closed:
                return False
            self._remove(subscription)
            # If something waits to be taken, the subscriber was woken for it.
            must_wake = not subscription.mailbox
        self.deliver()
        return must_wake

    def end_streams(self) -> None:
        """Close every present subscription; later ones are welcome."""
        with self._lock:
            subscriptions = list(self._subscriptions)
        self.deliver()
        for subscription in subscriptions:
            subscription.close()

    def close(self) -> None:
        """Close every subscription, so that all streams end; what waits can still be taken."""
        with self._lock:
            self._closed = True
        self.end_streams()
