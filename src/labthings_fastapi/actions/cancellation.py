"""The cancel request of an invocation.

It is delivered once: to its first thread at a cancellation point outside a shielded section.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar
from uuid import UUID
from weakref import WeakValueDictionary

from labthings_fastapi.exceptions import InvocationCancelledError

_LONGEST_WAIT = 3600.0  # an infinite sleep is a way to wait for the cancel; locks refuse it


class CancelEvent(threading.Event):
    """The cancel request of one run; set by anybody, delivered once, from any thread.

    An id has one event as long as anything holds that event: see `get_for_id`.
    """

    _living: ClassVar[WeakValueDictionary[UUID, CancelEvent]] = WeakValueDictionary()
    _registering: ClassVar[threading.RLock] = threading.RLock()

    def __init__(self, id: UUID | None = None) -> None:
        """Make the event of a run; without an id, nobody else can find it.

        Raises:
            RuntimeError: this run has an event already.
        """
        super().__init__()
        self.id = id
        if id is not None:
            with self._registering:
                if self._living.setdefault(id, self) is not self:
                    raise RuntimeError(
                        f"The invocation {id} has a cancel event already: use "
                        "`CancelEvent.get_for_id(id)`."
                    )
        self._delivery = threading.Lock()
        self._shields = 0
        self._listeners: list[Callable[[], None]] = []

    @classmethod
    def get_for_id(cls, id: UUID) -> CancelEvent:
        """Return the event of a run, made now if it has none; any thread."""
        with cls._registering:
            found = cls._living.get(id)
            return cls(id) if found is None else found

    def set(self) -> None:
        super().set()
        self._notify()

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` at each request that can be delivered; returns the way to stop it."""
        with self._delivery:
            self._listeners.append(listener)
        if self.is_set():
            listener()

        def forget() -> None:
            with self._delivery:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return forget

    def _notify(self) -> None:
        with self._delivery:
            listeners = () if self._shields else tuple(self._listeners)
        for listener in listeners:
            listener()

    def take(self) -> bool:
        """Take delivery of a request, if there is one and no shield holds it back."""
        with self._delivery:
            if self._shields or not self.is_set():
                return False
            self.clear()
            return True

    def raise_if_set(self) -> None:
        if self.is_set() and self.take():
            raise InvocationCancelledError("The run was cancelled.")

    def sleep(self, timeout: float) -> None:
        """Sleep for `timeout` seconds; a cancel request ends it with `InvocationCancelledError`."""
        self.raise_if_set()
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            if self.is_set():
                # Shielded: the request stays, so waiting for it would spin.
                time.sleep(min(left, 0.01))
            else:
                self.wait(min(left, _LONGEST_WAIT))
            self.raise_if_set()

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """Hold delivery back over a section that must not be torn; deliver when it ends."""
        with self._delivery:
            self._shields += 1
        try:
            yield
        finally:
            with self._delivery:
                self._shields -= 1
            if self.is_set():
                self._notify()
        self.raise_if_set()
