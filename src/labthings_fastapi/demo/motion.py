"""Positions, limits and moves of a stage: immutable values, without hardware or threads."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, Field

import labthings_fastapi as lt

Length = Annotated[float, Field(allow_inf_nan=False, json_schema_extra={"unit": "om:micrometre"})]
"""A length or coordinate (µm). NaN and infinity are refused, because it moves hardware."""


class OutOfReachError(lt.exceptions.InvocationError, ValueError):
    """A position is outside the limits of the stage."""


class Position(BaseModel, frozen=True):
    """A point that the stage can move to (µm)."""

    x: Length = 0.0
    y: Length = 0.0
    z: Length = 0.0

    def with_axes(self, **axes: float | None) -> Position:
        """Return a copy with other values of some axes; None leaves an axis as it is."""
        return self.model_copy(update={axis: v for axis, v in axes.items() if v is not None})

    def shifted(self, dx: float = 0.0, dy: float = 0.0, dz: float = 0.0) -> Position:
        """Return the position at this distance."""
        return Position(x=self.x + dx, y=self.y + dy, z=self.z + dz)

    def distance(self, other: Position) -> float:
        """Return the length of the straight line to another position (µm)."""
        return math.dist((self.x, self.y, self.z), (other.x, other.y, other.z))


class Limits(BaseModel, frozen=True):
    """The range of each axis: (lowest, highest) position in µm."""

    x: tuple[Length, Length] = (-500.0, 500.0)
    y: tuple[Length, Length] = (-500.0, 500.0)
    z: tuple[Length, Length] = (-100.0, 100.0)

    def check(self, target: Position) -> None:
        """Raise `OutOfReachError` if a position is outside the limits, or NaN."""
        for axis, value in target:
            lowest, highest = getattr(self, axis)
            if not lowest <= value <= highest:
                raise OutOfReachError(
                    f"{axis} = {value:g} µm is out of reach: "
                    f"the {axis} axis moves from {lowest:g} to {highest:g} µm."
                )


@dataclass(frozen=True)
class Move:
    """A move along a straight line, at a constant speed (µm/s), that began at a time (s)."""

    start: Position
    target: Position
    speed: float
    began: float

    @property
    def length(self) -> float:
        """The length of the move (µm)."""
        return self.start.distance(self.target)

    @property
    def duration(self) -> float:
        """The duration of the move (s)."""
        return self.length / self.speed

    def remaining(self, now: float) -> float:
        """Return the remaining time (s); 0 at the target."""
        return max(self.began + self.duration - now, 0.0)

    def position(self, now: float) -> Position:
        """Return the position at a time (s) between start and target."""
        left = self.remaining(now)
        if left == 0:
            return self.target
        done = 1 - left / self.duration
        a, b = self.start, self.target
        return a.shifted(done * (b.x - a.x), done * (b.y - a.y), done * (b.z - a.z))
