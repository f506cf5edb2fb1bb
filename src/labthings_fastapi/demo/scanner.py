"""Scan an area of the specimen: take pictures side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, Field

import labthings_fastapi as lt

from . import optics
from .autofocus import Autofocus
from .camera import Camera, JPEGBlob
from .mosaic import Mosaic
from .motion import Length, Position
from .specimen import PIXEL_SIZE
from .stage import Stage


class Tile(BaseModel, use_attribute_docstrings=True):
    """One picture of a scan."""

    column: int
    """Column, from 0 at the left."""

    row: int
    """Row, from 0 at the top."""

    x: Length
    """x position of the stage (µm), at the middle of the picture."""

    y: Length
    """y position of the stage (µm), at the middle of the picture."""

    image: JPEGBlob


Count = Annotated[int, Field(ge=1, le=100)]


def snake(columns: int, rows: int) -> Iterator[tuple[int, int]]:
    """Yield (column, row) of all tiles; every second row runs backwards, to keep moves short."""
    for row in range(rows):
        forward = range(columns)
        for column in forward if row % 2 == 0 else reversed(forward):
            yield column, row


class TileScan(lt.Thing):
    """Tile scanner.

    It takes pictures side by side, to show more of the specimen than the camera sees at once. A run
    leaves them as one picture too, an OME-TIFF among its files, also if it is cancelled.
    """

    stage: Stage = lt.thing_slot()
    camera: Camera = lt.thing_slot()
    autofocus: Autofocus | None = lt.thing_slot()

    @lt.action(concurrency="queue")
    def scan(
        self,
        columns: Count = 3,
        rows: Count = 3,
        overlap: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.1,
        focus: bool = False,
    ) -> Iterator[Tile]:
        """Take pictures side by side.

        The tiles lie around the present position, and the stage comes back to it.

        Args:
            columns: the number of tiles in x
            rows: the number of tiles in y
            overlap: the fraction of a picture that the next one shows again (0 to below 1)
            focus: whether to focus on each tile first

        Returns:
            The tiles, each as soon as it is taken.
        """
        if focus and self.autofocus is None:
            raise lt.exceptions.InvocationError(
                "There is no autofocus on this server. Scan with focus=false."
            )
        start = self.stage.move_by()  # a move by 0 waits until the stage is free
        width, height = (side * (1 - overlap) for side in self.camera.field_of_view)

        def tile_position(column: int, row: int) -> Position:
            dx = (column - (columns - 1) / 2) * width
            dy = (row - (rows - 1) / 2) * height
            return start.shifted(dx, dy)

        # Check before moving. If two opposite corners are within the limits, all tiles are.
        self.stage.limits.check(tile_position(0, 0))
        self.stage.limits.check(tile_position(columns - 1, rows - 1))

        mosaic = self._mosaic(tile_position(0, 0), tile_position(columns - 1, rows - 1))
        for stop in lt.track([*snake(columns, rows), None], message="scanning"):
            target = start if stop is None else tile_position(*stop)
            self.stage.move_to(x=target.x, y=target.y)
            if stop is not None:
                yield self._take(*stop, mosaic, focus=focus)

    def _mosaic(self, first: Position, last: Position) -> Mosaic | None:
        """Return the picture of all tiles, between the first and the last; None outside a run."""
        try:
            folder = lt.output_folder()
        except lt.exceptions.NoInvocationContextError:  # called from Python, in a notebook
            return None
        width, height = self.camera.field_of_view
        columns, rows = self.camera.resolution
        return Mosaic(
            *(folder, first.x - width / 2, first.y - height / 2),
            width=columns + round((last.x - first.x) / PIXEL_SIZE),
            height=rows + round((last.y - first.y) / PIXEL_SIZE),
        )

    def _take(self, column: int, row: int, mosaic: Mosaic | None, *, focus: bool) -> Tile:
        """Take a picture at the present position.

        Another client may move the stage between two moves of a scan, so the tile has the real
        position.
        """
        if focus and self.autofocus:
            self.autofocus.autofocus()
        here = self.stage.position
        picture = self.camera.grab_array()
        if mosaic is not None:
            mosaic.put(picture, here.x, here.y)
        image = JPEGBlob.from_bytes(optics.to_jpeg(picture))
        return Tile(column=column, row=row, x=here.x, y=here.y, image=image)
