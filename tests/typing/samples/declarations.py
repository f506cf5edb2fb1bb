"""Declarations that type checkers must refuse; see `things.py` on how that is written."""

from __future__ import annotations

import labthings_fastapi as lt


class Wrong(lt.Thing):
    speed: float = lt.property(default="fast")  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    trail: list[int] = lt.property(default_factory=dict)  # type: ignore[arg-type]  # pyright: ignore[reportAssignmentType]
    unit: float = lt.property(default=1.0, units="mm")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    saved: int = lt.setting(default=None)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

    @lt.action(retries=3)  # type: ignore[call-overload, untyped-decorator]  # pyright: ignore[reportCallIssue]
    def move(self) -> None: ...

    @lt.action(concurrency="sideways")  # type: ignore[call-overload, untyped-decorator]  # pyright: ignore[reportArgumentType]
    def turn(self) -> None: ...

    @lt.endpoint("fetch")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    def picture(self) -> None: ...
