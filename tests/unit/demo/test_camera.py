"""The camera shows the specimen under the stage."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from labthings_fastapi.demo.optics import focal_height, sharpness


@pytest.fixture
def camera(bench):
    """The camera of the bench."""
    return bench["camera"]


def test_a_captured_picture_is_a_jpeg_of_the_stated_resolution(camera):
    blob = camera.capture()
    picture = Image.open(io.BytesIO(blob.content))
    assert blob.media_type == "image/jpeg"
    assert (picture.format, picture.size) == ("JPEG", camera.resolution)


def test_a_picture_is_also_an_array_of_its_pixels(camera):
    width, height = camera.resolution
    assert camera.capture_array().shape == (height, width, 3)
    assert camera.capture_array().dtype == np.uint8


def test_the_field_of_view_is_the_resolution_in_micrometres(camera):
    assert camera.field_of_view == (200, 150)


def test_moving_the_stage_to_the_focus_makes_the_picture_sharper(bench, camera):
    blurred = sharpness(camera.grab_array())
    bench["stage"].move_to(z=focal_height(0, 0))
    assert sharpness(camera.grab_array()) > 2 * blurred


def test_moving_the_stage_sideways_shows_another_place(bench, camera):
    camera.exposure = 20
    here = camera.grab_array().astype(float)
    bench["stage"].move_by(dx=100)
    assert np.abs(camera.grab_array() - here).mean() > 10


def test_a_longer_exposure_is_brighter(camera):
    camera.exposure = 5
    dark = camera.grab_array().mean()
    camera.exposure = 15
    assert camera.grab_array().mean() > 2 * dark


def test_no_two_pictures_have_the_same_noise(camera):
    assert (camera.grab_array() != camera.grab_array()).any()
