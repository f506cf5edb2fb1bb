"""What the microscope does to the light: field, focus, exposure, noise."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from PIL import Image

from labthings_fastapi.demo import optics
from labthings_fastapi.demo.specimen import PIXEL_SIZE, slide

SIZE = (160, 120)


def look(x=0.0, y=0.0, z=None, size=SIZE):
    """The scene, without noise and in focus unless a z is given."""
    z = optics.focal_height(x, y) if z is None else z
    return np.asarray(optics.view(slide(), (x, y, z), size), dtype=float)


def grey(level, size=(200, 200)):
    """A scene of one brightness."""
    return Image.new("RGB", size, (level,) * 3)


def expose(scene, exposure=20.0, gain=1.0, seed=0):
    """A picture whose noise is the same each time."""
    return optics.expose(scene, exposure, gain, np.random.default_rng(seed))


def test_at_the_origin_the_middle_of_the_slide_is_seen_pixel_by_pixel():
    width, height = SIZE
    left, top = (slide().width - width) // 2, (slide().height - height) // 2
    expected = slide().crop((left, top, left + width, top + height))
    np.testing.assert_array_equal(look(), np.asarray(expected))


def test_a_move_to_the_right_and_down_shows_what_lies_there():
    moved = look(x=10 * PIXEL_SIZE, y=20 * PIXEL_SIZE)
    np.testing.assert_array_equal(moved[:-20, :-10], look()[20:, 10:])


def test_half_a_pixel_further_is_half_way_between_two_pictures():
    before, between, after = (look(x=n * PIXEL_SIZE) for n in (0, 0.5, 1))
    error = np.abs(between - (before + after) / 2).mean()
    assert error < np.abs(after - before).mean() / 2


def test_beyond_the_slide_there_is_blank_glass():
    assert (look(x=2000) == optics.GLASS).all()


def test_the_slide_is_tilted():
    assert optics.focal_height(100, 0) != optics.focal_height(0, 100) != optics.focal_height(0, 0)


def test_a_blurred_picture_shows_no_edge_of_the_field():
    """Light comes from outside the field too: a wide view and its middle agree."""
    wide, narrow = (look(z=40, size=size) for size in ((260, 220), SIZE))
    np.testing.assert_allclose(wide[50:-50, 50:-50], narrow, atol=2)


@given(st.floats(0, 15), st.floats(1, 20))
def test_the_farther_from_focus_the_less_sharp(distance, more):
    x, y = 30, -40
    focus = optics.focal_height(x, y)
    near, far = (optics.sharpness(look(x, y, focus + d)) for d in (distance, distance + more))
    assert near > far


def test_above_and_below_the_focus_look_alike():
    focus = optics.focal_height(0, 0)
    np.testing.assert_array_equal(look(z=focus + 6), look(z=focus - 6))


def test_twice_the_exposure_is_twice_as_bright():
    dark, bright = (expose(grey(100), exposure).mean() for exposure in (8, 16))
    assert bright == pytest.approx(2 * dark, rel=0.01)


def test_what_is_too_bright_turns_white():
    assert (expose(grey(200), exposure=100) == 255).all()


def test_gain_makes_the_same_brightness_noisier():
    clean, noisy = expose(grey(128), 20, gain=1), expose(grey(128), 2, gain=10)
    assert noisy.mean() == pytest.approx(clean.mean(), rel=0.02)
    assert noisy.std() > 2 * clean.std()


@pytest.mark.parametrize("level", [50, 100, 200])
def test_the_noise_is_that_of_counted_electrons(level):
    picture = expose(grey(level)).astype(float)
    electrons = optics.FULL_WELL / 255
    expected = np.sqrt(picture.mean() * electrons + optics.READ_NOISE**2) / electrons
    assert picture.std() == pytest.approx(expected, rel=0.1)


def test_the_same_seed_gives_the_same_noise():
    np.testing.assert_array_equal(expose(grey(99), seed=1), expose(grey(99), seed=1))
    assert (expose(grey(99), seed=1) != expose(grey(99), seed=2)).any()


@given(st.floats(-5, 5), st.floats(0.1, 10))
def test_the_top_of_a_parabola_is_found_between_the_heights(top, curvature):
    heights = [float(z) for z in range(-8, 9, 2)]
    curve = [100 - curvature * (z - top) ** 2 for z in heights]
    assert optics.best_height(heights, curve) == pytest.approx(top, abs=1e-6)


@pytest.mark.parametrize(("curve", "best"), [([3, 2, 1], 0), ([1, 2, 3], 2), ([5, 5, 5], 0)])
def test_a_curve_without_a_peak_gives_the_height_of_its_largest_value(curve, best):
    assert optics.best_height([0, 1, 2], curve) == best


@given(st.lists(st.floats(0, 1000), min_size=3, max_size=30))
@example([0.842, 1, 1])  # where rounding once went beyond
def test_the_best_height_lies_within_half_a_step_of_the_sharpest_picture(curve):
    assume(max(curve) > min(curve))
    heights = [float(z) for z in range(len(curve))]
    assert abs(optics.best_height(heights, curve) - curve.index(max(curve))) <= 0.5


def test_a_jpeg_can_be_opened_and_looks_like_the_picture():
    picture = look().astype(np.uint8)
    file = Image.open(io.BytesIO(optics.to_jpeg(picture)))
    assert (file.format, file.size) == ("JPEG", SIZE)
    assert np.abs(np.asarray(file, dtype=float) - picture).mean() < 8
