"""The Thing and affordance that a request is about, by its path."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from labthings_fastapi.actions.invocation_model import ACTION_INVOCATIONS_PATH
from labthings_fastapi.actions.manager import ActionManager
from labthings_fastapi.exceptions import InvocationNotFoundError
from labthings_fastapi.thing import Thing
from labthings_fastapi.thing_description.paths import name_of, path_of


class RequestTarget(NamedTuple):
    thing: str | None
    part: str


class RequestTargets:
    def __init__(self, manager: ActionManager, prefix: str) -> None:
        self._manager = manager
        self._invocations = f"{prefix}{ACTION_INVOCATIONS_PATH}/"
        self._names: dict[str, str] = {}  # path → name; replaced, never changed

    def add(self, thing: Thing) -> None:
        self._names = {**self._names, path_of(thing): name_of(thing)}

    def find(self, path: str) -> RequestTarget:
        end = len(path)
        while (end := path.rfind("/", 0, end)) >= 0:
            name = self._names.get(path[: end + 1])
            if name is not None:
                return RequestTarget(name, path[end + 1 :])
        if path.startswith(self._invocations):
            id = path.removeprefix(self._invocations).partition("/")[0]
            try:
                return RequestTarget(self._manager.get_invocation(UUID(id)).record.thing, id)
            except (ValueError, InvocationNotFoundError):
                return RequestTarget(None, id)
        return RequestTarget(None, path)
