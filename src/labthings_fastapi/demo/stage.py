"""A simulated motorised stage, whose moves take real time and can be stopped."""

from __future__ import annotations

import threading
import time
from typing import Any
from uuid import UUID

import labthings_fastapi as lt
from labthings_fastapi.actions.context import current_invocation
from labthings_fastapi.actions.threads import outermost_id

from .motion import Length, Limits, Move, Position

UPDATE_SECONDS = 0.02
"""Time between two updates of the position during a move."""


UNCHANGED: Any = None
"""The target of an axis that does not move: clients leave it out.

With `Length | None`, clients could also send null. But then the input has no single type, and wotpy
could not use the stage.
"""


class StageStoppedError(lt.exceptions.InvocationError):
    """A move was stopped before its target, or the stage is in emergency stop."""


class Stage(lt.Thing):
    """Motorised stage.

    It has three axes: x and y move the slide, z moves it in and out of focus. Moves run one after
    the other; only a jog cancels the present move.
    """

    speed: float = lt.property(
        default=200.0, gt=0, le=5000, allow_inf_nan=False, unit="om:micrometrePerSecond-Time"
    )
    """Speed of the stage.

    A change applies from the next move on.
    """

    backlash: float = lt.setting(
        default=2.0, ge=0, le=20, allow_inf_nan=False, unit="om:micrometre"
    )
    """Backlash of the z axis.

    Every move in z ends upwards over this distance, so that the same sides of the gears touch.
    """

    limits: Limits = lt.property(default=Limits(), readonly=True)
    """Lowest and highest position of each axis."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # The lock guards the attributes below it. It is never held during a move, so that the
        # position can be read, and the stage stopped, at any time.
        self._lock = threading.Lock()
        self._resting = Position()
        self._move: Move | None = None
        self._mover: UUID | None = None  # the invocation of the move; None: outside of one
        self._stopped = False

    @lt.property(observable=True)
    def position(self) -> Position:
        """Position of the stage, also during a move."""
        with self._lock:
            return self._present_position()

    @lt.property(observable=True)
    def moving(self) -> bool:
        """True if the stage is moving."""
        return self._move is not None

    @lt.property(observable=True)
    def stopped(self) -> bool:
        """True after an emergency stop, until the stage is released."""
        return self._stopped

    @lt.action(concurrency="queue", group="motion", idempotent=True)
    def move_to(
        self, x: Length = UNCHANGED, y: Length = UNCHANGED, z: Length = UNCHANGED
    ) -> Position:
        """Move to a position.

        An axis without a target does not move.

        Args:
            x: target on the x axis (µm)
            y: target on the y axis (µm)
            z: target on the z axis (µm)

        Returns:
            The position that was reached.
        """
        return self._go(self.position.with_axes(x=x, y=y, z=z))

    @lt.action(concurrency="queue", group="motion")
    def move_by(self, dx: Length = 0.0, dy: Length = 0.0, dz: Length = 0.0) -> Position:
        """Move by a distance.

        Args:
            dx: how far along x (µm)
            dy: how far along y (µm)
            dz: how far along z (µm)

        Returns:
            The position that was reached.
        """
        return self._go(self.position.shifted(dx, dy, dz))

    @lt.action(concurrency="queue", group="motion", idempotent=True)
    def home(self) -> Position:
        """Move to the middle of all axes, (0, 0, 0)."""
        return self._go(Position())

    @lt.action(concurrency="replace", group="motion")
    def jog(self, dx: Length = 0.0, dy: Length = 0.0, dz: Length = 0.0) -> Position:
        """Move by a distance, immediately.

        For control by hand: it does not wait, but cancels the invocation that moves the stage.

        Args:
            dx: how far along x (µm)
            dy: how far along y (µm)
            dz: how far along z (µm)

        Returns:
            The position that was reached.
        """
        return self._go(self.position.shifted(dx, dy, dz))

    @lt.action(stop=True, idempotent=True)
    def stop(self) -> None:
        """Emergency stop.

        The stage stops at once, and its move fails. It does not move again until it is released:
        otherwise a scan, for example, would continue with its next move.
        """
        with self._lock:
            self._rest()
            self._stopped = True
        self._publish("position", "moving", "stopped")

    @lt.action(idempotent=True)
    def release(self) -> None:
        """Allow moves again after an emergency stop."""
        with self._lock:
            self._stopped = False
        self._publish("stopped")

    def safe_state(self) -> None:
        """Stop after an invocation that used the stage was cancelled, or has failed."""
        self._end_move()

    def _go(self, target: Position) -> Position:
        """Move to a position; a change of z ends with a move upwards, against backlash."""
        self.limits.check(target)
        start = self.position
        rise = min(self.backlash, target.z - self.limits.z[0]) if target.z != start.z else 0.0
        below = target.shifted(dz=-rise)
        way = start.distance(below)
        self._travel(below, 0, way + rise)
        with lt.shield():  # a cancel waits for the end of this last part; a stop does not
            self._travel(target, way, way + rise)
        self._end_move()
        return target

    def _travel(self, target: Position, done: float, total: float) -> None:
        """Move straight to a position; `done` and `total` are lengths for the progress (µm)."""
        move = self._start_move(target)
        self._publish("moving")
        while self._move is move and (left := move.remaining(time.monotonic())):
            lt.cancellable_sleep(min(left, UPDATE_SECONDS))
            gone = done + move.start.distance(self.position)
            lt.progress(gone, total, unit="µm", message="moving")
            self._publish("position")
        if self._move is not move:
            raise StageStoppedError(
                "An emergency stop, or another move of the same invocation, ended this move at "
                f"{self.position}."
            )

    def _start_move(self, target: Position) -> Move:
        with self._lock:
            if self._stopped:
                raise StageStoppedError("The stage is in emergency stop: release it first.")
            present = self._present_position()
            self._move = Move(present, target, self.speed, began=time.monotonic())
            self._mover = _this_invocation()
            return self._move

    def _end_move(self) -> None:
        """Stop, unless the stage now moves for another invocation."""
        with self._lock:
            if self._mover == _this_invocation():
                self._rest()
        self._publish("position", "moving")

    def _rest(self) -> None:
        """Stop at the present position; the caller holds the lock."""
        self._resting = self._present_position()
        self._move = self._mover = None

    def _present_position(self) -> Position:
        """Return the present position; the caller holds the lock."""
        return self._move.position(time.monotonic()) if self._move else self._resting

    def _publish(self, *names: str) -> None:
        for name in names:
            self.properties[name].publish()


def _this_invocation() -> UUID | None:
    """Return the id of the present invocation; None outside of one."""
    invocation = current_invocation()
    return outermost_id(invocation) if invocation is not None else None
