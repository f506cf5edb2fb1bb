"""The specimen on the bench: a real micrograph that comes with scikit-image.

Glands of the colon, the FHL2 protein stained brown and the nuclei blue, recorded at the Center for
Microscopy and Molecular Imaging (CMMI). The picture is part of the library: nothing is downloaded.
"""

from __future__ import annotations

from functools import cache

from .extra import demo_extra

with demo_extra():
    import numpy as np
    from PIL import Image
    from skimage import data

PIXEL_SIZE = 0.5
"""Width of one pixel of the specimen (µm): it makes the nuclei about 10 µm long, as they are."""

SLIDE_SIZE = 1000.0
"""Width and height of the tissue on the slide (µm). Around it is blank glass."""


@cache
def slide() -> Image.Image:
    """Return the whole slide in perfect focus: RGB, its middle at stage position (0, 0).

    The micrograph is a quarter of a millimetre wide; mirror images of it fill the rest.
    Callers share one picture, so they must not change it.
    """
    tissue = data.immunohistochemistry()  # type: ignore[no-untyped-call]
    missing = round(SLIDE_SIZE / PIXEL_SIZE) - tissue.shape[0]
    border = (missing // 2, missing - missing // 2)
    return Image.fromarray(np.pad(tissue, (border, border, (0, 0)), mode="symmetric"))
