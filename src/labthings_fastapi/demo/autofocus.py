"""Finding the focus: take pictures at several heights, and go to where they are sharpest."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

import labthings_fastapi as lt

from .camera import Camera
from .optics import best_height, sharpness
from .stage import Stage


class FocusCurve(BaseModel, use_attribute_docstrings=True):
    """How sharp the picture was at each height."""

    z: list[float]
    """Heights (µm), from low to high."""

    sharpness: list[float]
    """Variance of the Laplacian of the picture at each height."""

    best_z: float
    """Where the specimen is sharpest (µm); may lie between two of the heights."""


class Autofocus(lt.Thing):
    """Autofocus."""

    stage: Stage = lt.thing_slot()
    camera: Camera = lt.thing_slot()

    focused: lt.Event[float] = lt.event()
    """Found the focus, at this height (µm)."""

    @lt.action(concurrency="queue")
    def autofocus(
        self,
        range_um: Annotated[float, Field(gt=0, le=200)] = 40.0,
        steps: Annotated[int, Field(ge=3, le=201)] = 21,
    ) -> FocusCurve:
        """Find the focus.

        Takes pictures on a sweep through z, and ends where they are sharpest.

        Args:
            range_um: how far to sweep (µm), half of it on either side of the present height
            steps: how many pictures to take on the way

        Returns:
            The sharpness at each height, and the best height.
        """
        here = self.stage.move_by()  # goes nowhere, but waits until the stage is free
        lowest = here.z - range_um / 2
        heights = [lowest + range_um * step / (steps - 1) for step in range(steps)]
        # Look before moving: the whole sweep must be within reach.
        for z in (heights[0], heights[-1]):
            self.stage.limits.check(here.with_axes(z=z))

        found: list[float] = []
        best = here.z
        for stop in lt.track([*heights, None], message="focusing"):
            if stop is not None:
                found.append(self._sharpness_at(stop))
            else:  # the last stop is the focus itself
                best = best_height(heights, found)
                self.stage.move_to(z=best)

        if best in (heights[0], heights[-1]):
            self.logger.warning("The focus may lie beyond %g µm: try a wider range.", best)
        else:
            self.focused.emit(best)
        return FocusCurve(z=heights, sharpness=found, best_z=best)

    def _sharpness_at(self, z: float) -> float:
        self.stage.move_to(z=z)
        return sharpness(self.camera.grab_array())
