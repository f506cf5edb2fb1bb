"""The Thing that is measured: one source, served by this project and by its peer alike.

Only what both document is used, so that the same work is compared.
"""

import itertools
import logging
import threading
import time
from typing import Any

import labthings_fastapi as lt

_SILENT = logging.getLogger("a.logger.with.a.null.handler")
_SILENT.setLevel(logging.INFO)
_SILENT.propagate = False
_SILENT.addHandler(logging.NullHandler())


class Instrument(lt.Thing):
    """An instrument that does next to nothing, so that only the server's own work is seen."""

    speed: float = lt.property(default=1.0)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._tickets = itertools.count(1)
        self._naps_done = 0
        self._line = threading.Lock()
        self._readings_done = 0

    @lt.property
    def position(self) -> float:
        """A value that code of the Thing computes."""
        return 1.0

    @lt.property
    def temperature(self) -> float:
        """A value of a real instrument: an answer takes 20 ms, and it gives one at a time."""
        with self._line:
            time.sleep(0.02)
            self._readings_done += 1
        return 295.0

    @lt.property
    def readings_done(self) -> int:
        """How many temperatures the instrument has given."""
        return self._readings_done

    @lt.property
    def naps_done(self) -> int:
        """How many naps have ended."""
        return self._naps_done

    @lt.action
    def noop(self) -> None:
        """Do nothing."""

    @lt.action
    def nap(self, seconds: float) -> None:
        """Sleep, and count."""
        lt.cancellable_sleep(seconds)
        self._naps_done = next(self._tickets)

    @lt.action
    def chat(self, lines: int) -> None:
        """Log this number of lines."""
        for line in range(lines):
            self.logger.info("Line %s of a run that tells what it does, as runs do.", line)

    @lt.action
    def compare_loggers(self, lines: int, passes: int) -> float:
        """Return how many times as long a line of the run's log takes as one for a NullHandler."""
        root, ratios = logging.getLogger(), []
        handlers, root.handlers = root.handlers, []  # a console has a price of its own
        for _ in range(passes):
            captured = _seconds_for(self.logger, lines)
            ratios.append(captured / _seconds_for(_SILENT, lines))
        root.handlers = handlers
        return sorted(ratios)[passes // 2]


def _seconds_for(logger: logging.Logger, lines: int) -> float:
    began = time.perf_counter()
    for line in range(lines):
        logger.info("Line %s of %s", line, lines)
    return time.perf_counter() - began
