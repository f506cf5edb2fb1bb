"""What unit tests share: garbage that is found in the middle of an operation."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest

MOMENTS = 40


class _Garbage:
    """Calls `finalise` when the garbage collector finds it."""

    def __init__(self, finalise: Callable[[], object]) -> None:
        self._itself = self  # so that only the garbage collector frees it
        self._finalise = finalise

    def __del__(self) -> None:
        self._finalise()


def _provoke(
    prepare: Callable[[], Any],
    act: Callable[[Any], object],
    finalise: Callable[[Any], object],
    results: list[Any],
) -> None:
    for moment in range(MOMENTS):
        subject = prepare()
        _Garbage(lambda subject=subject: finalise(subject))  # type: ignore[misc]
        gc.set_threshold(gc.get_count()[0] + moment)
        gc.enable()
        act(subject)
        gc.disable()
        gc.collect()
        results.append(subject)


@pytest.fixture
def with_a_finaliser_at_each_moment() -> Callable[..., list[Any]]:
    """Give a function that lets a finaliser run in the middle of an operation.

    It calls `prepare()`, then `act` with what that returned, forty times; each time the garbage
    collector runs one allocation later, and calls `finalise` in the same thread. It returns all
    that `prepare` made, and fails if a thread waits for itself.
    """

    def run(
        prepare: Callable[[], Any],
        act: Callable[[Any], object],
        finalise: Callable[[Any], object],
    ) -> list[Any]:
        results: list[Any] = []
        thread = threading.Thread(
            target=_provoke, args=(prepare, act, finalise, results), daemon=True
        )
        thresholds = gc.get_threshold()
        gc.collect()
        gc.disable()
        gc.freeze()  # collecting again what earlier tests have left would take minutes
        try:
            thread.start()
            thread.join(120)
            assert not thread.is_alive(), "a lock was waited for by the thread that holds it"
        finally:
            gc.unfreeze()
            gc.set_threshold(*thresholds)
            gc.enable()
        assert len(results) == MOMENTS
        return results

    return run
