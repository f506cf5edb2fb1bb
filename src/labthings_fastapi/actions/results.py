"""Values that a generator action yields while it runs."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

KEPT_RESULTS = 10_000


class InvocationResults:
    """The newest results of one run; the count goes on. Any thread may add or read."""

    __slots__ = ("_items", "_kept", "_lock", "count", "listener")

    def __init__(self, kept: int = KEPT_RESULTS) -> None:
        """Keep at most `kept` results."""
        self._lock = threading.Lock()
        self._kept = kept
        self._items: deque[tuple[Any, bytes]] | None = None  # few actions are generators
        self.count = 0
        self.listener: Callable[[int, Any, bytes], None] | None = None

    def add(self, value: Any, json: bytes) -> None:
        """Keep one result with its JSON, made once."""
        with self._lock:
            if self._items is None:
                self._items = deque(maxlen=self._kept)
            self._items.append((value, json))
            self.count += 1
            number = self.count
        if self.listener is not None:
            self.listener(number, value, json)

    def values(self) -> list[Any]:
        """The values kept, oldest first."""
        with self._lock:
            return [value for value, _ in self._items or ()]

    def json(self) -> bytes:
        """The values kept, as one JSON array."""
        with self._lock:
            return b"[" + b",".join(json for _, json in self._items or ()) + b"]"
