"""Callbacks of Python code: run in worker threads, in order, one at a time each."""

from __future__ import annotations

import threading
import time
from functools import cache
from typing import TYPE_CHECKING, Any

from labthings_fastapi.actions.deadlines import deadlines
from labthings_fastapi.concurrency.bounded_executor import Workers
from labthings_fastapi.exceptions import describe_exception
from labthings_fastapi.own_log import own_logger

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
        # Guards the two below; never held while other code is called. Re-entrant, because the
        # garbage collector may run a finaliser that publishes while this thread holds it.
        self._lock = threading.RLock()
        self._busy = True  # a worker is in `run`, or on its way there; or nothing is in place yet
        self._again = False
        self._closed = False
        self._broker, self._topic = broker, topic
        self._subscription = self._subscribe()
        if self._is_wanted_again():
            self._hand_over()  # something came at once

    def _subscribe(self) -> Subscription:
        # While busy: the broker may wake us before it returns, from this very thread.
        return self._broker.subscribe(self._topic, wake=self._wake)

    def _is_wanted_again(self) -> bool:
        """Be busy no longer, unless something has come since we were."""
        with self._lock:
            self._busy, self._again = self._again, False
            return self._busy

    def _wake(self) -> None:
        with self._lock:
            if self._busy:
                self._again = True
                return
            self._busy = True
        self._hand_over()

    def _hand_over(self) -> None:
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
            if not self._is_wanted_again():
                return

    def _missed(self, gap: Message) -> None:
        """Say that the callback is too slow for its events, and go on with the next ones."""
        LOGGER.error(
            "The callback %r is too slow: what waited for it was dropped: %s",
            self._callback,
            gap.payload.decode(),
        )
        if self._subscription.closed:
            self._subscription = self._subscribe()
            if self._closed:  # by somebody who may have closed the one before
                self._subscription.close()

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
        self._closed = True  # first, for who subscribes again just now
        self._subscription.close()
