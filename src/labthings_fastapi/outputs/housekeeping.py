"""The thread that looks after a folder of outputs: remains, sizes, and the limit of bytes."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Final, Protocol

from labthings_fastapi.own_log import own_logger

if TYPE_CHECKING:
    from collections.abc import Callable

LOGGER = own_logger("outputs")
PAUSE: Final = 60.0
"""Seconds between two rounds; one that has too much on the disk asks for the next at once."""


class Kept(Protocol):
    """A folder of outputs: `KeptOutputs`."""

    def tidy(self) -> None:
        """Delete what a killed process has left, and measure what there is."""

    def measure(self) -> int:
        """Measure what has changed; return the bytes beyond the limit."""


class Housekeeping:
    """Does a round now and then, in a thread that ends with `stop` or with the folder's object."""

    def __init__(self, kept: Kept, evict: Callable[[], None]) -> None:
        """Start; `evict` deletes the oldest outputs, until there are not too many bytes."""
        self._kept = weakref.ref(kept)
        self._evict = evict
        self._wake = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="labthings-outputs", daemon=True)
        try:
            self._thread.start()
        except (RuntimeError, MemoryError) as error:
            LOGGER.warning("`max_output_bytes` is not kept, for there is no thread: %s", error)

    def wake(self) -> None:
        """Do a round now."""
        self._wake.set()

    def stop(self) -> None:
        """Do no more rounds."""
        self._stopped = True
        self._wake.set()

    def _run(self) -> None:
        is_tidy = False
        while not self._stopped:
            kept = self._kept()
            if kept is None:
                return
            try:
                if not is_tidy:
                    kept.tidy()
                    is_tidy = True
                if kept.measure() > 0 and not self._stopped:
                    self._evict()
            except Exception:
                LOGGER.exception("The outputs of runs could not be looked after; tried again.")
            del kept
            self._wake.wait(PAUSE)
            self._wake.clear()
