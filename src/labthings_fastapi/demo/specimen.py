"""The specimen: a real micrograph from scikit-image.

It shows glands of the colon, with the FHL2 protein in brown and the nuclei in blue, recorded at
the Center for Microscopy and Molecular Imaging (CMMI). The picture is part of the library, so
nothing is downloaded.
"""

from __future__ import annotations

from functools import cache

from .extra import demo_extra

with demo_extra():
    import numpy as np
    from PIL import Image
    from skimage import data

PIXEL_SIZE = 0.5
"""Width of one pixel of the specimen (µm), chosen so that the nuclei are about 10 µm long."""

SLIDE_SIZE = 1000.0
"""Width and height of the tissue on the slide (µm); around it there is clear glass."""


@cache
def slide() -> Image.Image:
    """Return the whole slide in focus (RGB); its middle is at stage position (0, 0).

    The micrograph is 0.25 mm wide; mirror images of it fill the rest. All callers get the same
    picture and must not change it.
    """
    tissue = data.immunohistochemistry()  # type: ignore[no-untyped-call]
    missing = round(SLIDE_SIZE / PIXEL_SIZE) - tissue.shape[0]
    border = (missing // 2, missing - missing // 2)
    return Image.fromarray(np.pad(tissue, (border, border, (0, 0)), mode="symmetric"))
