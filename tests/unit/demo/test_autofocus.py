"""Autofocus finds the height at which the specimen is sharp."""

from __future__ import annotations

import logging

import pytest

from labthings_fastapi.demo.optics import focal_height


@pytest.mark.parametrize(("x", "y"), [(0, 0), (200, -150)])
def test_the_best_height_is_the_true_focus_and_the_stage_ends_there(bench, x, y):
    bench["stage"].move_to(x=x, y=y)
    curve = bench["autofocus"].autofocus()
    assert curve.best_z == pytest.approx(focal_height(x, y), abs=1)
    assert bench["stage"].position.z == curve.best_z


def test_the_curve_has_a_sharpness_for_each_height_around_the_present_one(bench):
    bench["stage"].move_to(z=10)
    curve = bench["autofocus"].autofocus(range_um=8, steps=5)
    assert curve.z == [6, 8, 10, 12, 14]
    assert len(curve.sharpness) == 5
    assert max(curve.sharpness) == curve.sharpness[3]


def test_a_sweep_that_leaves_the_limits_is_refused_before_anything_moves(bench):
    bench["stage"].move_to(z=95)
    with pytest.raises(ValueError, match="z = 105 µm"):
        bench["autofocus"].autofocus(range_um=20)
    assert bench["stage"].position.z == 95


def test_the_height_that_was_found_is_an_event(bench, wait_until):
    heights = []
    bench["autofocus"].focused.subscribe(heights.append)
    curve = bench["autofocus"].autofocus()
    wait_until(lambda: heights)
    assert heights == [curve.best_z]


def test_a_focus_outside_the_range_is_logged_and_is_no_event(bench, caplog, wait_until):
    # Close enough to the focus that sharpness rises far above the noise of the pictures.
    bench["stage"].move_to(z=8)
    heights = []
    bench["autofocus"].focused.subscribe(heights.append)
    with caplog.at_level(logging.WARNING):
        curve = bench["autofocus"].autofocus(range_um=4, steps=3)
    assert curve.best_z == 10
    assert "Use a larger range_um" in caplog.text
    bench["autofocus"].focused.emit(0)  # had there been another, it would come first
    wait_until(lambda: heights)
    assert heights == [0]
