"""The progress of an invocation; reports are cheap enough for inner loops."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import Any, TypeVar

from labthings_fastapi.journal.record import percent_done
from labthings_fastapi.problems import well_formed

from .context import current_invocation, raise_if_cancelled

T = TypeVar("T")
PUBLISH_SECONDS = 0.05


def _number(value: float, what: str) -> float:
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


@dataclass(frozen=True, slots=True)
class Progress:
    """One report; times in seconds since the code began."""

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
        """Seconds to the end at the pace so far; None when unknown."""
        if not self.total or self.done <= 0:
            return None
        ratio = _ratio(self.total, self.done)
        return None if ratio is None else round(max(self.elapsed * (ratio - 1), 0.0), 3)

    def detail(self) -> dict[str, Any]:
        """Return the report as clients see it."""
        members = {name: getattr(self, name) for name in ("done", "total", "unit", "message")}
        return {**members, "elapsed": round(self.elapsed, 3), "remaining": self.remaining}


@dataclass(slots=True, eq=False)
class Step:
    """A loop that is tracked: reports from inside it count as parts of its present step."""

    total: float | None
    message: str | None
    done: int = 0
    part: float = 0.0


def _ignore(*_: object) -> None: ...


class ProgressMeter:
    """Keeps the newest report of one invocation; any thread may report.

    `publish` is called at most 20 times a second, under the lock, and must not block; `deliver`
    is called after it, without the lock.
    """

    def __init__(
        self,
        publish: Callable[[Progress], None] = _ignore,
        deliver: Callable[[], None] = _ignore,
        lock: threading.RLock | None = None,
        started: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._publish = publish
        self._deliver = deliver
        self._clock = clock
        self._lock = threading.RLock() if lock is None else lock
        self._started = clock() if started is None else started
        self._next = 0.0  # when the next report is due
        self._steps: tuple[Step, ...] = ()  # the loops that are being tracked, outermost first
        self.latest: Progress | None = None  # the newest report
        self._published: Progress | None = None

    def report(
        self, done: float, total: float | None, message: str | None, unit: str | None
    ) -> None:
        """Keep a report; inside a tracked loop it counts as part of that loop's step."""
        done = _number(done, "done")
        total = None if total is None else _number(total, "total")
        now = self._clock()
        for step in reversed(self._steps):
            part = _ratio(done, total) if total else None
            # A second action inside a step begins at 0 again; the step does not.
            step.part = max(step.part, min(part or 0.0, 1.0))
            done = step.done + step.part
            total, unit, message = step.total, None, step.message or message
        unit = None if unit is None else well_formed(str(unit))
        message = None if message is None else well_formed(str(message))
        report = Progress(done, total, unit, message, now - self._started)
        with self._lock:
            self.latest = report
            due = now >= self._next
            if due:
                self._next = now + PUBLISH_SECONDS
                self._published = report
                self._publish(report)
        if due:
            self._deliver()

    def detach(self) -> None:
        """Publish nothing from now on."""
        self._publish, self._deliver = _ignore, _ignore

    def finish(self) -> None:
        """Publish the last report, if it was not: the last one always arrives."""
        with self._lock:
            latest = self.latest
            if latest is None or latest is self._published:
                return
            self._published = latest
            self._publish(latest)
        self._deliver()

    def enter(self, step: Step) -> None:
        """Begin to track a loop inside those tracked already."""
        with self._lock:
            self._steps = (*self._steps, step)

    def leave(self, step: Step) -> None:
        """Stop tracking a loop, and any inside it that were left without notice."""
        with self._lock:
            if step in self._steps:
                self._steps = self._steps[: self._steps.index(step)]


def progress(
    done: float, total: float | None = None, *, message: str | None = None, unit: str | None = None
) -> None:
    """Report the progress of this invocation; outside an invocation, do nothing.

    `done` and `total` are numbers of `unit`, such as "steps", "frames" or "mm". Without a total,
    people see that something happens, but not how much is left.
    """
    invocation = current_invocation()
    if invocation is not None and invocation.progress is not None:
        invocation.progress.report(done, total, message, unit)


def track(
    sequence: Iterable[T], total: float | None = None, message: str | None = None
) -> Iterator[T]:
    """Iterate, reporting progress after each step; each step is a cancellation point.

    `total` is `len(sequence)` unless it is given. Progress that is reported inside the loop, for
    instance by an action of another Thing, counts as part of the step.

    Raises:
        InvocationCancelledError: the invocation was cancelled.
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
