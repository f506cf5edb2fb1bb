"""The Things of a server by name and class."""

from __future__ import annotations

import threading
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from labthings_fastapi.exceptions import ThingNotFoundError
from labthings_fastapi.thing import Thing

from .thing_lifecycle import close_now, open_now

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .thing_lifecycle import ThingLifecycle

T = TypeVar("T", bound=Thing)


class ThingRegistry:
    """The Things of a server. Only the server adds Things; any thread may look them up."""

    def __init__(self) -> None:
        self._state: Literal["stopped", "starting", "running", "stopping"] = "stopped"
        self._things: dict[str, Thing] = {}  # of a running server: replaced, never changed
        # Guards the two above, because all Things of a running server must be open. The event loop
        # takes it too, so it is never held while user code runs.
        self._agreeing = threading.Lock()

    def _add_and_open(self, name: str, thing: Thing, lifecycle: ThingLifecycle) -> bool:
        """Add a Thing and, if the server runs, open it; return True if it is open."""
        opened = False
        while True:
            if opened != (self._state == "running"):
                (close_now if opened else open_now)(thing)
                opened = not opened
            with self._agreeing:
                if opened == (self._state == "running"):
                    self._things = {**self._things, name: thing}
                    if opened:
                        lifecycle.take_over(thing)
                    return opened

    @property
    def things(self) -> Mapping[str, Thing]:
        """The Things by name."""
        return MappingProxyType(self._things)

    def things_by_class(self, cls: type[T]) -> list[T]:
        """Return the Things of a class, or of one derived from it."""
        return [thing for thing in self._things.values() if isinstance(thing, cls)]

    def thing_by_class(self, cls: type[T]) -> T:
        """Return the only Thing of a class.

        Raises:
            ThingNotFoundError: there is none, or there are several.
        """
        things = self.things_by_class(cls)
        if len(things) != 1:
            names = ", ".join(thing.name for thing in things) or "none"
            raise ThingNotFoundError(
                f"There must be exactly one {cls.__name__}, but there are {len(things)}: {names}."
            )
        return things[0]

    def path_for_thing(self, name: str) -> str:
        """Return the path of a Thing, as in `/api/stage/`.

        Raises:
            ThingNotFoundError: there is no Thing with this name.
        """
        if name not in self._things:
            names = ", ".join(self._things) or "none"
            raise ThingNotFoundError(f"There is no Thing {name!r}. The Things are: {names}.")
        return self._things[name].path

    def thing_states(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the metadata of every Thing, by name."""
        return {name: thing.thing_state for name, thing in self._things.items()}
