"""Progress is cheap to report, bounded to publish, and always fit to be written as JSON."""

from __future__ import annotations

import json
import math
import threading
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pydantic_core import to_json

from labthings_fastapi.actions.cancellation import CancelEvent
from labthings_fastapi.actions.context import InvocationContext, entered
from labthings_fastapi.actions.progress import Progress, ProgressMeter, progress, track
from labthings_fastapi.exceptions import InvocationCancelledError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labthings_fastapi.actions import Invocation


class Clock:
    """A clock that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def report(done: float, total: float | None, elapsed: float = 10.0) -> Progress:
    return Progress(done, total, None, None, elapsed)


# --- one report ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("done", "total", "percent"),
    [
        (0, 10, 0),
        (1, 3, 33.33),
        (10, 10, 100),
        (11, 10, 100),
        (-1, 10, 0),
        (1, None, None),
        (1, 0, None),
        (1, -5, None),
        (math.nan, 10, None),
        (1, math.nan, None),
        (math.inf, 10, None),
        (1, math.inf, 0),
        (10**400, 3, None),
        (1, 10**400, 0),
    ],
)
def test_percent_is_0_to_100_or_unknown(
    done: float, total: float | None, percent: float | None
) -> None:
    assert report(done, total).percent == percent


@pytest.mark.parametrize(
    ("done", "total", "remaining"),
    [
        (5, 10, 10),
        (1, 4, 30),
        (10, 10, 0),
        (12, 10, 0),
        (0, 10, None),
        (1, None, None),
        (math.nan, 10, None),
        (1, math.inf, None),
        (1, 10**400, None),
        (5e-324, 1e308, None),
    ],
)
def test_remaining_is_estimated_from_the_runs_own_pace(
    done: float, total: float | None, remaining: float | None
) -> None:
    assert report(done, total).remaining == remaining


def test_the_detail_has_what_the_wire_promises() -> None:
    assert Progress(3, 12, "mm", "moving", 1.23456).detail() == {
        "done": 3,
        "total": 12,
        "unit": "mm",
        "message": "moving",
        "elapsed": 1.235,
        "remaining": 3.704,
    }


# --- the meter ----------------------------------------------------------------------------


def metered() -> tuple[ProgressMeter, list[Progress], Clock]:
    shown: list[Progress] = []
    clock = Clock()
    return ProgressMeter(shown.append, clock=clock), shown, clock


def test_at_most_twenty_reports_a_second_are_shown_and_always_the_last() -> None:
    meter, shown, clock = metered()
    for number in range(1000):
        clock.now = 100 + number / 1000
        meter.report(number, 1000, None, None)
    meter.finish()
    assert 19 <= len(shown) <= 22
    assert shown[-1].done == 999
    assert meter.latest is shown[-1]


def test_what_was_shown_is_not_shown_again() -> None:
    meter, shown, _ = metered()
    meter.finish()
    assert shown == []
    meter.report(1, 1, None, None)
    meter.finish()
    meter.finish()
    assert len(shown) == 1


def test_reports_of_many_threads_are_published_in_order_and_the_last_one_at_last() -> None:
    published: list[Progress] = []
    clock = Clock()

    def publish(report: Progress) -> None:
        published.append(report)
        clock.now += 1  # so that every report is due

    meter = ProgressMeter(publish, clock=clock)

    def report_many() -> None:
        for done in range(250):
            meter.report(done, 250, None, None)

    threads = [threading.Thread(target=report_many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    meter.finish()
    assert published[-1] is meter.latest
    assert len({id(report) for report in published}) == len(published)


def test_a_report_is_delivered_after_it_was_published() -> None:
    steps: list[str] = []
    meter = ProgressMeter(
        lambda _: steps.append("publish"), deliver=lambda: steps.append("deliver")
    )
    meter.report(1, 3, None, None)
    meter.report(2, 3, None, None)  # too soon after the first
    meter.finish()
    assert steps == ["publish", "deliver"] * 2


def test_time_counts_from_the_beginning_of_the_run() -> None:
    shown: list[Progress] = []
    clock = Clock()
    clock.now = 502
    ProgressMeter(shown.append, started=500, clock=clock).report(1, 2, None, None)
    assert shown[0].elapsed == 2


def test_a_finaliser_may_report_while_its_thread_reports() -> None:
    published: list[float] = []

    def publish(report: Progress) -> None:
        published.append(report.done)
        if len(published) == 1:
            meter.report(2, 2, None, None)  # as a finaliser would that runs here

    meter = ProgressMeter(publish)
    thread = threading.Thread(target=meter.report, args=(1, 2, None, None), daemon=True)
    thread.start()
    thread.join(30)
    meter.finish()
    assert published == [1, 2]


@pytest.mark.parametrize(
    ("done", "total"), [(np.int64(1), np.int32(4)), (np.float32(1), np.float64(4)), (True, 4)]
)
def test_any_kind_of_number_can_be_written_as_json(done: Any, total: Any) -> None:
    meter, shown, _ = metered()
    meter.report(done, total, None, None)
    assert shown[0].percent == 25
    assert json.loads(to_json(shown[0].detail()))["total"] == 4


@pytest.mark.parametrize(("done", "total"), [("a", 2), (None, 2), (1, "two"), (1j, 2), ([], 1)])
def test_what_is_no_number_is_refused_where_it_is_reported(done: Any, total: Any) -> None:
    meter, _, _ = metered()
    with pytest.raises(TypeError, match="must be a number"):
        meter.report(done, total, None, None)
    assert meter.latest is None


def test_messages_are_text_that_can_be_written() -> None:
    meter, shown, _ = metered()
    meter.report(1, 2, "half \ud800", 5)  # type: ignore[arg-type]
    assert (shown[0].message, shown[0].unit) == ("half \\ud800", "5")


# --- for code in actions ------------------------------------------------------------------


def with_meter(meter: Any) -> InvocationContext:
    context = InvocationContext(uuid.uuid4())
    context.progress = meter
    return context


@pytest.fixture
def shown() -> Iterator[list[tuple[float, float | None, str | None, str | None]]]:
    """Be inside a run; give what is reported."""
    reports: list[tuple[float, float | None, str | None, str | None]] = []

    class Reports:
        def report(self, *what: Any) -> None:
            reports.append(what)

        def enter(self, step: object) -> None: ...

        def leave(self, step: object) -> None: ...

    with entered(with_meter(Reports())):
        yield reports


def test_outside_a_run_nothing_happens() -> None:
    progress(1, 2, message="x", unit="mm")
    assert list(track([1, 2])) == [1, 2]


def test_progress_takes_its_words_by_name(shown: list[Any]) -> None:
    progress(1)
    progress(2, 10, message="moving", unit="mm")
    assert shown == [(1, None, None, None), (2, 10, "moving", "mm")]


def test_track_reports_after_each_step(shown: list[Any]) -> None:
    steps = [(item, len(shown)) for item in track(["a", "b"], message="m")]
    assert steps == [("a", 1), ("b", 2)]
    assert [done for done, *_ in shown] == [0, 1, 2]
    assert {total for _, total, *_ in shown} == {2}


def test_track_of_a_generator_has_no_total_unless_it_is_given(shown: list[Any]) -> None:
    list(track(iter([1])))
    list(track(iter([1]), 7))
    assert [total for _, total, *_ in shown] == [None, None, 7, 7]


def test_each_step_of_track_is_a_cancellation_point() -> None:
    run, seen = InvocationContext(uuid.uuid4(), CancelEvent()), []

    def loop() -> None:
        for item in track(range(10)):
            seen.append(item)
            run.cancel.set()

    with entered(run), pytest.raises(InvocationCancelledError):
        loop()
    assert seen == [0]


def test_a_run_shows_its_progress(run: Callable[..., Invocation]) -> None:
    invocation = run(lambda: progress(np.int64(1), 4, message="half \ud800"))
    assert invocation.output is None
    assert invocation.progress == 25
    assert invocation.progress_detail is not None
    assert invocation.progress_detail["message"] == "half \\ud800"
    assert invocation.response().model_dump(mode="json")["progress"] == 25


def test_a_run_without_a_report_has_no_progress(run: Callable[..., Invocation]) -> None:
    invocation = run(lambda: None)
    assert invocation.progress is None
    assert invocation.progress_detail is None


def test_what_an_inner_action_reports_counts_as_part_of_the_outer_step():
    """An autofocus that moves a stage shows how far the autofocus is."""
    seen: list[float | None] = []
    meter = ProgressMeter(lambda _: None)

    def move() -> None:
        for done in (0, 5, 10):
            progress(done, 10, message="moving", unit="mm")
            assert meter.latest is not None
            seen.append(meter.latest.percent)

    with entered(with_meter(meter)):
        for _ in track(range(4), message="focusing"):
            move()
    assert meter.latest is not None
    assert meter.latest.percent == 100
    assert meter.latest.message == "focusing"
    assert seen == [0, 12.5, 25, 25, 37.5, 50, 50, 62.5, 75, 75, 87.5, 100]


def test_a_tracked_loop_that_is_left_early_no_longer_counts():
    meter = ProgressMeter(lambda _: None)
    with entered(with_meter(meter)):
        for step in track(range(4)):
            if step == 1:
                break
        progress(1, 2)
    assert meter.latest is not None
    assert meter.latest.percent == 50
