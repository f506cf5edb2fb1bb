"""How Things look to type checkers.

`assert_type` has what a checker must infer; a comment that ignores an error means that there must
be one, because both checkers report comments that are not needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, assert_type

from pydantic import BaseModel, Field

import labthings_fastapi as lt


class Point(BaseModel):
    x: float = 0
    y: float = 0


class Stage(lt.Thing):
    speed: float = lt.property(default=1.0, gt=0, unit="mm/s")
    trail: list[Point] = lt.property(default_factory=list, readonly=True)
    backlash: int = lt.setting(default=10)
    label: str | None = lt.setting(default=None)

    overheated: lt.Event[float] = lt.event()
    done: lt.Event[None] = lt.event(title="Done")

    @lt.property
    def position(self) -> tuple[float, float]:
        return (0.0, 0.0)

    @position.setter
    def _set_position(self, value: tuple[float, float]) -> None: ...

    position.readonly = False
    position.constraints = {}  # noqa: RUF012 - this is how it is written in a class
    position.default = (0, 0)

    @position.resetter
    def _reset_position(self) -> None: ...

    @lt.property(unit="mm", observable=0.5)
    def height(self) -> float:
        return 1.0

    @lt.setting
    def gain(self) -> int:
        return 1

    @gain.setter
    def _set_gain(self, value: int) -> None: ...

    @lt.action
    def move(self, x: float, y: float = 0, *, fast: bool = False) -> Point:
        return Point(x=x, y=y)

    @lt.action(synchronous=True, concurrency="queue", group="axes")
    def home(self) -> None: ...

    @lt.action
    def scan(self, n: Annotated[int, Field(gt=0)]) -> Iterator[Point]:
        yield Point()

    @lt.action
    async def later(self) -> int:
        return 1


class Camera(lt.Thing):
    stage: Stage = lt.thing_slot()
    spare: Stage | None = lt.thing_slot("spare")
    all_stages: Mapping[str, Stage] = lt.thing_slot()


def properties(stage: Stage) -> None:
    assert_type(stage.speed, float)
    assert_type(stage.trail, list[Point])
    assert_type(stage.backlash, int)
    assert_type(stage.label, str | None)
    assert_type(stage.position, tuple[float, float])
    assert_type(stage.height, float)
    assert_type(stage.gain, int)
    stage.speed = 2
    stage.position = (1.0, 2.0)
    stage.gain = 3
    stage.speed = "fast"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    stage.position = "left"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    stage.gain = "high"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    stage.sped = 2  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def actions(stage: Stage) -> None:
    assert_type(stage.move(1), Point)
    assert_type(stage.move(1, y=2, fast=True), Point)
    assert_type(stage.move(x=1).x, float)
    assert_type(stage.scan(3), Iterator[Point])
    assert_type(Stage.move(stage, 1), Point)
    stage.home()
    stage.move()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    stage.move("far")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    stage.move(1, z=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    stage.move(1, 2, True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    stage.home(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def asynchronous(stage: Stage) -> None:
    assert_type(await stage.later(), int)


def events(stage: Stage) -> None:
    assert_type(stage.overheated, lt.Event[float])
    stage.overheated.emit(81.5)
    stage.done.emit()
    stage.overheated.subscribe(lambda heat: assert_type(heat, float))
    stage.overheated.emit("hot")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    stage.overheated.emit()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    stage.done.emit(3)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]


def slots(camera: Camera) -> None:
    assert_type(camera.stage, Stage)
    assert_type(camera.stage.move(1), Point)
    assert_type(camera.spare, Stage | None)
    assert_type(camera.all_stages["left"], Stage)
    camera.spare.move(1)  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]


def server() -> None:
    built = lt.ThingServer.from_things({"stage": Stage})
    assert_type(built.thing_by_class(Stage), Stage)
    assert_type(built.things_by_class(Camera), list[Camera])
    assert_type(built.add_thing(Stage(), "/other/"), Stage)


def threads(stage: Stage) -> None:
    for point in lt.track(stage.scan(3)):
        assert_type(point, Point)
    with lt.shield():
        lt.progress(1, 2)
