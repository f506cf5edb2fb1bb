"""A motorised stage: simulated, but its moves take real time and can be stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import labthings_fastapi as lt

from .motion import Limits, Move, Position

STEP = 0.02
"""Time (s) between two looks at a moving stage."""


class StageBusyError(lt.exceptions.InvocationError):
    """The stage was asked to move while it was moving."""


class StageStoppedError(lt.exceptions.InvocationError):
    """An emergency stop ended a move, or holds the stage."""


class Stage(lt.Thing):
    """Motorised stage.

    It has three axes: x and y move the slide, z moves it in and out of focus.
    """

    speed: float = lt.property(default=200.0, gt=0, le=5000, unit="µm/s")
    """Speed of the stage, from the next move on."""

    limits: Limits = lt.property(default=Limits(), readonly=True, unit="µm")
    """Lowest and highest position of each axis."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # The lock guards the attributes below it. It is held for moments only, never while the
        # stage travels: the position can be read, and the stage stopped, at any time.
        self._lock = threading.Lock()
        self._resting = Position()
        self._move: Move | None = None
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

    @lt.action
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
        return self._travel(lambda here: here.with_axes(x=x, y=y, z=z))

    @lt.action
    def move_by(self, dx: float = 0.0, dy: float = 0.0, dz: float = 0.0) -> Position:
        """Move by a distance.

        Args:
            dx: how far along x (µm)
            dy: how far along y (µm)
            dz: how far along z (µm)

        Returns:
            The position that was reached.
        """
        return self._travel(lambda here: here.shifted(dx, dy, dz))

    @lt.action
    def home(self) -> Position:
        """Move to the middle of all axes, (0, 0, 0)."""
        return self.move_to(0, 0, 0)

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

    def _travel(self, aim: Callable[[Position], Position]) -> Position:
        """Go where `aim` says, seen from where the stage is; return the position reached."""
        move = self._set_off(aim)
        try:
            self._publish("moving")
            while self._move is move and (left := move.remaining(time.monotonic())):
                lt.cancellable_sleep(min(left, STEP))
                gone = move.start.distance(self.position)
                lt.progress(gone, move.length, unit="µm", message="moving")
                self._publish("position")
        finally:  # also when the run was cancelled
            arrived = self._finish(move)
        if not arrived:
            raise StageStoppedError(f"An emergency stop ended the move, at {self.position}.")
        return move.target

    def _set_off(self, aim: Callable[[Position], Position]) -> Move:
        """Begin a move, if the stage is free to move and the target is within reach."""
        with self._lock:
            if self._stopped:
                raise StageStoppedError("An emergency stop holds the stage: release it first.")
            if self._move is not None:
                raise StageBusyError("The stage is already moving: wait, or cancel that move.")
            target = aim(self._resting)
            self.limits.check(target)
            self._move = Move(self._resting, target, self.speed, began=time.monotonic())
            return self._move

    def _finish(self, move: Move) -> bool:
        """End a move; False if an emergency stop had already ended it."""
        with self._lock:
            ours = self._move is move
            if ours:
                self._come_to_rest()
        self._publish("position", "moving")
        return ours

    def _come_to_rest(self) -> None:
        """Stay at the present position; to be called with the lock held."""
        self._resting = self._whereabouts()
        self._move = None

    def _whereabouts(self) -> Position:
        """Return the present position; to be called with the lock held."""
        return self._move.position(time.monotonic()) if self._move else self._resting

    def _publish(self, *names: str) -> None:
        """Tell whoever watches these properties that their values have changed."""
        for name in names:
            self.properties[name].publish()
