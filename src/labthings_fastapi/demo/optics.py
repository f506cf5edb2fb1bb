"""A model of the microscope's optics: field of view, focus, exposure and noise.

Plain functions without state: any thread may call them. Lengths are in µm, times in ms.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TypeAlias

from .extra import demo_extra
from .specimen import PIXEL_SIZE

with demo_extra():
    import numpy as np
    import numpy.typing as npt
    from PIL import Image, ImageFilter
    from skimage.filters import laplace

Picture: TypeAlias = "npt.NDArray[np.uint8]"
"""A colour picture: an array of shape (height, width, 3), values 0 to 255."""

GLASS = (245, 245, 245)
"""Colour of the slide without tissue."""

NUMERICAL_APERTURE = 0.25
"""Numerical aperture of the objective (10×). A larger one has a smaller depth of field."""

SATURATION_EXPOSURE = 25.0
"""Exposure (ms) at which a clear slide just becomes white."""

FULL_WELL = 20_000.0
"""Electrons that a pixel of the sensor can hold; counting them gives shot noise."""

READ_NOISE = 20.0
"""Random error of reading a pixel, in electrons (standard deviation)."""


def focal_height(x: float, y: float) -> float:
    """Return the z (µm) at which the specimen is sharp; the slide is slightly tilted."""
    return 12.0 + 0.006 * x - 0.004 * y


def blur(x: float, y: float, z: float) -> float:
    """Return the blur of a point of the specimen (µm, standard deviation).

    A point that is out of focus becomes a disc, as wide as the cone of light that the objective
    accepts. A Gaussian of half the disc's radius looks much like it.
    """
    cone = math.tan(math.asin(NUMERICAL_APERTURE))
    return abs(z - focal_height(x, y)) * cone / 2


def view(
    slide: Image.Image, position: tuple[float, float, float], size: tuple[int, int]
) -> Image.Image:
    """Return what the objective shows at a stage position, without noise.

    `position` is the (x, y, z) of the middle of the field; x grows to the right, y downwards.
    `size` is the field's (width, height) in pixels. Positions between pixels are interpolated.
    """
    x, y, z = position
    width, height = size
    sigma = float(blur(x, y, z) / PIXEL_SIZE)
    margin = math.ceil(3 * sigma)  # blur brings light in from just outside the field
    left = (slide.width - width) / 2 + x / PIXEL_SIZE - margin
    top = (slide.height - height) / 2 + y / PIXEL_SIZE - margin
    sharp = slide.transform(
        (width + 2 * margin, height + 2 * margin),
        Image.Transform.AFFINE,
        (1, 0, left, 0, 1, top),
        resample=Image.Resampling.BICUBIC,
        fillcolor=GLASS,
    )
    blurred = sharp.filter(ImageFilter.GaussianBlur(sigma))
    return blurred.crop((margin, margin, margin + width, margin + height))


def expose(
    scene: Image.Image, exposure: float, gain: float, random: np.random.Generator
) -> Picture:
    """Return the picture that the sensor records of a scene, with noise and saturation."""
    light = np.asarray(scene, dtype=np.float32) / 255
    electrons = light * (FULL_WELL * exposure / SATURATION_EXPOSURE)
    # The shot noise of n electrons is √n. For large n a normal distribution is accurate.
    noise = np.sqrt(electrons + READ_NOISE**2)
    electrons += noise * random.standard_normal(electrons.shape, dtype=np.float32)
    recorded = electrons.clip(0, FULL_WELL) * (gain / FULL_WELL)
    return (recorded.clip(0, 1) * 255).round().astype(np.uint8)


def sharpness(picture: Picture) -> float:
    """Return the variance of the Laplacian, a common measure of focus: larger is sharper."""
    grey = picture.mean(axis=2)
    return float(laplace(grey).var())  # type: ignore[no-untyped-call]


def best_height(heights: Sequence[float], sharpnesses: Sequence[float]) -> float:
    """Return the height of the sharpest picture, refined with a parabola through its neighbours.

    `heights` are evenly spaced. At either end there is only one neighbour, and nothing to refine.
    """
    top = int(np.argmax(sharpnesses))
    if top in (0, len(heights) - 1):
        return heights[top]
    below, peak, above = sharpnesses[top - 1 : top + 2]
    # Differences are exact for nearly equal values, so the shift is never more than half a step.
    left, right = peak - below, peak - above
    shift = (left - right) / (2 * (left + right))
    return heights[top] + shift * (heights[top + 1] - heights[top])


def to_jpeg(picture: Picture) -> bytes:
    """Return the picture as the bytes of a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="JPEG", quality=90)
    return file.getvalue()
