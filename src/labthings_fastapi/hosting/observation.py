"""Callbacks of Python code: run in worker threads, in order, one at a time each."""

from __future__ import annotations

import threading
import time
from functools import cache
from typing import TYPE_CHECKING, Any

from labthings_fastapi.actions.deadlines import deadlines
from labthings_fastapi.exceptions import describe_exception
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.portal.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable

    from labthings_fastapi.messages.broker import Broker
    from labthings_fastapi.messages.message import Message
    from labthings_fastapi.messages.subscription import Subscription
    from labthings_fastapi.messages.topic import Topic

LOGGER = own_logger("observers")
RETRY_SECONDS = 1.0
"""Between two tries to find a thread for a callback."""


@cache
def _workers() -> Workers:
    """Return the threads for callbacks: user code alone waits for them."""
    return Workers("labthings-callback")


class Observation:
    """One callback and what it is told; `close()` ends it. Safe from any thread.

    A slow callback delays nobody else. Of a property it then gets the latest value; events wait for
    it, and are dropped, loudly, only when ten thousand do.
    """

    def __init__(self, broker: Broker, topic: Topic, callback: Callable[[Any], Any]) -> None:
        """Call `callback` with the value of each message of a topic, from now on."""
        self._callback = callback
        self._lock = threading.Lock()
        self._busy = False  # a worker is in `run`, or on its way there
        self._again = False
        self._closed = False
        self._broker, self._topic = broker, topic
        self._subscription = self._subscribe()

    def _subscribe(self) -> Subscription:
        # Under the lock, so that a message that comes at once finds the subscription in place.
        with self._lock:
            self._subscription = self._broker.subscribe(self._topic, wake=self._wake)
            return self._subscription

    def _wake(self) -> None:
        with self._lock:
            if self._busy:
                self._again = True
                return
            self._busy = True
        try:
            _workers().submit(self)
        except (RuntimeError, MemoryError) as error:
            with self._lock:
                self._busy = False
            LOGGER.error("The callback %r waits for a thread: %s", self._callback, error)
            # Messages that come behind those which wait wake nobody.
            deadlines().add(time.monotonic() + RETRY_SECONDS, self._wake)

    def run(self) -> None:
        """Hand on what has come; for the workers."""
        while True:
            for message in self._subscription.take():
                if self._closed:
                    break
                if message.kind == "gap":
                    self._missed(message)
                else:
                    self._tell(message.value)
            with self._lock:
                if not self._again:
                    self._busy = False
                    return
                self._again = False

    def _missed(self, gap: Message) -> None:
        """Say that the callback is too slow for its events, and go on with the next ones."""
        LOGGER.error(
            "The callback %r is too slow: what waited for it was dropped: %s",
            self._callback,
            gap.payload.decode(),
        )
        if self._subscription.closed and not self._closed:
            self._subscribe()

    def _tell(self, value: Any) -> None:
        try:
            self._callback(value)
        except BaseException as error:
            LOGGER.error(  # the sender must not hear of it
                "The callback %r failed: %s",
                self._callback,
                describe_exception(error),
                exc_info=error,
            )

    def close(self) -> None:
        """Call no more; a call in progress ends by itself."""
        self._closed = True
        with self._lock:
            subscription = self._subscription
        subscription.close()
