"""Find the focus: take pictures at several heights, and move to the sharpest one."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

import labthings_fastapi as lt

from .camera import Camera
from .motion import Length
from .optics import best_height, sharpness
from .stage import Stage


class FocusCurve(BaseModel, use_attribute_docstrings=True):
    """The sharpness of the picture at each height."""

    z: list[Length]
    """Heights (µm), from low to high."""

    sharpness: list[Annotated[float, Field(allow_inf_nan=False)]]
    """Variance of the Laplacian of the picture at each height."""

    best_z: Length
    """The height of the focus (µm); it may lie between two of the heights."""


class Autofocus(lt.Thing):
    """Autofocus."""

    stage: Stage = lt.thing_slot()
    camera: Camera = lt.thing_slot()

    focused: lt.Event[Length] = lt.event()
    """The focus was found at this height (µm)."""

    @lt.action(concurrency="queue")
    def autofocus(
        self,
        range_um: Annotated[Length, Field(gt=0, le=200, allow_inf_nan=False)] = 40.0,
        steps: Annotated[int, Field(ge=3, le=201)] = 21,
    ) -> FocusCurve:
        """Find the focus.

        Takes pictures at several heights, and moves to the sharpest one.

        Args:
            range_um: the range of heights (µm), half of it on either side of the present height
            steps: the number of pictures

        Returns:
            The sharpness at each height, and the best height.
        """
        here = self.stage.move_by()  # a move by 0 waits until the stage is free
        lowest = here.z - range_um / 2
        heights = [lowest + range_um * step / (steps - 1) for step in range(steps)]
        # Check before moving that the whole range is within the limits.
        for z in (heights[0], heights[-1]):
            self.stage.limits.check(here.with_axes(z=z))

        sharpnesses: list[float] = []
        best = here.z
        for stop in lt.track([*heights, None], message="focusing"):
            if stop is not None:
                sharpnesses.append(self._sharpness_at(stop))
            else:  # the last stop is the focus
                best = best_height(heights, sharpnesses)
                self.stage.move_to(z=best)

        if best in (heights[0], heights[-1]):
            self.logger.warning("The focus may lie beyond %g µm. Use a larger range_um.", best)
        else:
            self.focused.emit(best)
        return FocusCurve(z=heights, sharpness=sharpnesses, best_z=best)

    def _sharpness_at(self, z: float) -> float:
        self.stage.move_to(z=z)
        return sharpness(self.camera.grab_array())
