"""A simulated camera with a picture of a real specimen."""

from __future__ import annotations

import threading
from typing import Any, Literal, Self, TypeAlias

import labthings_fastapi as lt

from . import optics
from .extra import demo_extra
from .motion import Length
from .specimen import PIXEL_SIZE, slide
from .stage import Stage

with demo_extra():
    import numpy as np

RESOLUTION = (400, 300)
LIVE_PERIOD, IDLE_PERIOD = 0.1, 1.0
"""Time (s) between two pictures of the live stream, with and without viewers."""
RGB: TypeAlias = np.ndarray[tuple[int, int, Literal[3]], np.dtype[np.uint8]]


class JPEGBlob(lt.blob.Blob):
    """A picture as a JPEG file."""

    media_type = "image/jpeg"


class Camera(lt.Thing):
    """Microscope camera.

    It shows the part of the specimen at the present position of the stage, also live: at
    `/camera/live/viewer` in a browser.
    """

    live = lt.outputs.MJPEGStreamDescriptor()

    stage: Stage = lt.thing_slot()

    exposure: float = lt.property(default=20.0, ge=1, le=1000, unit="om:millisecond-Time")
    """Exposure time.

    The time for which the camera collects light: too short gives a dark picture, too long a white
    one.
    """

    gain: float = lt.property(default=1.0, ge=1, le=16)
    """Gain.

    The amplification of the signal: a higher gain gives a brighter picture with more noise.
    """

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        """Set up the camera; with a `seed`, the noise is reproducible."""
        super().__init__(**kwargs)
        self._random = np.random.default_rng(seed)
        self._random_lock = threading.Lock()  # the generator is not thread-safe
        self._closing = threading.Event()

    def __enter__(self) -> Self:
        """Begin the live stream."""
        self._closing.clear()
        self.live.reset()
        self._showing = threading.Thread(target=self._show, name="camera-live")
        self._showing.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End the live stream."""
        self._closing.set()
        self._showing.join()

    def _show(self) -> None:
        """Take pictures for those who watch; now and then one for snapshots, if nobody does."""
        period = 0.0
        while not self._closing.wait(period):
            self.live.add_frame(optics.to_jpeg(self.grab_array()))
            period = LIVE_PERIOD if self.live.viewers else IDLE_PERIOD

    @lt.property(unit="om:pixel")
    def resolution(self) -> tuple[int, int]:
        """Width and height of a picture in pixels."""
        return RESOLUTION

    @lt.property
    def field_of_view(self) -> tuple[Length, Length]:
        """Width and height of the area in a picture."""
        width, height = RESOLUTION
        return width * PIXEL_SIZE, height * PIXEL_SIZE

    @lt.action(safe=True)
    def capture(self) -> JPEGBlob:
        """Take a picture."""
        return JPEGBlob.from_bytes(optics.to_jpeg(self.grab_array()))

    @lt.action(safe=True)
    def capture_array(self) -> RGB:
        """Take a picture as an array.

        Its axes are rows, columns, and red, green and blue.
        """
        return self.grab_array()

    def grab_array(self) -> optics.Picture:
        """Return a picture for other Things: an array (height, width, 3) of values 0 to 255."""
        exposure, gain = self.exposure, self.gain
        lt.cancellable_sleep(exposure / 1000)
        here = self.stage.position
        scene = optics.view(slide(), (here.x, here.y, here.z), RESOLUTION)
        with self._random_lock:
            return optics.expose(scene, exposure, gain, self._random)
