"""A camera whose pictures are arrays: one source, served by this project and by its peer alike."""

from typing import Any

import numpy as np

import labthings_fastapi as lt
from labthings_fastapi.types.numpy import NDArray

SIDE = 2048  # pixels, of 16 bits: 8 MiB


class Camera(lt.Thing):
    """A camera that has its picture already."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._picture = np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE)

    @lt.property
    def picture(self) -> NDArray:
        """The newest picture."""
        return self._picture

    @lt.action
    def capture(self) -> NDArray:
        """Take a picture."""
        return self._picture

    @lt.action
    def look_at(self, picture: NDArray) -> int:
        """Look at one pixel."""
        return int(picture[0, 0])
