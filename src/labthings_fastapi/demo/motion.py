"""Where a stage may be, and where it is during a move: values without any hardware or threads."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pydantic import BaseModel

import labthings_fastapi as lt


class OutOfReachError(lt.exceptions.InvocationError, ValueError):
    """A position lies outside the limits of the stage."""


class Position(BaseModel, frozen=True):
    """A point that the stage can move to (µm)."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0

    def with_axes(self, **axes: float | None) -> Position:
        """Return this position with the given axes changed; an axis that is None stays."""
        return self.model_copy(update={axis: v for axis, v in axes.items() if v is not None})

    def shifted(self, dx: float = 0.0, dy: float = 0.0, dz: float = 0.0) -> Position:
        """Return the position that lies this far away."""
        return Position(x=self.x + dx, y=self.y + dy, z=self.z + dz)

    def distance(self, other: Position) -> float:
        """Return the length of the straight line to another position (µm)."""
        return math.dist((self.x, self.y, self.z), (other.x, other.y, other.z))


class Limits(BaseModel, frozen=True):
    """How far each axis can move: (lowest, highest) position in µm."""

    x: tuple[float, float] = (-500.0, 500.0)
    y: tuple[float, float] = (-500.0, 500.0)
    z: tuple[float, float] = (-100.0, 100.0)

    def check(self, target: Position) -> None:
        """Raise `OutOfReachError` if a position lies outside the limits."""
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
        """How far the whole move goes (µm)."""
        return self.start.distance(self.target)

    @property
    def duration(self) -> float:
        """How long the whole move takes (s)."""
        return self.length / self.speed

    def remaining(self, now: float) -> float:
        """Return the time that is left (s), 0 once the target is reached."""
        return max(self.began + self.duration - now, 0.0)

    def position(self, now: float) -> Position:
        """Return where the stage is at a time between start and target."""
        left = self.remaining(now)
        if left == 0:
            return self.target
        done = 1 - left / self.duration
        a, b = self.start, self.target
        return a.shifted(done * (b.x - a.x), done * (b.y - a.y), done * (b.z - a.z))
