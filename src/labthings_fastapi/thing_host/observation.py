"""Callbacks of Python code: run in worker threads, in order, each one call at a time."""

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

    from labthings_fastapi.messages.broker import Broker, Subscription
    from labthings_fastapi.messages.message import Message
    from labthings_fastapi.messages.topic import Topic

LOGGER = own_logger("observers")
RETRY_SECONDS = 1.0
"""The pause before a callback that got no thread is tried again."""


@cache
def _workers() -> Workers:
    """Return the threads for callbacks; nothing but user code waits for them."""
    return Workers("labthings-callback")


class Observation:
    """Calls one callback with the messages of a topic until `close()`. Safe from any thread.

    A slow callback delays no other. It then gets only the latest value of a property. Events wait
    for it; when ten thousand wait, they are dropped and an error is logged.
    """

    def __init__(self, broker: Broker, topic: Topic, callback: Callable[[Any], Any]) -> None:
        """Call `callback` with the value of each message of a topic, from now on."""
        self._callback = callback
        # Guards the two below; never held while other code is called. Re-entrant, because the
        # garbage collector may run a finaliser that publishes while this thread holds it.
        self._lock = threading.RLock()
        # True while `run` is in a worker or submitted to one, and until this object is ready.
        self._busy = True
        self._again = False
        self._closed = False
        self._broker, self._topic = broker, topic
        self._subscription = self._subscribe()
        if self._is_wanted_again():
            self._hand_over()  # a message was published since `_subscribe`

    def _subscribe(self) -> Subscription:
        # `_busy` is set, because the broker may call `_wake` from this thread before it returns.
        return self._broker.subscribe(self._topic, wake=self._wake)

    def _is_wanted_again(self) -> bool:
        """Clear `_busy`, unless a message was published while it was set."""
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
            # Later messages do not call `_wake` while messages wait in the subscription.
            deadlines().add(time.monotonic() + RETRY_SECONDS, self._wake)

    def run(self) -> None:
        """Call the callback with all messages that wait; a worker calls this."""
        while True:
            for message in self._subscription.take():
                if self._closed:
                    break
                if message.kind == "gap":
                    self._missed(message)
                else:
                    self._call(message.value)
            if not self._is_wanted_again():
                return

    def _missed(self, gap: Message) -> None:
        """Log that the callback is too slow for its events, and continue with the next ones."""
        LOGGER.error(
            "The callback %r is too slow; events that waited for it were dropped: %s",
            self._callback,
            gap.payload.decode(),
        )
        if self._subscription.closed:
            self._subscription = self._subscribe()
            if self._closed:  # `close` may have closed only the previous subscription
                self._subscription.close()

    def _call(self, value: Any) -> None:
        try:
            self._callback(value)
        except BaseException as error:
            LOGGER.error(  # the publisher must not get this error
                "The callback %r failed: %s",
                self._callback,
                describe_exception(error),
                exc_info=error,
            )

    def close(self) -> None:
        """End the calls; one in progress is completed."""
        self._closed = True  # first: `_missed` may be subscribing again
        self._subscription.close()
