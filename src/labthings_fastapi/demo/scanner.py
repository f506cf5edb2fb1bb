"""Scanning: one picture beside the other, until a piece of the specimen is covered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, Field

import labthings_fastapi as lt

from .autofocus import Autofocus
from .camera import Camera, JPEGBlob
from .motion import Position
from .stage import Stage


class Tile(BaseModel, use_attribute_docstrings=True):
    """One picture of a scan."""

    column: int
    """From 0 at the left."""

    row: int
    """From 0 at the top."""

    x: float
    """Stage position of the middle of the picture (µm)."""

    y: float
    """Stage position of the middle of the picture (µm)."""

    image: JPEGBlob


Count = Annotated[int, Field(ge=1, le=100)]


def snake(columns: int, rows: int) -> Iterator[tuple[int, int]]:
    """Yield the (column, row) of all tiles row by row, there and back, to keep moves short."""
    for row in range(rows):
        there = range(columns)
        for column in there if row % 2 == 0 else reversed(there):
            yield column, row


class TileScan(lt.Thing):
    """Tile scanner.

    It takes pictures side by side, to show more of the specimen than the camera sees at once.
    """

    stage: Stage = lt.thing_slot()
    camera: Camera = lt.thing_slot()
    autofocus: Autofocus | None = lt.thing_slot()

    @lt.action(concurrency="queue")
    def scan(
        self,
        columns: Count = 3,
        rows: Count = 3,
        overlap: Annotated[float, Field(ge=0, lt=1)] = 0.1,
        focus: bool = False,
    ) -> Iterator[Tile]:
        """Take pictures side by side.

        The tiles lie around the present position, and the stage comes back to it.

        Args:
            columns: how many tiles in x
            rows: how many tiles in y
            overlap: the share of a picture that the next one shows again (0 to below 1)
            focus: whether to focus on each tile first

        Returns:
            The tiles, each as soon as it is taken.
        """
        if focus and self.autofocus is None:
            raise lt.exceptions.InvocationError("There is no autofocus here: scan without.")
        start = self.stage.move_by()  # goes nowhere, but waits until the stage is free
        width, height = (side * (1 - overlap) for side in self.camera.field_of_view)

        def place(column: int, row: int) -> Position:
            dx = (column - (columns - 1) / 2) * width
            dy = (row - (rows - 1) / 2) * height
            return start.shifted(dx, dy)

        # Look before moving: if two opposite corners are within reach, so is the rest.
        self.stage.limits.check(place(0, 0))
        self.stage.limits.check(place(columns - 1, rows - 1))

        for stop in lt.track([*snake(columns, rows), None], message="scanning"):
            target = start if stop is None else place(*stop)
            self.stage.move_to(x=target.x, y=target.y)
            if stop is not None:
                yield self._take(*stop, focus=focus)

    def _take(self, column: int, row: int, *, focus: bool) -> Tile:
        """Take a picture here, wherever that is: between two moves, others may move the stage."""
        if focus and self.autofocus:
            self.autofocus.autofocus()
        here = self.stage.position
        return Tile(column=column, row=row, x=here.x, y=here.y, image=self.camera.capture())
