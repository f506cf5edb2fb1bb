"""Publish and subscribe within one process, with rising numbers and a replay."""

from __future__ import annotations

import re
import threading
from collections import deque
from typing import TYPE_CHECKING
from uuid import uuid4

from .mailbox import coalescing_key
from .replay import ReplayBuffer
from .subscription import Subscription
from .topic import TopicIndex

if TYPE_CHECKING:
    from collections.abc import Callable

    from .draft import Author, WaitingDraft
    from .mailbox import Waiting
    from .message import Message
    from .topic import Topic

_BOOT_ID = re.compile(r"[A-Za-z0-9._-]+")
_SEQ = re.compile(r"(.+)-([0-9]{1,18})")
_MOST_DRAFTS = 256
"""So many wait for their numbers at most where nobody listens."""


class Broker:
    """Tells subscribers what happens, in one order that is the same for all.

    Every message gets the next number, is remembered for a while, and is put in the mailbox of
    each subscription that it concerns. The broker starts no thread and needs no event loop; a
    subscriber that never reads costs nobody else anything, and a bounded amount of memory.

    All methods may be called from any thread, also from a finaliser or a signal handler that
    interrupts a call of the same thread.
    """

    def __init__(
        self,
        boot_id: str | None = None,
        replay: int = 10_000,
        *,
        replay_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        """Make a broker that remembers at most `replay` messages and `replay_bytes` of JSON."""
        boot_id = uuid4().hex[:12] if boot_id is None else boot_id
        if not _BOOT_ID.fullmatch(boot_id):
            raise ValueError(
                f"incarnation is {boot_id!r}, which has no place in an event's id: "
                "use letters, digits, dots, dashes and underscores."
            )
        self.boot_id = boot_id
        # One lock for numbers, replay, index and mailboxes: they must agree. It is re-entrant
        # because the garbage collector may run a finaliser that publishes while we hold it.
        self._lock = threading.RLock()
        self._busy = False  # inside `publish` or `subscribe`; true for the lock's holder only
        self._deferred: deque[Message] = deque()  # published while busy, by the same thread
        # Published and not numbered yet; added to without the lock, taken from under it.
        self._drafts: deque[WaitingDraft] = deque()
        self._number = 0
        self._replay = ReplayBuffer(replay, replay_bytes, boot_id)
        self._index: TopicIndex[Subscription] = TopicIndex()
        self._subscriptions: set[Subscription] = set()
        self._closed = False

    @property
    def position(self) -> str:
        """The sequence number of the latest message: subscribing `after` it misses nothing."""
        if self._drafts:
            self._catch_up_on_drafts()
        return f"{self.boot_id}-{self._number}"

    @property
    def is_heard(self) -> bool:
        """Whether anybody subscribes to anything now; if not, a draft costs less than a message."""
        return bool(self._subscriptions)

    def publish(self, message: Message) -> Message:
        """Hand a message to everyone whom it concerns; return it with its number.

        Never waits for a subscriber. A message that a finaliser publishes in the middle of another
        call of the same thread is delivered at the end of that call; it is returned as it came.
        """
        woken: list[Subscription] = []
        discarded: list[Waiting] = []  # let go when this returns, without the lock
        with self._lock:
            if self._busy:
                self._deferred.append(message)
                return message
            self._busy = True
            try:
                if self._drafts:
                    self._deliver_deferred(woken, discarded)
                published = self._deliver(message, woken, discarded)
                self._deliver_deferred(woken, discarded)
            finally:
                self._busy = False
        for subscription in woken:
            subscription.notify()
        return published

    def publish_draft(self, draft: WaitingDraft) -> None:
        """Publish a message that its author writes once somebody reads it.

        For what is told often and read seldom: changes of runs, the lines that they log, numbers.
        A draft is `(size, author, *content)`: about how many bytes of JSON it will be, and the
        arguments of the author's `write`, at least one. These must never change, and should hold
        nothing but text and numbers: they are kept for the replay.
        """
        # Where nobody listens nothing is locked, numbered or looked up until somebody does: this is
        # on the path of every log call. Who subscribes meanwhile is in the set before he looks at
        # the drafts for the last time, and we look at the set after this one is there.
        drafts = self._drafts
        drafts.append(draft)
        if self._subscriptions or len(drafts) >= _MOST_DRAFTS:
            self._catch_up_on_drafts()

    def _catch_up_on_drafts(self) -> None:
        woken: list[Subscription] = []
        discarded: list[Waiting] = []  # as in `publish`
        with self._lock:
            if not self._busy:
                self._busy = True
                try:
                    self._deliver_deferred(woken, discarded)
                finally:
                    self._busy = False
        for subscription in woken:
            subscription.notify()

    def _deliver(
        self, message: Message, woken: list[Subscription], discarded: list[Waiting]
    ) -> Message:
        self._number += 1
        message = message.numbered(self.boot_id, self._number)
        self._replay.append(message)
        key = coalescing_key(message)
        for subscription in self._index.matching(message):
            mailbox = subscription.mailbox
            if mailbox.offer(message, key, discarded):
                woken.append(subscription)
            if mailbox.full:
                self._end(subscription)
        return message

    def _deliver_deferred(self, woken: list[Subscription], discarded: list[Waiting]) -> None:
        """Number and deliver what was published without: drafts, and what came while busy."""
        drafts, deferred = self._drafts, self._deferred
        if not self._subscriptions:
            self._number += self._replay.append_drafts(drafts)
        while drafts:
            draft = drafts.popleft()
            author: Author = draft[1]
            if self._index.matching(author):
                self._deliver(author.write(*draft[2:]), woken, discarded)
            else:
                self._number += 1
                self._replay.append_draft(draft)
        while deferred:
            self._deliver(deferred.popleft(), woken, discarded)

    def subscribe(
        self,
        topic: Topic,
        *,
        wake: Callable[[], None] | None = None,
        after: str | None = None,
        capacity: int = 1000,
    ) -> Subscription:
        """Begin to collect the messages of a topic.

        `wake` is called once each time that there is something to take and there was nothing
        before, and when the subscription is closed while nothing waits. It is called on the
        publisher's thread (for what is replayed: on this one), so it must not block; called late,
        it may find that a take came first. What it raises is logged.

        `after` is the sequence number of the last message seen (`Last-Event-ID`): what came since
        is replayed. If that is not known for certain, the first message is a `gap`, followed by
        what is remembered. `capacity` is how many messages may wait; see `Mailbox`.

        Once the broker is closed the subscription is closed too, but still replays.
        """
        if capacity < 1:
            raise ValueError(f"capacity is {capacity}, but at least one message must fit.")
        subscription = Subscription(
            topic,
            capacity,
            boot_id=self.boot_id,
            lock=self._lock,
            wake=wake,
            leave=self._forget,
        )
        woken: list[Subscription] = []
        with self._lock:
            reentered, self._busy = self._busy, True
            try:
                if not reentered:
                    self._deliver_deferred(woken, [])  # before it was there
                if after:
                    self._catch_up(subscription, after)
                self._admit(subscription)
                if subscription.mailbox:
                    woken.append(subscription)
                if not reentered:
                    self._deliver_deferred(woken, [])
            finally:
                self._busy = reentered
        for each in woken:
            each.notify()
        return subscription

    def _catch_up(self, subscription: Subscription, after: str) -> None:
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
        """Return the number in a sequence number, or None if we never gave it."""
        found = _SEQ.fullmatch(seq)
        if found is None or found[1] != self.boot_id:
            return None
        number = int(found[2])
        return number if number <= self._number else None

    def _admit(self, subscription: Subscription) -> None:
        if self._closed or subscription.mailbox.full:
            subscription.closed = True
            return
        self._subscriptions.add(subscription)
        self._index.add(subscription.topic, subscription)

    def _forget(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)
        self._index.remove(subscription.topic, subscription)

    def _end(self, subscription: Subscription) -> None:
        """End a subscription whose mailbox is full; it has been woken when it was empty."""
        subscription.closed = True
        self._forget(subscription)

    def end_streams(self) -> None:
        """Close every subscription there is now; later ones are welcome."""
        with self._lock:
            subscriptions = list(self._subscriptions)
        for subscription in subscriptions:
            subscription.close()

    def close(self) -> None:
        """Close every subscription, so that all streams end; what waits can still be taken."""
        with self._lock:
            self._closed = True
            subscriptions = list(self._subscriptions)
        for subscription in subscriptions:
            subscription.close()
