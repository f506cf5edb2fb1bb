"""Callbacks with values that go on arriving, in a thread of the client."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Self

from labthings_fastapi.exceptions import ClientError
from labthings_fastapi.own_log import own_logger

from .connection import Connection
from .feeds import FailedReadingError, Feed

LOGGER = own_logger("client")


class Subscription:
    """Calls a callback with each value until `close()`; a context manager, for any thread."""

    def __init__(
        self,
        connection: Connection,
        feed: Feed,
        callback: Callable[[Any], Any],
        what: str,
        on_error: Callable[[Exception], Any] | None = None,
    ) -> None:
        """Begin at once, in a thread of its own."""
        self._connection = connection
        self._feed = feed
        self._callback = callback
        self._what = what
        self._on_error = on_error
        self._closed = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"labthings-client {what}", daemon=True
        )
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._closed.is_set():
                for value in self._connection.run(self._feed.next()):
                    if self._closed.is_set():
                        break
                    self._tell(value)
        except ClientError as error:
            if not self._closed.is_set():
                self._fail(error)
        except Exception as error:  # noqa: BLE001 - the connection was closed under it
            if not self._closed.is_set():
                self._fail(error)
        finally:
            self._closed.set()
            try:
                self._connection.run(self._feed.close())
            except Exception as error:  # noqa: BLE001 - it is over anyway
                LOGGER.debug("The connection for %s was not closed: %r", self._what, error)

    def _tell(self, value: Any) -> None:
        if isinstance(value, FailedReadingError):
            self._fail(value)
            return
        try:
            self._callback(value)
        except Exception:
            LOGGER.exception("The callback for %s failed.", self._what)

    def _fail(self, error: Exception) -> None:
        if self._on_error is None:
            LOGGER.error("Following %s: %s", self._what, error)
            return
        try:
            self._on_error(error)
        except Exception:
            LOGGER.exception("The callback for errors of %s failed.", self._what)

    @property
    def closed(self) -> bool:
        """Whether it has ended, by `close()` or because the server refused."""
        return self._closed.is_set()

    def close(self) -> None:
        """Call nothing more. A callback in progress is completed; idempotent."""
        self._closed.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
