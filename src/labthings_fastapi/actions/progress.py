"""How far a run has come.

Reports are cheap enough for inner loops: between two that are shown (20 a second) a report only
replaces the last one.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from labthings_fastapi.problems import well_formed

from .context import current_invocation, raise_if_cancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")
SHOW_EVERY = 0.05


def _number(value: float, what: str) -> float:
    """Return a plain number; users count with numpy's, which have no JSON form."""
    if type(value) is int or type(value) is float:
        return value
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"progress: {what} is {value!r}, but it must be a number.") from error


def _ratio(part: float, whole: float) -> float | None:
    try:
        ratio = part / whole
    except OverflowError:
        return None
    return ratio if math.isfinite(ratio) else None


def percent_done(done: float, total: float | None) -> float | None:
    """Return 0 to 100, or None when the total is unknown."""
    if not total or total <= 0:
        return None
    ratio = _ratio(done, total)
    return None if ratio is None else round(min(max(100 * ratio, 0.0), 100.0), 2)


@dataclass(frozen=True, slots=True)
class Progress:
    """One report; times in seconds since the run began."""

    done: float
    total: float | None
    unit: str | None
    message: str | None
    elapsed: float

    @property
    def percent(self) -> float | None:
        """0 to 100, or None when the total is unknown."""
        return percent_done(self.done, self.total)

    @property
    def remaining(self) -> float | None:
        """Seconds to the end at this run's own pace, or None when nothing can be said."""
        if not self.total or self.done <= 0:
            return None
        ratio = _ratio(self.total, self.done)
        return None if ratio is None else round(max(self.elapsed * (ratio - 1), 0.0), 3)

    def detail(self) -> dict[str, Any]:
        """Return the report as it goes out on the wire."""
        return {
            "done": self.done,
            "total": self.total,
            "unit": self.unit,
            "message": self.message,
            "elapsed": round(self.elapsed, 3),
            "remaining": self.remaining,
        }


class Step:
    """A loop that is being tracked: reports from inside count as parts of its present step."""

    __slots__ = ("done", "message", "part", "total")

    def __init__(self, total: float | None, message: str | None) -> None:
        """Begin at the first of `total` steps."""
        self.done = 0
        self.part = 0.0
        self.total = total
        self.message = message


class ProgressMeter:
    """Keeps the newest report of one run and shows at most 20 a second; any thread may report."""

    __slots__ = ("_clock", "_latest", "_lock", "_next_show", "_shown", "_started", "_steps", "show")

    def __init__(
        self, show: Callable[[Progress], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Call `show` with the reports that are to be published."""
        self.show = show
        self._clock = clock
        self._lock = threading.Lock()
        self._started = clock()
        self._next_show = 0.0
        self._steps: tuple[Step, ...] = ()  # the loops that are being tracked, outermost first
        self._latest: Progress | None = None
        self._shown: Progress | None = None

    def begin(self) -> None:
        """Start the run's own clock."""
        self._started = self._clock()

    @property
    def latest(self) -> Progress | None:
        """The newest report, or None if there was none."""
        return self._latest

    def report(
        self, done: float, total: float | None, message: str | None, unit: str | None
    ) -> None:
        """Keep a report; show it if the last one shown is old enough.

        Inside a tracked loop it counts as part of that loop's step: an autofocus that moves a
        stage shows how far the autofocus is.
        """
        done = _number(done, "done")
        total = None if total is None else _number(total, "total")
        now = self._clock()
        for step in reversed(self._steps):
            part = _ratio(done, total) if total else None
            # A second action inside a step begins anew; the step does not.
            step.part = max(step.part, min(part or 0.0, 1.0))
            done = step.done + step.part
            total, unit, message = step.total, None, step.message or message
        report = Progress(
            done,
            total,
            None if unit is None else well_formed(str(unit)),
            None if message is None else well_formed(str(message)),
            now - self._started,
        )
        with self._lock:
            self._latest = report
            if now < self._next_show:
                return
            self._next_show = now + SHOW_EVERY
            self._shown = report
        self.show(report)
        if self._shown is not report:
            # Another thread has shown a newer one meanwhile, perhaps before this: once more, then.
            self._shown = None

    def enter(self, step: Step) -> None:
        """Begin to track a loop inside of those tracked already."""
        with self._lock:
            self._steps = (*self._steps, step)

    def leave(self, step: Step) -> None:
        """Stop tracking a loop, and any inside of it that were left without notice."""
        with self._lock:
            if step in self._steps:
                self._steps = self._steps[: self._steps.index(step)]

    def finish(self) -> None:
        """Show the last report if it has not been shown: the last one always arrives."""
        with self._lock:
            if self._latest is self._shown or self._latest is None:
                return
            self._shown = report = self._latest
        self.show(report)


def progress(
    done: float, total: float | None = None, *, message: str | None = None, unit: str | None = None
) -> None:
    """Report how far this run has come; does nothing outside a run.

    `done` and `total` count in `unit`, whatever that is: steps, frames, "mm". Without a total,
    people see that something happens, though not how much is left.
    """
    invocation = current_invocation()
    if invocation is not None and invocation.progress is not None:
        invocation.progress.report(done, total, message, unit)


def track(
    sequence: Iterable[T], total: float | None = None, message: str | None = None
) -> Iterator[T]:
    """Iterate, reporting progress after each step; each step is a cancellation point.

    `total` is taken from `len(sequence)` where it has one. What is reported inside the loop, for
    instance by an action of another Thing, counts as part of the step.
    """
    if total is None and isinstance(sequence, Sized):
        total = len(sequence)
    invocation = current_invocation()
    meter = invocation.progress if invocation is not None else None
    progress(0, total, message=message)
    step = Step(total, message)
    for item in sequence:
        raise_if_cancelled()
        if meter is not None:
            meter.enter(step)
        try:
            yield item
        finally:
            if meter is not None:
                meter.leave(step)
        step.done, step.part = step.done + 1, 0.0
        progress(step.done, total, message=message)
