"""Callbacks of Python code: run in worker threads, in order, one at a time each."""

from __future__ import annotations

import logging
import threading
from functools import cache
from typing import TYPE_CHECKING, Any

from labthings_fastapi.exceptions import describe_exception
from labthings_fastapi.portal.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable

    from labthings_fastapi.messages.broker import Broker
    from labthings_fastapi.messages.topic import Topic

LOGGER = logging.getLogger("labthings_fastapi.observers")


@cache
def _workers() -> Workers:
    """Return the threads for callbacks: user code alone waits for them."""
    return Workers("labthings-callback")


class Observation:
    """One callback and what it is told; `close()` ends it. Safe from any thread.

    A slow callback delays nobody else. Of a property it then gets the latest value; events are
    never left out.
    """

    def __init__(self, broker: Broker, topic: Topic, callback: Callable[[Any], Any]) -> None:
        """Call `callback` with the value of each message of a topic, from now on."""
        self._callback = callback
        self._lock = threading.Lock()
        self._busy = False  # a worker is in `run`, or on its way there
        self._again = False
        self._subscription = broker.subscribe(topic, wake=self._wake)

    def _wake(self) -> None:
        with self._lock:
            if self._busy:
                self._again = True
                return
            self._busy = True
        _workers().submit(self)

    def run(self) -> None:
        """Hand on what has come; for the workers."""
        while True:
            for message in self._subscription.take():
                if message.kind != "gap":
                    self._tell(message.value)
            with self._lock:
                if not self._again:
                    self._busy = False
                    return
                self._again = False

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
        self._subscription.close()
