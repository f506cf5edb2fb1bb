"""Things of a microscope as laboratories wrote them for years: the older words, all of them."""

from __future__ import annotations

from typing import Annotated, Optional

from fastapi import Response
from pydantic import BaseModel, Field

import labthings_fastapi as lt
from labthings_fastapi.decorators import fastapi_endpoint, thing_action, thing_property
from labthings_fastapi.dependencies.invocation import CancelHook, InvocationLogger
from labthings_fastapi.dependencies.metadata import GetThingStates
from labthings_fastapi.dependencies.raw_thing import raw_thing_dependency
from labthings_fastapi.dependencies.thing import direct_thing_client_dependency
from labthings_fastapi.descriptors import PropertyDescriptor
from labthings_fastapi.thing import Thing


class SharpnessMonitor(BaseModel):
    heights: list[int] = []
    sharpness: list[float] = []


class Stage(Thing):
    """A stage that moves."""

    backlash: dict[str, int] = lt.setting(default_factory=lambda: {"x": 0, "z": 10})
    """Steps to go too far, by axis."""
    step_time = PropertyDescriptor(Annotated[float, Field(gt=0)], 0.001, description="Seconds.")
    position = PropertyDescriptor(dict[str, int], {"x": 0, "y": 0, "z": 0}, readonly=True)
    moving = PropertyDescriptor(bool, False, readonly=True, observable=True)

    def __enter__(self):
        self._hardware_z = 0
        return self

    def __exit__(self, _exc_type, _exc_value, _traceback):
        self.moving = False

    @property
    def thing_state(self):
        return {"position": self.position}

    @thing_action
    def move_relative(self, cancel: CancelHook, block: bool = True, **steps: int) -> None:
        """Move by some steps."""
        self.moving = True
        try:
            cancel.sleep(self.step_time)
            self.position = {k: v + steps.get(k, 0) for k, v in self.position.items()}
        finally:
            self.moving = False


class Camera(Thing):
    """A camera that sees how sharp things are."""

    def __init__(self, best: int = 40):
        self.best = best
        self._exposure = 10
        self._colour = (1.0, 1.0)

    @lt.setting
    def colour_gains(self) -> tuple[float, float]:
        """Red and blue."""
        return self._colour

    @colour_gains.setter
    def colour_gains(self, value: tuple[float, float]):
        self._colour = value

    @thing_property
    def exposure_time(self) -> int:
        """The exposure in ms."""
        return self._exposure

    @exposure_time.setter
    def exposure_time(self, value: int):
        self._exposure = value

    gain = PropertyDescriptor(int, getter=lambda self: self._exposure // 10)

    @gain.setter
    def set_gain(self, value: int):
        self._exposure = value * 10

    @thing_action
    def sharpness(self, logger: InvocationLogger, height: int) -> float:
        logger.info("Looking at %d", height)
        return -abs(height - self.best)

    @fastapi_endpoint("get", "snapshot.jpg", responses={200: {"content": {"image/jpeg": {}}}})
    def snapshot(self) -> Response:
        """A picture now."""
        return Response(b"\xff\xd8", media_type="image/jpeg")


StageClient = direct_thing_client_dependency(Stage, "/stage/")
CameraClient = direct_thing_client_dependency(Camera, "/camera/", actions=["sharpness"])
RawCamera = raw_thing_dependency(Camera)


class Autofocus(Thing):
    """Finds the focus."""

    last = PropertyDescriptor(Optional[SharpnessMonitor], None, readonly=True)  # noqa: UP045

    @thing_action
    def look_and_move(
        self,
        stage: StageClient,
        camera: CameraClient,
        logger: InvocationLogger,
        cancel: CancelHook,
        dz: Annotated[int, Field(gt=0)] = 100,
        steps: int = 5,
    ) -> SharpnessMonitor:
        """Go through the heights and come back to the sharpest."""
        seen = SharpnessMonitor()
        for i in range(steps):
            cancel.raise_if_set()
            stage.move_relative(z=dz // steps if i else 0)
            seen.heights.append(stage.position["z"])
            seen.sharpness.append(camera.sharpness(stage.position["z"]))
        best = seen.heights[seen.sharpness.index(max(seen.sharpness))]
        stage.move_relative(True, z=best - stage.position["z"])
        logger.info("Sharpest at %d", best)
        self.last = seen
        return seen

    @thing_action
    def wait_for_ever(self, stage: StageClient) -> None:
        stage.step_time = 600
        stage.move_relative(z=1)

    @thing_action
    def describe(self, states: GetThingStates, camera: RawCamera) -> dict:
        return {"states": states(), "best": camera.best, "gain": camera.gain}
