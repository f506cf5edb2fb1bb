"""A dependency that gives another Thing; new code uses `lt.thing_slot`."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request

from labthings_fastapi.thing import Thing

from .server import find_thing_server

T = TypeVar("T", bound=Thing)


def find_thing_by_class(cls: type[T]) -> Any:
    """Return a dependency function that finds the only Thing of a class on the server."""

    def find_raw_thing(request: Request) -> Any:
        return find_thing_server(request).thing_by_class(cls)

    return find_raw_thing


def raw_thing_dependency(cls: type[T]) -> type[T]:
    """Return an annotation with which FastAPI injects the server's only Thing of class `cls`."""
    annotated: Any = Annotated[cls, Depends(find_thing_by_class(cls))]
    dependency: type[T] = annotated
    return dependency
