"""The specimen is real, large enough, and there without a network."""

from __future__ import annotations

import socket

import numpy as np
import pytest

from labthings_fastapi.demo.specimen import PIXEL_SIZE, SLIDE_SIZE, slide


@pytest.fixture(scope="module")
def pixels():
    """The slide as an array."""
    return np.asarray(slide())


def test_the_slide_has_its_documented_size(pixels):
    side = SLIDE_SIZE / PIXEL_SIZE
    assert pixels.shape == (side, side, 3)


def test_the_micrograph_lies_in_the_middle(pixels):
    from skimage.data import immunohistochemistry

    np.testing.assert_array_equal(pixels[744:1256, 744:1256], immunohistochemistry())


def test_the_surroundings_mirror_the_micrograph(pixels):
    np.testing.assert_array_equal(pixels[743], pixels[744])
    np.testing.assert_array_equal(pixels[:, 1256 + 100], pixels[:, 1255 - 100])


def test_nothing_is_downloaded(monkeypatch):
    """Loading works where every attempt to open a connection fails."""

    def no_network(*args, **kwargs):
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr(socket.socket, "connect", no_network)
    slide.cache_clear()
    assert slide().mode == "RGB"
