"""What a request is about, by its path."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from labthings_fastapi.actions.invocation_model import ACTION_INVOCATIONS_PATH
from labthings_fastapi.exceptions import InvocationNotFoundError

if TYPE_CHECKING:
    from labthings_fastapi.actions.manager import ActionManager
    from labthings_fastapi.thing import Thing


class RequestTarget(NamedTuple):
    """The name of a Thing, None for what belongs to none, and what of it."""

    thing: str | None
    part: str


class RequestTargets:
    """Finds the Thing of a path; Things are added from any thread, looked for from any."""

    def __init__(self, manager: ActionManager, prefix: str) -> None:
        """Know no Things yet."""
        self._manager = manager
        self._runs = f"{prefix}{ACTION_INVOCATIONS_PATH}/"
        self._names: dict[str, str] = {}  # by path; replaced, never changed

    def add(self, thing: Thing) -> None:
        """Know a Thing by its path."""
        self._names = {**self._names, thing.path: thing.name}

    def of(self, path: str) -> RequestTarget:
        """Return what a path, without the root path, is about."""
        end = len(path)
        while (end := path.rfind("/", 0, end)) >= 0:
            name = self._names.get(path[: end + 1])
            if name is not None:
                return RequestTarget(name, path[end + 1 :])
        if path.startswith(self._runs):
            id = path.removeprefix(self._runs).partition("/")[0]
            return RequestTarget(self._thing_of_invocation(id), id)
        return RequestTarget(None, path)

    def _thing_of_invocation(self, id: str) -> str | None:
        try:
            return self._manager.get_invocation(UUID(id)).record.thing
        except (ValueError, InvocationNotFoundError):
            return None
