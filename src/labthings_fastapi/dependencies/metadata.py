"""A dependency that gives the metadata of all Things."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import Depends, Request

from .server import find_thing_server

ThingStates = Mapping[str, Mapping[str, Any]]


def thing_states_getter(request: Request) -> Callable[[], ThingStates]:
    """Return a function that returns the present metadata of every Thing."""
    return find_thing_server(request).thing_states


GetThingStates = Annotated[Callable[[], ThingStates], Depends(thing_states_getter)]
"""Call it in an action to get `{thing: thing_state}`."""
