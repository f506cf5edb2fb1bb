"""A motorised stage: simulated, but its moves take real time and can be stopped."""

from __future__ import annotations

import threading
import time
from typing import Any
from uuid import UUID

import labthings_fastapi as lt
from labthings_fastapi.actions.context import current_invocation
from labthings_fastapi.actions.threads import outermost_id

from .motion import Limits, Move, Position

STEP = 0.02
"""Time (s) between two looks at a moving stage."""


class StageStoppedError(lt.exceptions.InvocationError):
    """A move was stopped on its way, or an emergency stop holds the stage."""


class Stage(lt.Thing):
    """Motorised stage.

    It has three axes: x and y move the slide, z moves it in and out of focus. One move at a time:
    others wait for their turn, except for a jog, which takes over.
    """

    speed: float = lt.property(default=200.0, gt=0, le=5000, unit="µm/s")
    """Speed of the stage, from the next move on."""

    backlash: float = lt.setting(default=2.0, ge=0, le=20, unit="µm")
    """Backlash of the z axis.

    Every move in z ends with this distance upwards, so that the gears always touch on one side.
    """

    limits: Limits = lt.property(default=Limits(), readonly=True, unit="µm")
    """Lowest and highest position of each axis."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # The lock guards the attributes below it. It is held for moments only, never while the
        # stage travels: the position can be read, and the stage stopped, at any time.
        self._lock = threading.Lock()
        self._resting = Position()
        self._move: Move | None = None
        self._mover: UUID | None = None  # the run that set it off; None: no run
        self._stopped = False

    @lt.property(observable=True, unit="µm")
    def position(self) -> Position:
        """Where the stage is, also while it moves."""
        with self._lock:
            return self._whereabouts()

    @lt.property(observable=True)
    def moving(self) -> bool:
        """Whether the stage is moving."""
        return self._move is not None

    @lt.property(observable=True)
    def stopped(self) -> bool:
        """Whether an emergency stop holds the stage."""
        return self._stopped

    @lt.action(concurrency="queue", group="motion")
    def move_to(
        self, x: float | None = None, y: float | None = None, z: float | None = None
    ) -> Position:
        """Move to a position.

        An axis that is left out stays where it is.

        Args:
            x: where to go along x (µm)
            y: where to go along y (µm)
            z: where to go along z (µm)

        Returns:
            The position that was reached.
        """
        return self._go(self.position.with_axes(x=x, y=y, z=z))

    @lt.action(concurrency="queue", group="motion")
    def move_by(self, dx: float = 0.0, dy: float = 0.0, dz: float = 0.0) -> Position:
        """Move by a distance.

        Args:
            dx: how far along x (µm)
            dy: how far along y (µm)
            dz: how far along z (µm)

        Returns:
            The position that was reached.
        """
        return self._go(self.position.shifted(dx, dy, dz))

    @lt.action(concurrency="queue", group="motion")
    def home(self) -> Position:
        """Move to the middle of all axes, (0, 0, 0)."""
        return self._go(Position())

    @lt.action(concurrency="replace", group="motion")
    def jog(self, dx: float = 0.0, dy: float = 0.0, dz: float = 0.0) -> Position:
        """Move by a distance, at once.

        For steering by hand: it waits for nobody, but cancels the run that is moving the stage.

        Args:
            dx: how far along x (µm)
            dy: how far along y (µm)
            dz: how far along z (µm)

        Returns:
            The position that was reached.
        """
        return self._go(self.position.shifted(dx, dy, dz))

    @lt.action(stop=True)
    def stop(self) -> None:
        """Emergency stop.

        The stage stays where it is, and its move fails. It refuses to move until it is released:
        otherwise a scan that was just taking a picture would go on with its next move.
        """
        with self._lock:
            self._come_to_rest()
            self._stopped = True
        self._publish("position", "moving", "stopped")

    @lt.action
    def release(self) -> None:
        """Let the stage move again after an emergency stop."""
        with self._lock:
            self._stopped = False
        self._publish("stopped")

    def safe_state(self) -> None:
        """Come to rest: a run that used the stage was cancelled, or has failed."""
        self._end_move()

    def _go(self, target: Position) -> Position:
        """Go to a position; where z changes, the last bit of the way leads upwards."""
        self.limits.check(target)
        start = self.position
        rise = min(self.backlash, target.z - self.limits.z[0]) if target.z != start.z else 0.0
        below = target.shifted(dz=-rise)
        way = start.distance(below)
        self._travel(below, 0, way + rise)
        with lt.shield():  # a cancel waits for the end of the approach; an emergency stop does not
            self._travel(target, way, way + rise)
        self._end_move()
        return target

    def _travel(self, target: Position, done: float, total: float) -> None:
        """Go straight to a position; `done` and `total` are lengths of the whole way (µm)."""
        move = self._set_off(target)
        self._publish("moving")
        while self._move is move and (left := move.remaining(time.monotonic())):
            lt.cancellable_sleep(min(left, STEP))
            gone = done + move.start.distance(self.position)
            lt.progress(gone, total, unit="µm", message="moving")
            self._publish("position")
        if self._move is not move:
            raise StageStoppedError(
                "An emergency stop, or another move of the same run, ended this move at "
                f"{self.position}."
            )

    def _set_off(self, target: Position) -> Move:
        """Begin to move, unless the stage is held; from then on it travels by itself."""
        with self._lock:
            if self._stopped:
                raise StageStoppedError("An emergency stop holds the stage: release it first.")
            self._move = Move(self._whereabouts(), target, self.speed, began=time.monotonic())
            self._mover = _this_invocation()
            return self._move

    def _end_move(self) -> None:
        """Come to rest, unless the stage moves for another run by now."""
        with self._lock:
            if self._mover == _this_invocation():
                self._come_to_rest()
        self._publish("position", "moving")

    def _come_to_rest(self) -> None:
        """Stay at the present position; to be called with the lock held."""
        self._resting = self._whereabouts()
        self._move = self._mover = None

    def _whereabouts(self) -> Position:
        """Return the present position; to be called with the lock held."""
        return self._move.position(time.monotonic()) if self._move else self._resting

    def _publish(self, *names: str) -> None:
        """Tell whoever watches these properties that their values have changed."""
        for name in names:
            self.properties[name].publish()


def _this_invocation() -> UUID | None:
    """Return the id of the run that this code belongs to; None outside of any."""
    run = current_invocation()
    return outermost_id(run) if run is not None else None
