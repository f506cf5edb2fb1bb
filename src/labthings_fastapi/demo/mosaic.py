"""The picture of a whole scan, which grows tile by tile in a file."""

from __future__ import annotations

from pathlib import Path

from .extra import demo_extra
from .optics import Picture
from .specimen import PIXEL_SIZE

with demo_extra():
    import tifffile

FILE_NAME = "stitched.ome.tif"


class Mosaic:
    """An OME-TIFF of known size, into which tiles are put one by one.

    The file is whole from the first moment on: what was not scanned yet is black. So it can be read
    while the scan goes on, after a cancel, and after a power cut. Only the tiles are in memory.
    """

    def __init__(self, folder: Path, left: float, top: float, width: int, height: int) -> None:
        """Make the file; `left` and `top` are the stage's position (µm) at the upper left corner.

        `width` and `height` are in pixels.
        """
        self.path = folder / FILE_NAME
        self._left, self._top = left, top
        self._pixels = tifffile.memmap(
            self.path,
            shape=(height, width, 3),
            dtype="uint8",
            photometric="rgb",
            ome=True,
            metadata={
                "axes": "YXS",
                "PhysicalSizeX": PIXEL_SIZE,
                "PhysicalSizeXUnit": "µm",
                "PhysicalSizeY": PIXEL_SIZE,
                "PhysicalSizeYUnit": "µm",
            },
        )

    def put(self, picture: Picture, x: float, y: float) -> None:
        """Put a tile where its middle was (µm); what lies outside of the mosaic is left out."""
        rows, columns = picture.shape[:2]
        left = round((x - self._left) / PIXEL_SIZE - columns / 2)
        top = round((y - self._top) / PIXEL_SIZE - rows / 2)
        height, width = self._pixels.shape[:2]
        above, before = max(-top, 0), max(-left, 0)
        bottom, right = min(top + rows, height), min(left + columns, width)
        if bottom > top + above and right > left + before:
            tile = picture[above : bottom - top, before : right - left]
            self._pixels[top + above : bottom, left + before : right] = tile
            self._pixels.flush()
