"""Calls of getters and setters in progress: who waits for a property is told what hangs."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

LONG_CALL = 10.0
"""Seconds after which a call is worth a line in the log."""


class Call(NamedTuple):
    """One call of a `getter` or `setter`; `began` is of `time.monotonic()`."""

    thread: int
    what: str
    began: float

    @property
    def seconds(self) -> float:
        """How long it has taken until now."""
        return time.monotonic() - self.began

    @property
    def since(self) -> datetime:
        """When it began, in aware UTC."""
        return datetime.now(UTC) - timedelta(seconds=self.seconds)

    def told(self) -> str:
        """Return what people are told while it goes on."""
        return (
            f"its {self.what} has not returned for {self.seconds:.0f} s: it is {self.place()}. "
            "The instrument may not answer."
        )

    def place(self) -> str:
        """Return the line of code that the thread has reached, for people."""
        frame = sys._current_frames().get(self.thread)
        names = (thread.name for thread in threading.enumerate() if thread.ident == self.thread)
        name = next(names, str(self.thread))
        if frame is None:
            return f"in thread {name!r}"
        last = traceback.extract_stack(frame)[-1]
        return f"at {last.filename}:{last.lineno}, in {last.name}(), in thread {name!r}"


class CallsInProgress:
    """The calls of one property; any thread."""

    def __init__(self) -> None:
        """Begin without any."""
        self._calls: dict[int, Call] = {}  # by thread

    def begin(self, what: str) -> Call | None:
        """Note a call by this thread; None if it is part of one that is known."""
        thread = threading.get_ident()
        if thread in self._calls:
            return None
        self._calls[thread] = call = Call(thread, what, time.monotonic())
        return call

    def end(self, call: Call | None) -> None:
        """Forget a call that `begin` has returned."""
        if call is not None:
            del self._calls[call.thread]

    def longer_than(self, seconds: float) -> list[Call]:
        """Return those that have taken longer, the longest first."""
        if not self._calls:
            return []
        limit = time.monotonic() - seconds
        found = [call for call in list(self._calls.values()) if call.began <= limit]
        return sorted(found, key=lambda call: call.began)
